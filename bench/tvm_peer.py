"""What one mutant costs when it is made the way of a tool over Apache TVM: the whole model is built and run on every image.

usage: python tvm_peer.py MODEL IMAGES BUILDS THREADS     in the environment of 'bench/env.sh tvm'

The model is imported once (not counted) and built BUILDS times, since a mutation changes some statement and TVM builds a module as a whole; each build
is loaded and run on IMAGES random inputs. Prints JSON. PyPI has no TVM with Relay any more: this is Relax, its CPU pipeline without tuning. The output
is compared with onnxruntime's.
"""
import json
import pathlib
import platform
import sys
import time

import numpy as np
import onnx
import onnxruntime
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx


def target():
    """This processor; the vectors that the compiler of kernels would use, too."""
    flags = pathlib.Path("/proc/cpuinfo").read_text() if platform.machine() == "x86_64" else ""
    cpu = "x86-64-v4" if "avx512vl" in flags else "x86-64-v3" if "avx2" in flags else ""
    return {"kind": "llvm", **({"mcpu": cpu} if cpu else {})}


def feed(model, n):
    """n random inputs by the model's first input that is no constant."""
    constants = {i.name for i in model.graph.initializer}
    given = [i for i in model.graph.input if i.name not in constants]
    if len(given) != 1:
        sys.exit(f"{len(given)} inputs")
    shape = [d.dim_value or 1 for d in given[0].type.tensor_type.shape.dim]
    rng = np.random.default_rng(1)
    return given[0].name, [(rng.standard_normal(shape) * .05).astype("float32") for _ in range(n)]


def first(x):
    while isinstance(x, (list, tuple)) or type(x).__name__ in ("Array", "ShapeTuple"):
        x = x[0]
    return x.numpy()


def main():
    file, images, builds, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    model = onnx.load(file)
    name, inputs = feed(model, images)
    begin = time.perf_counter()
    module = from_onnx(model, keep_params_in_input=False)
    imported = time.perf_counter() - begin
    to, device, each, got = tvm.target.Target(target()), tvm.cpu(), [], None
    for _ in range(builds):
        t0 = time.perf_counter()
        with tvm.transform.PassContext(opt_level=3):
            built = relax.build(module, target=to)
        t1 = time.perf_counter()
        vm = relax.VirtualMachine(built, device)
        for x in inputs:
            out = first(vm["main"](tvm.runtime.tensor(x, device)))
            got = out if got is None else got
        each.append({"build_s": t1 - t0, "run_s": time.perf_counter() - t1})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    want = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]).run(None, {name: inputs[0]})[0]
    print(json.dumps({"tvm": tvm.__version__, "target": str(to), "import_s": imported, "mutants": each, "images": images, "threads": threads,
                      "difference": float(np.abs(got.ravel() - want.ravel()).max() / max(np.abs(want).max(), 1e-30))}))


main()

#!/usr/bin/env python3
"""Real models and photographs against onnxruntime: logits of given inputs, and top-1 from the pictures themselves.

usage: real_models.py BUILD_DIR MODELS_DIR [--images DIR] [--expected DIR] [--levels 0,1,2,3] [--devices host-gcc,host-clang] [--limit 1e-3] [--noise SCALE]

MODELS_DIR: *.onnx. EXPECTED/MODEL/: input_K.npy and logits_K.npy. --noise: one random input of that scale for models without
expected values, against onnxruntime (small, so that a softmax does not saturate). Needs numpy; with --images also onnxruntime and Pillow, and for
each model its preprocessing below or in MODEL.yaml beside it. Not part of `make check`: the models are not ours to ship.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

IMAGENET = "resize=256,crop=224,mean=123.675:116.28:103.53,std=58.395:57.12:57.375"
PREPROCESS = {
    "mobilenetv1": "resize=256,crop=224,mean=127.5,std=127.5", "mobilenetv2_coral": "resize=256,crop=224,mean=128,std=128",
    "resnet20": "square=yes,resize=32,crop=32,filter=lanczos,mean=123.675:116.28:103.53,std=58.395:57.12:57.375", "squeezenet": IMAGENET,
}


def infer(build, model, inputs, device, level, *more):
    with tempfile.TemporaryDirectory() as out:
        r = subprocess.run([build / "mutatenn", "infer", model, *map(str, inputs), "--device", device, "--opt-level", str(level), "--npy", out, "--quiet",
                            "--json", *more], capture_output=True, text=True)
        if r.returncode:
            sys.exit(f"{model} at level {level} on {device}: {r.stderr}")
        return {i["input"]: np.load(pathlib.Path(out) / (pathlib.Path(i["input"]).stem + ".npy")).ravel() for i in json.loads(r.stdout)["inputs"]}


def pillow(path, spec):
    from PIL import Image
    s = dict(p.split("=") for p in spec.split(","))
    im = Image.open(path).convert("RGB")
    if s.get("square") == "yes":
        w, h = im.size
        m = min(w, h)
        x, y = int(round((w - m) / 2.)), int(round((h - m) / 2.))
        im = im.crop((x, y, x + m, y + m))
    w, h = im.size
    n, c = int(s["resize"]), int(s["crop"])
    size = (n, int(n * h / w)) if w <= h else (int(n * w / h), n)
    im = im.resize(size, Image.LANCZOS if s.get("filter") == "lanczos" else Image.BILINEAR)
    x, y = int(round((im.width - c) / 2.)), int(round((im.height - c) / 2.))
    p = np.asarray(im.crop((x, y, x + c, y + c)), np.float32)
    three = lambda t: np.array(([float(v) for v in t.split(":")] * 3)[:3], np.float32)
    return ((p - three(s["mean"])) / three(s["std"])).transpose(2, 0, 1)[None]


def check_logits(a, model, folder):
    inputs, worst = sorted(folder.glob("input_*.npy")), 0
    for level in a.levels.split(","):
        for device in a.devices.split(","):
            got, w = infer(a.build, model, inputs, device, level), 0
            for i in inputs:
                want = np.load(folder / i.name.replace("input", "logits")).ravel()
                w = max(w, np.abs(got[i.name] - want).max() / np.abs(want).max())
            print(f"{model.stem:24} level {level} {device:11} {len(inputs)} inputs: max abs difference {w:.2e} of the largest logit", flush=True)
            worst = max(worst, w)
    return worst <= a.limit


def check_noise(a, model):
    import onnxruntime
    session, worst = onnxruntime.InferenceSession(str(model)), 0
    given = session.get_inputs()[0]
    x = np.random.default_rng(0).standard_normal([d if isinstance(d, int) else 1 for d in given.shape]).astype(np.float32) * np.float32(a.noise)
    want = session.run(None, {given.name: x})[0].ravel()
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "noise.npy"
        np.save(file, x)
        for level in a.levels.split(","):
            for device in a.devices.split(","):
                got = infer(a.build, model, [file], device, level)[file.name]
                w = np.abs(got - want).max() / np.abs(want).max()
                print(f"{model.stem:24} level {level} {device:11} noise: max abs difference {w:.2e} of the largest value", flush=True)
                worst = max(worst, w)
    return worst <= a.limit


def check_images(a, model):
    import onnxruntime
    spec = next((v for k, v in PREPROCESS.items() if model.stem.startswith(k)), None)
    if not spec:
        return True
    images = sorted(p for p in a.images.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    got = infer(a.build, model, images, a.devices.split(",")[0], a.levels.split(",")[-1], "--preprocess", spec)
    session, wrong, worst = onnxruntime.InferenceSession(str(model)), [], 0
    for p in images:
        want = session.run(None, {session.get_inputs()[0].name: pillow(p, spec)})[0].ravel()
        worst = max(worst, np.abs(got[p.name] - want).max() / np.abs(want).max())
        top = np.sort(want)[::-1]
        if got[p.name].argmax() != want.argmax() and top[0] - top[1] > 1e-3:
            wrong.append(p.name)
    print(f"{model.stem:24} {len(images)} pictures: {len(images) - len(wrong)} with onnxruntime's top-1, max difference {worst:.2e}", *wrong, flush=True)
    return not wrong


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=pathlib.Path)
    p.add_argument("models", type=pathlib.Path)
    p.add_argument("--images", type=pathlib.Path)
    p.add_argument("--expected", type=pathlib.Path)
    p.add_argument("--levels", default="0,1,2,3")
    p.add_argument("--devices", default="host-gcc,host-clang")
    p.add_argument("--limit", type=float, default=1e-3)
    p.add_argument("--noise", type=float)
    a, ok = p.parse_args(), True
    for model in sorted(a.models.glob("*.onnx")):
        if a.expected and (a.expected / model.stem).is_dir():
            ok &= check_logits(a, model, a.expected / model.stem)
        elif a.noise:
            ok &= check_noise(a, model)
        if a.images:
            ok &= check_images(a, model)
    sys.exit(not ok)


main()

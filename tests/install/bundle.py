#!/usr/bin/env python3
"""The bundle works where it is moved to, without this machine's environment, with the system's C library and with its own, and in an empty root.

usage: bundle.py SOURCE_DIR BUILD_DIR     builds it as `make bundle` does, in BUILD_DIR/bundle; a few minutes
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

SOURCE, BUILD = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()


def run(*command, **kw):
    r = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=1200, **kw)
    assert r.returncode == 0, f"{command}: exit status {r.returncode}\n{r.stdout[-2000:]}\n{r.stderr[-2000:]}"
    return r.stdout + r.stderr


def main():
    print(run(SOURCE / "tools/bundle", BUILD / "bundle", BUILD / "bundle-out"))
    tar = next((BUILD / "bundle-out").glob("*.tar.gz"))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with tarfile.open(tar) as t:
            t.extractall(folder)
        there = next(folder.iterdir()).rename(folder / "moved elsewhere")
        bare = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
        programs = [p for p in [*(there / "bin").iterdir(), *(there / "tests").rglob("*")] if p.is_file()]
        for p in programs:
            for line in run("ldd", p, env=bare).splitlines():
                name, _, path = line.strip().partition(" => ")
                ours = str(there) in path or name.startswith(("linux-vdso", "/lib")) or (there / "lib/glibc" / name).exists()
                assert ours and "not found" not in line, f"{p}: {line}"
        image = next((there / "demo/images").iterdir())
        answers = {own: run(there / "mutatenn", "infer", there / "demo/model.onnx", image, env=bare | ({"MUTATENN_OWN_LIBC": "1"} if own else {}), cwd="/").splitlines()[1:]
                   for own in (False, True)}
        assert answers[False] == answers[True] and answers[False], answers
        (folder / "link").symlink_to(there / "mutatenn")
        assert run(folder / "link", "--version", env={}, cwd="/").startswith("mutatenn "), "started through a link, without any environment"
        run(there / "mutatenn", "devices", env=bare)
        gpu = run(there / "tests/unit/unit-device-cuda", "--filter", "device_cuda_gpu/a_launch*", env=bare | {"LD_LIBRARY_PATH": str(BUILD / "tests/cuda")})
        assert "Passing: 1" in gpu, gpu
        run(there / "tools/check-gpu", "--quick", "--out", folder / "out", "machine", "loop-mutants-1", "campaign-alone", env=bare | {"LD_LIBRARY_PATH": str(BUILD / "tests/cuda")})
        if os.geteuid() == 0 or shutil.which("unshare"):
            root = [] if os.geteuid() == 0 else ["unshare", "-r"]
            loader = next((there / "lib/glibc").glob("ld-linux*"))
            run(*root, "chroot", there, f"/lib/glibc/{loader.name}", "--library-path", "/lib/glibc:/lib", "/bin/mutatenn", "info", "/demo/model.onnx")
    print("it runs where it is moved to, with either C library, and with nothing else in its root")


main()

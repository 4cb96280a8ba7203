#!/usr/bin/env python3
"""Writes ONNX files of well-known networks with random weights: their shapes are the real ones, their answers mean nothing.

ResNet-50, SqueezeNet 1.1 and MobileNetV2 for images of 3 x 224 x 224, the batch free (`--batch` of the other commands binds it). They are what
benchmarks need where nothing can be downloaded. Needs only Python's standard library.
"""
import argparse
import array
import math
import pathlib
import random

import synthetic
from synthetic import field

BLOCK = 65521  # random numbers, over and over: a prime, so that no two filters are the same


def integer(name, v):
    return field(5, field(1, name) + field(3, v) + field(20, 2))


class Network:
    def __init__(self, shrink):
        rng = random.Random(1)
        self.numbers = [rng.gauss(0, 1) for _ in range(BLOCK)]
        self.body, self.constants, self.shrink, self.at, self.channels = [], [], shrink, "image", 3

    def width(self, n):
        return max(n // self.shrink, 1)

    def constant(self, dims, scale, shift=0.):
        name, n = f"c{len(self.constants)}", math.prod(dims)
        block = array.array("f", (shift + scale * v for v in self.numbers)).tobytes()
        raw = (block * (n // BLOCK + 1))[:4 * n]
        self.constants.append(field(5, b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name) + field(9, raw)))
        return name

    def node(self, op, inputs, attributes=b""):
        name = f"n{len(self.body)}"
        self.body.append(synthetic.node(op, inputs, name, attributes))
        self.at = name
        return name

    def conv(self, out, taps, stride=1, pad=None, groups=1, bias=False):
        pad = taps // 2 if pad is None else pad
        fan = self.channels // groups * taps * taps
        inputs = [self.at, self.constant([out, self.channels // groups, taps, taps], math.sqrt(2 / fan))] + ([self.constant([out], .1)] if bias else [])
        a = synthetic.attribute
        self.node("Conv", inputs, a("kernel_shape", [taps] * 2) + a("strides", [stride] * 2) + a("pads", [pad] * 4) + integer("group", groups))
        self.channels = out

    def norm(self):
        c = [self.channels]
        self.node("BatchNormalization", [self.at, self.constant(c, .05, 1), self.constant(c, .05), self.constant(c, .05), self.constant(c, .01, 1)])

    def relu(self, most=None):
        if most is None:
            return self.node("Relu", [self.at])
        return self.node("Clip", [self.at, *(self.scalar(v) for v in (0., most))])

    def scalar(self, v):
        name = f"c{len(self.constants)}"
        self.constants.append(field(5, field(2, 1) + field(8, name) + field(9, array.array("f", [v]).tobytes())))
        return name

    def max_pool(self, pad):
        a = synthetic.attribute
        self.node("MaxPool", [self.at], a("kernel_shape", [3, 3]) + a("strides", [2, 2]) + a("pads", [pad] * 4))

    def add(self, x, y):
        self.node("Add", [x, y])

    def concat(self, x, y, channels):
        self.node("Concat", [x, y], integer("axis", 1))
        self.channels = channels

    def classes(self, n):
        self.node("Flatten", [self.node("GlobalAveragePool", [self.at])])
        self.node("Gemm", [self.at, self.constant([self.channels, n], math.sqrt(1 / self.channels)), self.constant([n], .1)])

    def file(self, size, classes):
        def value(number, name, dims):
            shape = b"".join(field(1, field(2, "N") if d == "N" else field(1, d)) for d in dims)
            return field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, shape))))

        graph = b"".join(self.body) + field(2, "network") + b"".join(self.constants) + value(11, "image", ["N", 3, size, size]) + value(12, self.at, ["N", classes])
        return field(1, 8) + field(8, field(2, 13)) + field(7, graph)


def resnet50(n, classes):
    n.conv(n.width(64), 7, 2)
    n.norm()
    n.relu()
    n.max_pool(1)
    for mid, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(count):
            start, channels, step = n.at, n.channels, stride if i == 0 else 1
            for out, taps, s in ((mid, 1, 1), (mid, 3, step), (4 * mid, 1, 1)):
                n.conv(n.width(out), taps, s)
                n.norm()
                if out == mid:
                    n.relu()
            inner = n.at
            if i == 0:
                n.at, n.channels = start, channels
                n.conv(n.width(4 * mid), 1, step)
                n.norm()
                start = n.at
            n.add(inner, start)
            n.relu()
    n.classes(classes)


def squeezenet(n, classes):
    def fire(squeeze, expand):
        n.conv(n.width(squeeze), 1, bias=True)
        source, channels = n.relu(), n.channels
        parts = []
        for taps in (1, 3):
            n.at, n.channels = source, channels
            n.conv(n.width(expand), taps, bias=True)
            parts.append(n.relu())
        n.concat(*parts, 2 * n.channels)

    n.conv(n.width(64), 3, 2, 0, bias=True)
    n.relu()
    n.max_pool(0)
    for i, (squeeze, expand) in enumerate(((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))):
        if i in (2, 4):
            n.max_pool(0)
        fire(squeeze, expand)
    n.conv(classes, 1, bias=True)
    n.relu()
    n.node("Flatten", [n.node("GlobalAveragePool", [n.at])])


def mobilenetv2(n, classes):
    def block(out, stride, expand):
        start, before = n.at, n.channels
        if expand > 1:
            n.conv(before * expand, 1)
            n.norm()
            n.relu(6.)
        n.conv(n.channels, 3, stride, groups=n.channels)
        n.norm()
        n.relu(6.)
        n.conv(n.width(out), 1)
        n.norm()
        if stride == 1 and before == n.channels:
            n.add(n.at, start)

    n.conv(n.width(32), 3, 2)
    n.norm()
    n.relu(6.)
    for expand, out, count, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(count):
            block(out, stride if i == 0 else 1, expand)
    n.conv(n.width(1280), 1)
    n.norm()
    n.relu(6.)
    n.classes(classes)


ALL = {"resnet50": resnet50, "squeezenet1.1": squeezenet, "mobilenetv2": mobilenetv2}


def write(folder, names=ALL, size=224, shrink=1, classes=1000):
    """Files of these networks; those that are there stay as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / f"{name}.onnx"
        if not path.exists():
            n = Network(shrink)
            ALL[name](n, classes)
            path.with_suffix(".new").write_bytes(n.file(size, classes))
            path.with_suffix(".new").rename(path)


def main():
    p = argparse.ArgumentParser(prog="bench/networks.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--network", action="append", choices=list(ALL), help="this one only; may be repeated")
    p.add_argument("--size", type=int, default=224, help="height and width of images (default: 224)")
    p.add_argument("--shrink", type=int, default=1, metavar="N", help="an N-th of the channels (default: all)")
    a = p.parse_args()
    write(a.folder, a.network or ALL, a.size, a.shrink)


if __name__ == "__main__":
    main()

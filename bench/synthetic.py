"""ONNX models of any number of nodes, written byte by byte: convolutions, element-wise operators and branches on small images; and such images."""
import random
import struct
import sys
import zlib


def varint(n):
    out, n = bytearray(), n & (1 << 64) - 1
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    """A field of a protobuf message: an integer, or bytes, text or a message's bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def attribute(name, values):
    return field(5, field(1, name) + b"".join(field(8, v) for v in values) + field(20, 7))


def node(op, inputs, output, attributes=b""):
    return field(1, b"".join(field(1, i) for i in inputs) + field(2, output) + field(3, output) + field(4, op) + attributes)


def value(number, name, dims):
    shape = b"".join(field(1, field(1, d)) for d in dims)
    return field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, shape))))


def weights(rng, name, dims):
    n = 1
    for d in dims:
        n *= d
    data = struct.pack(f"<{n}f", *(rng.uniform(-.2, .2) for _ in range(n)))
    return field(5, b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name) + field(9, data))


def model(nodes, channels=8, size=8, classes=10, seed=1):
    """A classifier of `nodes` nodes for 3 x size x size images: blocks of Conv, Relu, Conv, Add (around both), Relu; then pool, flatten, Gemm."""
    rng, body, constants, at = random.Random(seed), [], [], "image"
    convolution = attribute("pads", [1, 1, 1, 1]) + attribute("kernel_shape", [3, 3])

    def conv(source, inputs):
        name = f"n{len(body)}"
        constants.append(weights(rng, name + ".w", [channels, inputs, 3, 3]))
        body.append(node("Conv", [source, name + ".w"], name, convolution))
        return name

    def plain(op, *inputs):
        name = f"n{len(body)}"
        body.append(node(op, inputs, name))
        return name

    at = conv(at, 3)
    while len(body) + 3 < nodes:
        left = nodes - 3 - len(body)
        if left < 5:
            at = plain("Relu", at)
            continue
        inner = conv(plain("Relu", conv(at, channels)), channels)
        at = plain("Relu", plain("Add", inner, at))
    at = plain("Flatten", plain("GlobalAveragePool", at))
    constants += [weights(rng, "fc.w", [channels, classes])]
    body.append(node("Gemm", [at, "fc.w"], "scores"))
    graph = b"".join(body) + field(2, "synthetic") + b"".join(constants) + value(11, "image", [1, 3, size, size]) + value(12, "scores", [1, classes])
    return field(1, 8) + field(8, field(2, 13)) + field(7, graph)


def picture(seed, size=8):
    """A PNG."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((seed * 37 + 11 * x * y + 5 * x) % 256 for x in range(3 * size)) for y in range(size))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as f:
        f.write(model(int(sys.argv[2])))

"""A vision transformer as an ONNX file, for bench/infer: ViT-tiny (12 blocks, 192 wide, 3 heads, patches of 16 x 16 of an image of 224 x 224).

What PyTorch's exporter makes of it at opset 17: LayerNormalization, products with their biases added by nodes of their own, one product for
queries, keys and values that is reshaped, transposed and split, Softmax, GELU by Erf. Weights are random, of a fixed seed, of the
sizes that trained ones have, so that activations stay of the order of 1. The batch is free.
"""
import struct
import sys

from synthetic import field

FLOAT, INT64 = 1, 7  # TensorProto.DataType
PATCH, IMAGE, CLASSES, MLP = 16, 224, 1000, 4


def attribute(name, value):
    """Of a node: a float, an integer, or a list of integers."""
    if isinstance(value, float):
        return field(5, field(1, name) + b"\x15" + struct.pack("<f", value) + field(20, 1))
    if isinstance(value, int):
        return field(5, field(1, name) + field(3, value) + field(20, 2))
    return field(5, field(1, name) + b"".join(field(8, v) for v in value) + field(20, 7))


def tensor(name, kind, dims, data):
    return field(5, b"".join(field(1, d) for d in dims) + field(2, kind) + field(8, name) + field(9, data))


class Network:
    def __init__(self, rng):
        self.rng, self.nodes, self.constants, self.seen = rng, [], [], 0

    def random(self, name, *dims, scale=.02, mean=0.):
        data = (self.rng.standard_normal(dims) * scale + mean).astype("<f4")
        self.constants.append(tensor(name, FLOAT, dims, data.tobytes()))
        return name

    def number(self, value):
        return self.constant([], FLOAT, struct.pack("<f", value))

    def integers(self, *values):
        return self.constant([len(values)], INT64, struct.pack(f"<{len(values)}q", *values))

    def constant(self, dims, kind, data):
        name = f"c{len(self.constants)}"
        self.constants.append(tensor(name, kind, dims, data))
        return name

    def node(self, op, *inputs, outputs=1, **attributes):
        self.seen += 1
        names = [f"{op}_{self.seen}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(field(1, b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in names) + field(3, f"{op}_{self.seen}") +
                                field(4, op) + b"".join(attribute(k, v) for k, v in attributes.items())))
        return names if outputs > 1 else names[0]

    def linear(self, x, name, inputs, outputs):
        y = self.node("MatMul", x, self.random(name + ".weight", inputs, outputs, scale=inputs ** -.5))
        return self.node("Add", self.random(name + ".bias", outputs), y)

    def norm(self, x, name, width):
        return self.node("LayerNormalization", x, self.random(name + ".weight", width, mean=1.), self.random(name + ".bias", width), axis=-1, epsilon=1e-6)

    def gelu(self, x):
        y = self.node("Add", self.node("Erf", self.node("Div", x, self.number(2 ** .5))), self.number(1))
        return self.node("Mul", self.node("Mul", x, y), self.number(.5))

    def attention(self, x, name, width, heads, tokens):
        size = width // heads
        x = self.node("Reshape", self.linear(x, name + ".qkv", width, 3 * width), self.integers(-1, tokens, 3, heads, size))
        x = self.node("Split", self.node("Transpose", x, perm=[2, 0, 3, 1, 4]), self.integers(1, 1, 1), outputs=3, axis=0)
        q, k, v = (self.node("Squeeze", part, self.integers(0)) for part in x)
        scores = self.node("MatMul", self.node("Mul", q, self.number(size ** -.5)), self.node("Transpose", k, perm=[0, 1, 3, 2]))
        x = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)
        x = self.node("Reshape", self.node("Transpose", x, perm=[0, 2, 1, 3]), self.integers(-1, tokens, width))
        return self.linear(x, name + ".proj", width, width)

    def block(self, x, name, width, heads, tokens):
        x = self.node("Add", x, self.attention(self.norm(x, name + ".norm1", width), name + ".attn", width, heads, tokens))
        y = self.gelu(self.linear(self.norm(x, name + ".norm2", width), name + ".fc1", width, MLP * width))
        return self.node("Add", x, self.linear(y, name + ".fc2", MLP * width, width))


def value(number, name, dims):
    """An input or output of the graph; a dim that is a text is free."""
    shape = b"".join(field(1, field(2 if isinstance(d, str) else 1, d)) for d in dims)
    return field(number, field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, shape))))


def model(blocks=12, width=192, heads=3):
    import numpy as np
    n, patches = Network(np.random.default_rng(1)), (IMAGE // PATCH) ** 2
    x = n.node("Conv", "image", n.random("patch.weight", width, 3, PATCH, PATCH, scale=.04), n.random("patch.bias", width), kernel_shape=[PATCH, PATCH],
               strides=[PATCH, PATCH])
    x = n.node("Transpose", n.node("Reshape", x, n.integers(0, width, -1)), perm=[0, 2, 1])
    batch = n.node("Slice", n.node("Shape", x), n.integers(0), n.integers(1))
    token = n.node("Expand", n.random("token", 1, 1, width), n.node("Concat", batch, n.integers(1, width), axis=0))
    x = n.node("Add", n.node("Concat", token, x, axis=1), n.random("position", 1, patches + 1, width))
    for i in range(blocks):
        x = n.block(x, f"block{i}", width, heads, patches + 1)
    x = n.node("Gather", n.norm(x, "norm", width), n.constant([], INT64, struct.pack("<q", 0)), axis=1)
    n.nodes.append(field(1, field(1, x) + field(1, n.random("head.weight", CLASSES, width, scale=width ** -.5)) + field(1, n.random("head.bias", CLASSES)) +
                         field(2, "scores") + field(3, "head") + field(4, "Gemm") + attribute("transB", 1)))
    graph = b"".join(n.nodes) + field(2, "vit_tiny") + b"".join(n.constants) + value(11, "image", ["N", 3, IMAGE, IMAGE]) + value(12, "scores", ["N", CLASSES])
    return field(1, 8) + field(8, field(2, 17)) + field(7, graph)


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as f:
        f.write(model())

#!/usr/bin/env python3
"""Draw ten classes of pictures, train a small network on them, write demo/: the model, its side-car, names and pictures.

usage: make_demo.py [OUTDIR]          needs numpy, onnx and Pillow; about five minutes on two cores

Everything comes from one seed: the same versions of Python and numpy write the same bytes. The network is small but
has one of everything that mutation operators look for: convolutions (full, depthwise, 1x1), batch normalisation, ReLU,
a clip, a residual sum, a concatenation, a sigmoid gate, pooling and a dense layer.
"""
import csv
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SEED, SIZE, CLASSES = 20240611, 64, ["disc", "ring", "square", "triangle", "cross", "stripes", "checkers", "dots", "gradient", "noise"]
rng = np.random.default_rng(SEED)


# ---- pictures -----------------------------------------------------------------------------------------------

def mask(kind):
    """A SIZE x SIZE mask in 0..1 of the class, turned, shifted and scaled at random."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] - (SIZE - 1) / 2
    angle, scale = rng.uniform(0, 2 * np.pi), rng.uniform(.7, 1.25)
    dx, dy = rng.uniform(-9, 9, 2)
    x, y = (x - dx) / scale, (y - dy) / scale
    u, v = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    r = np.hypot(u, v)
    soft = lambda d: np.clip(.5 - d, 0, 1)  # signed distance to coverage
    period = rng.uniform(7, 12)
    if kind == "disc":
        return soft(r - 18)
    if kind == "ring":
        return soft(np.abs(r - 16) - rng.uniform(3, 5))
    if kind == "square":
        return soft(np.maximum(np.abs(u), np.abs(v)) - 16)
    if kind == "triangle":
        return soft(np.maximum.reduce([v - 10, .866 * u - .5 * v - 10, -.866 * u - .5 * v - 10]))
    if kind == "cross":
        return soft(np.minimum(np.maximum(np.abs(u) - 5, np.abs(v) - 20), np.maximum(np.abs(v) - 5, np.abs(u) - 20)))
    if kind == "stripes":
        return (np.sin(2 * np.pi * u / period) > 0).astype(float)
    if kind == "checkers":
        return ((np.sin(2 * np.pi * u / (2 * period)) > 0) ^ (np.sin(2 * np.pi * v / (2 * period)) > 0)).astype(float)
    if kind == "dots":
        return soft(np.hypot((u % (period * 1.5)) - period * .75, (v % (period * 1.5)) - period * .75) - period * .38)
    if kind == "gradient":
        return np.clip(.5 + u / 60, 0, 1)
    return rng.uniform(0, 1, (SIZE, SIZE))


def picture(kind):
    while True:  # two colours that can be told apart
        ink, paper = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
        if np.abs(ink - paper).sum() > 180:
            break
    m = mask(kind)[..., None]
    light = 1 + rng.uniform(-.15, .15) * np.linspace(-1, 1, SIZE)[None, :, None]
    return np.clip((m * ink + (1 - m) * paper) * light + rng.normal(0, rng.uniform(2, 14), (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)


def draw(n):
    labels = np.arange(n) % len(CLASSES)
    return np.stack([picture(CLASSES[k]) for k in labels]), labels


def prepare(pictures):  # what demo/model.yaml says: (p - 127.5) / 127.5, NCHW
    return ((pictures.astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)


# ---- a network that can be trained: each layer keeps what its backward step needs ----------------------------

class Layer:
    inputs = 1

    def params(self):
        return []


class Conv(Layer):
    def __init__(self, cin, cout, k, stride=1, group=1):
        self.k, self.s, self.g, self.p = k, stride, group, k // 2
        self.w = rng.standard_normal((cout, cin // group, k, k)).astype(np.float32) * np.float32(np.sqrt(2 / (cin // group * k * k)))
        self.dw = None

    def params(self):
        return [("w", "dw")]

    def windows(self, x):
        x = np.pad(x, ((0, 0), (0, 0), (self.p,) * 2, (self.p,) * 2))
        return np.lib.stride_tricks.sliding_window_view(x, (self.k, self.k), (2, 3))[:, :, ::self.s, ::self.s]

    def taps(self, x):
        h, w = x.shape[2] // self.s, x.shape[3] // self.s
        x = np.pad(x, ((0, 0), (0, 0), (self.p,) * 2, (self.p,) * 2))
        for i in range(self.k):
            for j in range(self.k):
                yield i, j, x[:, :, i:i + h * self.s:self.s, j:j + w * self.s:self.s]

    def forward(self, x, train):
        self.x = x
        if self.g > 1:  # depthwise, tap by tap
            return sum(part * self.w[None, :, 0, i, j, None, None] for i, j, part in self.taps(x))
        win = self.windows(x)
        n, c, h, w = win.shape[:4]
        self.cols = win.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, -1)
        return (self.cols @ self.w.reshape(len(self.w), -1).T).reshape(n, h, w, -1).transpose(0, 3, 1, 2)

    def backward(self, dy):
        dx = np.zeros((*self.x.shape[:2], self.x.shape[2] + 2 * self.p, self.x.shape[3] + 2 * self.p), np.float32)
        h, w = dy.shape[2:]
        if self.g > 1:
            self.dw = np.zeros_like(self.w)
            for i, j, part in self.taps(self.x):
                self.dw[:, 0, i, j] = (part * dy).sum((0, 2, 3))
            parts = {(i, j): dy * self.w[None, :, 0, i, j, None, None] for i in range(self.k) for j in range(self.k)}
        else:
            flat = dy.transpose(0, 2, 3, 1).reshape(-1, dy.shape[1])
            self.dw = (flat.T @ self.cols).reshape(self.w.shape)
            d = (flat @ self.w.reshape(len(self.w), -1)).reshape(len(dy), h, w, -1, self.k, self.k).transpose(0, 3, 1, 2, 4, 5)
            parts = {(i, j): d[..., i, j] for i in range(self.k) for j in range(self.k)}
        for (i, j), part in parts.items():
            dx[:, :, i:i + h * self.s:self.s, j:j + w * self.s:self.s] += part
        return dx[:, :, self.p:dx.shape[2] - self.p or None, self.p:dx.shape[3] - self.p or None]


class Norm(Layer):
    eps = 1e-5

    def __init__(self, c):
        self.gamma, self.beta = np.ones(c, np.float32), np.zeros(c, np.float32)
        self.mean, self.var = np.zeros(c, np.float32), np.ones(c, np.float32)

    def params(self):
        return [("gamma", "dgamma"), ("beta", "dbeta")]

    def forward(self, x, train):
        mean, var = (x.mean((0, 2, 3)), x.var((0, 2, 3))) if train else (self.mean, self.var)
        if train:
            self.mean += np.float32(.1) * (mean - self.mean)
            self.var += np.float32(.1) * (var - self.var)
        self.inv = 1 / np.sqrt(var + self.eps)
        self.xhat = (x - mean[:, None, None]) * self.inv[:, None, None]
        return self.xhat * self.gamma[:, None, None] + self.beta[:, None, None]

    def backward(self, dy):
        self.dgamma, self.dbeta = (dy * self.xhat).sum((0, 2, 3)), dy.sum((0, 2, 3))
        m = dy.shape[0] * dy.shape[2] * dy.shape[3]
        inner = dy - (self.dbeta[:, None, None] + self.xhat * self.dgamma[:, None, None]) / m
        return inner * (self.gamma * self.inv)[:, None, None]


class Relu(Layer):
    top = np.inf

    def forward(self, x, train):
        self.on = (x > 0) & (x < self.top)
        return np.clip(x, 0, self.top)

    def backward(self, dy):
        return dy * self.on


class Relu6(Relu):
    top = np.float32(6)


class Sigmoid(Layer):
    def forward(self, x, train):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


class MaxPool(Layer):
    def forward(self, x, train):
        n, c, h, w = x.shape
        self.v = x.reshape(n, c, h // 2, 2, w // 2, 2)
        self.y = self.v.max((3, 5))
        return self.y

    def backward(self, dy):
        hit = self.v == self.y[:, :, :, None, :, None]
        return (hit * (dy / hit.sum((3, 5)))[:, :, :, None, :, None]).reshape(*dy.shape[:2], dy.shape[2] * 2, dy.shape[3] * 2)


class GlobalPool(Layer):
    def forward(self, x, train):
        self.shape = x.shape
        return x.mean((2, 3), keepdims=True)

    def backward(self, dy):
        return np.broadcast_to(dy / (self.shape[2] * self.shape[3]), self.shape)


class Dense(Layer):
    def __init__(self, cin, cout):
        self.w = rng.standard_normal((cout, cin)).astype(np.float32) * np.float32(np.sqrt(1 / cin))
        self.b = np.zeros(cout, np.float32)

    def params(self):
        return [("w", "dw"), ("b", "db")]

    def forward(self, x, train):
        self.shape, self.x = x.shape, x.reshape(len(x), -1)
        return self.x @ self.w.T + self.b

    def backward(self, dy):
        self.dw, self.db = dy.T @ self.x, dy.sum(0)
        return (dy @ self.w).reshape(self.shape)


class Add(Layer):
    inputs = 2

    def forward(self, x, y, train):
        return x + y

    def backward(self, dy):
        return dy, dy


class Mul(Layer):
    inputs = 2

    def forward(self, x, y, train):
        self.x, self.y = x, y
        return x * y

    def backward(self, dy):
        return dy * self.y, dy * self.x


class Concat(Layer):
    inputs = 2

    def forward(self, x, y, train):
        self.at = x.shape[1]
        return np.concatenate([x, y], 1)

    def backward(self, dy):
        return dy[:, :self.at], dy[:, self.at:]


def network():
    """[(name, layer, names of its inputs)]; "x" is the picture."""
    layers = []

    def add(name, layer, *inputs):
        layers.append((name, layer, inputs or (layers[-1][0] if layers else "x",)))
        return name

    def block(name, cin, cout, k, stride=1, group=1, act=Relu, source=None):
        add(name + ".conv", Conv(cin, cout, k, stride, group), *([source] if source else []))
        add(name + ".bn", Norm(cout))
        return add(name + ".act", act()) if act else name + ".bn"

    block("stem", 3, 16, 3, 2)
    block("dw1", 16, 16, 3, 1, 16, Relu6)
    pool = (block("pw1", 16, 32, 1), add("pool1", MaxPool()))[1]
    inner = (block("res1", 32, 32, 3, source=pool), block("res2", 32, 32, 3, act=None))[1]
    add("res.sum", Add(), pool, inner)
    trunk = add("res.act", Relu())
    left, right = block("left", 32, 24, 1, source=trunk), block("right", 32, 24, 3, source=trunk)
    cat = add("cat", Concat(), left, right)
    block("gate", 48, 48, 1, act=Sigmoid, source=cat)
    add("gated", Mul(), cat, "gate.act")
    block("last", 48, 64, 3, 2)
    add("gap", GlobalPool())
    add("dense", Dense(64, len(CLASSES)))
    return layers


def forward(layers, x, train):
    values = {"x": x}
    for name, layer, inputs in layers:
        values[name] = layer.forward(*(values[i] for i in inputs), train)
    return values[layers[-1][0]]


def backward(layers, dy):
    grads = {layers[-1][0]: dy}
    for name, layer, inputs in reversed(layers):
        d = layer.backward(grads.pop(name))
        for i, g in zip(inputs, d if layer.inputs == 2 else (d,)):
            grads[i] = grads[i] + g if i in grads else g


def train(layers, pictures, labels, epochs=12, batch=32):
    x, state, step = prepare(pictures), {}, 0
    steps = epochs * (len(x) // batch)
    for epoch in range(epochs):
        order, losses = rng.permutation(len(x)), []
        for at in range(0, len(x) - batch + 1, batch):
            pick = order[at:at + batch]
            z = forward(layers, x[pick], True)
            p = np.exp(z - z.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            losses.append(-np.log(p[np.arange(batch), labels[pick]] + 1e-12).mean())
            p[np.arange(batch), labels[pick]] -= 1
            backward(layers, (p / batch).astype(np.float32))
            step += 1
            rate = 3e-3 * .5 * (1 + np.cos(np.pi * step / steps))
            for _, layer, _ in layers:  # Adam
                for value, grad in layer.params():
                    g = getattr(layer, grad)
                    m, v = state.setdefault((id(layer), value), [np.zeros_like(g), np.zeros_like(g)])
                    m += .1 * (g - m)
                    v += .001 * (g * g - v)
                    update = rate * (m / (1 - .9 ** step)) / (np.sqrt(v / (1 - .999 ** step)) + 1e-8)
                    setattr(layer, value, (getattr(layer, value) - update).astype(np.float32))
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}", flush=True)


# ---- ONNX ---------------------------------------------------------------------------------------------------

def to_onnx(layers):
    nodes, inits = [], []

    def const(name, value):
        inits.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name))
        return name

    for name, layer, inputs in layers:
        inputs, out, kind, attrs, op = list(inputs), name, type(layer).__name__, {}, None
        if kind == "Conv":
            inputs.append(const(name + ".weight", layer.w))
            op, attrs = "Conv", dict(kernel_shape=[layer.k] * 2, strides=[layer.s] * 2, pads=[layer.p] * 4, group=layer.g)
        elif kind == "Norm":
            inputs += [const(f"{name}.{p}", getattr(layer, p)) for p in ("gamma", "beta", "mean", "var")]
            op, attrs = "BatchNormalization", dict(epsilon=layer.eps)
        elif kind == "Relu6":
            inputs += [const(name + ".min", np.float32(0)), const(name + ".max", np.float32(6))]
            op = "Clip"
        elif kind == "MaxPool":
            op, attrs = "MaxPool", dict(kernel_shape=[2, 2], strides=[2, 2])
        elif kind == "GlobalPool":
            op = "GlobalAveragePool"
        elif kind == "Concat":
            op, attrs = "Concat", dict(axis=1)
        elif kind == "Dense":
            nodes.append(helper.make_node("Flatten", inputs, ["flat"], name="flatten", axis=1))
            inputs, out = ["flat", const("dense.weight", layer.w), const("dense.bias", layer.b)], "logits"
            op, attrs = "Gemm", dict(transB=1)
        nodes.append(helper.make_node(op or kind, inputs, [out], name=name, **attrs))
    graph = helper.make_graph(nodes, "demo", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(CLASSES)])], inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="make_demo.py")
    model.ir_version = 7
    onnx.checker.check_model(model)
    return model


README = """# The demo's model and pictures

Made by `tools/make_demo.py` (seed {seed}, numpy {numpy}): it draws {size}x{size} pictures of ten classes ({classes}), trains a network
of {params} parameters on {ntrain} of them, and writes what lies here. Ours, under the project's licence.

- held-out accuracy: {accuracy:.1f} % of {ntest} pictures that were not trained on
- `images/`: {nimages} more pictures, also held out; {right} of them are classified rightly
- `model.yaml`: preprocessing, class names and output, as `mutatenn` reads them beside any model
"""


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent / "demo")
    (out / "images").mkdir(parents=True, exist_ok=True)
    layers, (pictures, labels) = network(), draw(6000)
    train(layers, pictures, labels)
    guess = lambda p: np.concatenate([forward(layers, prepare(p[i:i + 200]), False).argmax(1) for i in range(0, len(p), 200)])
    test, truth = draw(2000)
    accuracy = 100 * (guess(test) == truth).mean()
    print(f"held-out accuracy {accuracy:.2f} %")
    onnx.save(to_onnx(layers), out / "model.onnx")
    shown, kinds = draw(40)
    with open(out / "images" / "labels.csv", "w", newline="") as f:
        rows = csv.writer(f, lineterminator="\n")
        rows.writerow(["file", "class_index", "name"])
        for i, (p, k) in enumerate(zip(shown, kinds)):
            name = f"{i:02d}_{CLASSES[k]}.png"
            Image.fromarray(p).save(out / "images" / name, optimize=True)
            rows.writerow([name, k, CLASSES[k]])
    (out / "labels.txt").write_text("\n".join(CLASSES) + "\n")
    (out / "model.yaml").write_text(f"preprocess: resize={SIZE},crop={SIZE},mean=127.5,std=127.5\nlabels: labels.txt\noutput: logits\nscores: logits\n")
    params = sum(getattr(l, v).size for _, l, _ in layers for v, _ in l.params())
    (out / "README.md").write_text(README.format(seed=SEED, numpy=np.__version__, size=SIZE, classes=", ".join(CLASSES), params=params, ntrain=len(pictures),
                                                 accuracy=accuracy, ntest=len(test), nimages=len(shown), right=int((guess(shown) == kinds).sum())))
    if accuracy < 95:
        sys.exit("held-out accuracy is under 95 %")


main()

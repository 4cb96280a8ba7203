#!/usr/bin/env python3
"""Times PyTorch's ResNet-50 on a CUDA device: float32 without TF32, what bench/devices' cuda row is to be compared with.

Random weights (they do not change the time), evaluation mode, cuDNN's own choice of algorithms (benchmark = True), timed by CUDA events around
whole runs, eagerly and as one CUDA graph. A large matrix product shows what the card reaches in the same arithmetic.
Needs a Python with torch that sees the GPU; the network is written out here, so torchvision is not needed.
"""
import argparse
import json
import statistics
import sys

try:
    import torch
    from torch import nn
except ImportError as e:
    sys.exit(f"cuda_peer: {e}: this Python has no PyTorch")


class Block(nn.Module):
    def __init__(self, cin, mid, stride):
        super().__init__()
        cout = 4 * mid
        self.body = nn.Sequential(nn.Conv2d(cin, mid, 1, bias=False), nn.BatchNorm2d(mid), nn.ReLU(inplace=True),
                                  nn.Conv2d(mid, mid, 3, stride, 1, bias=False), nn.BatchNorm2d(mid), nn.ReLU(inplace=True),
                                  nn.Conv2d(mid, cout, 1, bias=False), nn.BatchNorm2d(cout))
        self.short = nn.Identity() if stride == 1 and cin == cout else nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        return torch.relu(self.body(x) + self.short(x))


def resnet50():
    layers, cin = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], 64
    for mid, n, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(n):
            layers.append(Block(cin, mid, stride if i == 0 else 1))
            cin = 4 * mid
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def macs(model, x):
    """Multiply-accumulates of convolutions and the product at the end."""
    total, hooks = [0], []

    def conv(m, _, y):
        total[0] += y.numel() * m.weight[0].numel()

    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            hooks.append(m.register_forward_hook(conv))
    model(x)
    for h in hooks:
        h.remove()
    return total[0]


def timed(run, repeat, warmup):
    for _ in range(warmup):
        run()
    times = []
    for _ in range(repeat):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        run()
        b.record()
        b.synchronize()
        times.append(a.elapsed_time(b))
    return statistics.median(times)


def product_tflops():
    a, b = torch.randn(8192, 8192, device="cuda"), torch.randn(8192, 8192, device="cuda")
    return 2 * 8192 ** 3 / timed(lambda: a @ b, 5, 2) / 1e9


def main():
    p = argparse.ArgumentParser(prog="bench/cuda_peer.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--repeat", type=int, default=30)
    p.add_argument("--warmup", type=int, default=10)
    p.add_argument("--channels-last", action="store_true", help="activations with channels innermost")
    p.add_argument("--json", action="store_true")
    o = p.parse_args()
    if not torch.cuda.is_available():
        sys.exit("cuda_peer: PyTorch sees no CUDA device")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    model, x = resnet50().eval().cuda(), torch.randn(o.batch, 3, 224, 224, device="cuda")
    if o.channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        flop = 2 * macs(model, x)
        eager = timed(lambda: model(x), o.repeat, o.warmup)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            model(x)
        replay = timed(graph.replay, o.repeat, o.warmup)
        product = product_tflops()
    best = min(eager, replay)
    r = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "cudnn": torch.backends.cudnn.version(), "batch": o.batch,
         "eager_ms": eager, "graph_ms": replay, "images_per_s": 1e3 * o.batch / best, "tflops": flop / best / 1e9, "product_tflops": product,
         "multiprocessors": torch.cuda.get_device_properties(0).multi_processor_count}
    if o.json:
        print(json.dumps(r, indent=1))
    else:
        print(f"{r['device']}, torch {r['torch']}, batch {o.batch}: {eager:.2f} ms eagerly, {replay:.2f} ms as a graph; {r['images_per_s']:.0f} images/s, "
              f"{r['tflops']:.1f} TFLOP/s; a large product reaches {product:.1f}")


if __name__ == "__main__":
    main()

"""Native engine against PyTorch on the CPU: the same network (built from phasegraph's own description of it), the same
batch, the same threads, one process after the other, best step of each.

    cargo build --release --benches        # prints the path of the binary: target/release/deps/native-…
    python3 benches/training/compare.py target/release/deps/native-HASH [--threads 2] [--rounds 3]

Needs `torch`. Alternates both engines so that a machine that gets slower meanwhile is slower for both.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional as F

CASES = [
    dict(network="full", width=32, task="labels", channels=1),
    dict(network="full", width=16, task="labels", channels=1),
    dict(network="compact", width=16, task="labels", channels=1),
    dict(network="compact", width=16, task="physics", channels=4),
    dict(network="ptychopinn", width=16, task="labels", channels=4),
]


class Network(torch.nn.Module):
    """A network from its description (docs/models.md)."""

    def __init__(self, description):
        super().__init__()
        self.d = description
        self.convs = torch.nn.ModuleList(
            torch.nn.Conv2d(c["inputs"], c["outputs"], 3, padding=1) for c in description["convs"])
        self.units = {"one": 1.0, "ceiling": description["ceiling"], "pi": torch.pi}

    def forward(self, x):
        maps = {0: x}
        for op in self.d["ops"]:
            kind, to = op["op"], op["to"]
            source = maps.get(op.get("from"))
            if kind == "conv":
                y = self.convs[op["conv"]](source)
                y = F.relu(y, inplace=True) if op["relu"] else y
            elif kind == "pool":
                y = F.max_pool2d(source, 2)
            elif kind == "upsample":
                y = F.interpolate(source, scale_factor=2, mode="nearest")
            elif kind == "slice":
                y = source[:, op["first"]:op["first"] + self.d["maps"][to]["channels"]]
            elif kind == "activate":
                act = {"identity": lambda z: z, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "swish": F.silu}
                y = self.units[op["unit"]] * act[op["function"]](source)
            elif kind == "inlay":
                inner, outer = maps[op["inner"]], maps[op["outer"]]
                m = (outer.shape[-1] - inner.shape[-1]) // 2
                mask = torch.ones_like(outer[:1, :1])
                mask[..., m:-m, m:-m] = 0
                y = F.pad(inner, (m, m, m, m)) + outer * mask
            maps[to] = y
        return [maps[i] for i in self.d["outputs"]]


def label_loss(outputs, target):
    return sum((o - t).abs().mean() for o, t in zip(outputs, target))


def physics_loss(side):
    """Patches of a group 2 px apart averaged on a canvas, cut out again, probe, unitary FFT, MAE of amplitudes."""
    probe = torch.rand(side, side) + 0.1j

    def loss(outputs, measured):
        amplitude, phase = outputs
        patches = torch.polar(amplitude, phase)
        b, c, m, _ = patches.shape
        width = side + 2 * c
        margin = (side - m) // 2
        canvas = torch.zeros(b, width, width, dtype=torch.complex64)
        weight = torch.full((1, width, width), 1e-3)
        for i in range(c):
            at = slice(margin + 2 * i, margin + 2 * i + m)
            canvas[:, at, at] = canvas[:, at, at] + patches[:, i]
            weight[:, at, at] = weight[:, at, at] + 1
        canvas = canvas / weight
        cut = torch.stack([canvas[:, 2 * i:2 * i + side, 2 * i:2 * i + side] for i in range(c)], 1)
        far = torch.fft.fftshift(torch.fft.fft2(cut * probe, norm="ortho"), dim=(-2, -1))
        return (far.abs() - measured).abs().mean()

    return loss


def torch_rate(description, case, batch, steps):
    net = Network(description)
    side, drawn = description["maps"][0]["side"], description["maps"][description["outputs"][0]]["side"]
    x = torch.rand(batch, case["channels"], side, side)
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    if case["task"] == "labels":
        target = [torch.rand(batch, case["channels"], drawn, drawn) for _ in range(2)]
        loss_of = label_loss
    else:
        target, loss_of = x, physics_loss(side)
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        adam.zero_grad()
        loss_of(net(x), target).backward()
        adam.step()
        times.append(time.perf_counter() - start)
    return batch / min(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("native", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"PyTorch {torch.__version__}, {args.threads} threads, batch {args.batch}, {args.side} px; samples/s, best step")
    print("| network | task | parameters | native | PyTorch | ratio |\n|---|---|---|---|---|---|")
    for case in CASES:
        best = {"native": 0.0, "torch": 0.0}
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "network.json"
            keys = [f"{k}={v}" for k, v in case.items()]
            keys += [f"batch={args.batch}", f"threads={args.threads}", f"steps={args.steps}", f"side={args.side}", f"out={out}"]
            for _ in range(args.rounds):
                done = subprocess.run([args.native, "train", *keys], check=True, capture_output=True, text=True)
                figures = json.loads(done.stdout)
                best["native"] = max(best["native"], figures["samples_per_s_best"])
                description = json.loads(out.read_text())
                best["torch"] = max(best["torch"], torch_rate(description, case, args.batch, args.steps))
        print(f"| {figures['network']}, C = {case['channels']} | {case['task']} | {figures['parameters']} | {best['native']:.1f} "
              f"| {best['torch']:.1f} | {best['native'] / best['torch']:.2f} |", flush=True)


if __name__ == "__main__":
    main()

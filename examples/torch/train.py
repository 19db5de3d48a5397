"""Trains a small network of its own with PyTorch on a phasegraph dataset and exports it as ONNX.

    train.py DATA.npz MODEL.onnx [EPOCHS]

It knows phasegraph only by its files: the dataset (docs/formats.md) and the model contract (docs/models.md). Needs
`torch` and `onnx`; PyTorch is not part of phasegraph.
"""

import sys

import numpy as np
import onnx
import torch
from torch import nn


class Net(nn.Module):
    """Single images in; amplitude and phase of the central half of the patch out, padded with zeros."""

    def __init__(self, n, width=16):
        super().__init__()
        self.margin = n // 4

        def block(i, o):
            return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.Conv2d(o, o, 3, padding=1), nn.ReLU())

        self.down = nn.Sequential(block(1, width), nn.MaxPool2d(2), block(width, 2 * width), nn.MaxPool2d(2),
                                  block(2 * width, 4 * width))
        up = [nn.Sequential(block(4 * width, 2 * width), nn.Upsample(scale_factor=2), nn.Conv2d(2 * width, 1, 3, padding=1))
              for _ in range(2)]
        self.amplitude, self.phase = up

    def forward(self, x):
        features = self.down(x)
        pad = (self.margin,) * 4
        amplitude = nn.functional.pad(2 * torch.sigmoid(self.amplitude(features)), pad)
        return amplitude, nn.functional.pad(torch.pi * torch.tanh(self.phase(features)), pad)


def patches(data, n):
    """Patches of the true object, nearest pixel, and the central half only."""
    m, margin = n // 2, n // 4
    rows = np.rint(data["ycoords"]).astype(int) - n // 2 + margin
    cols = np.rint(data["xcoords"]).astype(int) - n // 2 + margin
    return np.stack([data["objectGuess"][r:r + m, c:c + m] for r, c in zip(rows, cols)])


def main():
    source, target, *rest = sys.argv[1:]
    epochs = int(rest[0]) if rest else 8
    torch.manual_seed(0)
    data = np.load(source, allow_pickle=False)
    x = data["diffraction"].astype(np.float32)
    n = x.shape[-1]
    # The contract's `rms`: infer does the same with whatever dataset it is given.
    x *= np.sqrt((n / 2) ** 2 / np.mean(np.sum(x.astype(np.float64) ** 2, axis=(1, 2))))
    truth = patches(data, n)
    inputs = torch.from_numpy(x)[:, None]
    amplitude = torch.from_numpy(np.abs(truth).astype(np.float32))[:, None]
    phase = torch.from_numpy(np.angle(truth).astype(np.float32))[:, None]

    net, inside = Net(n), slice(n // 4, n // 4 + n // 2)
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    for epoch in range(epochs):
        total = 0.0
        for some in torch.randperm(len(inputs)).split(16):
            a, p = net(inputs[some])
            a, p = a[..., inside, inside], p[..., inside, inside]
            loss = (a - amplitude[some]).abs().mean() + (p - phase[some]).abs().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item() * len(some)
        print(f"epoch {epoch + 1}/{epochs} loss {total / len(inputs):.5f}", flush=True)

    net.eval()
    torch.onnx.export(net, (inputs[:2],), target, input_names=["diffraction"], output_names=["amplitude", "phase"],
                      dynamic_axes={name: {0: "batch"} for name in ("diffraction", "amplitude", "phase")},
                      opset_version=17, dynamo=False)
    model = onnx.load(target)
    onnx.helper.set_model_props(model, {
        "phasegraph.n": str(n), "phasegraph.gridsize": "1", "phasegraph.channels": "1",
        "phasegraph.normalisation": "rms", "phasegraph.architecture": "examples/torch",
    })
    onnx.save(model, target)


if __name__ == "__main__":
    main()

"""The study's four networks in PyTorch, eager, on all cores, as its tutorials train: a peer.

`python benchmarks/peer.py NETWORK IMAGES EPOCHS` prints the seconds of each epoch as JSON. It needs
PyTorch for CPUs, which the project does not install: `pip install torch`.
"""

import json
import math
import sys
import time
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

NETWORKS = {  # flips, rotation and zoom; convolution widths; dense units; dropout
    "baseline": (False, False, (16,), 16, 0.0),
    "improved": (True, True, (16, 32, 64), 64, 0.0),
    "deep": (False, False, (16, 32, 64, 128, 256), 1024, 0.5),
    "final": (True, False, (16, 32, 64, 128, 256), 512, 0.0),
}


def network(name: str) -> nn.Module:
    _, _, widths, dense, dropout = NETWORKS[name]
    stack: list[nn.Module] = []
    for before, width in pairwise((3, *widths)):
        stack += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    units = widths[-1] * (32 >> len(widths)) ** 2
    stack += [nn.Flatten(), nn.Linear(units, dense), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*stack, nn.Linear(dense, 10))


def augment(name: str, images: torch.Tensor) -> torch.Tensor:
    flips, turns, *_ = NETWORKS[name]
    count = len(images)
    if flips:
        for axis in (2, 3):
            chosen = torch.rand(count, 1, 1, 1) < 0.5
            images = torch.where(chosen, images.flip(axis), images)
    if turns:
        angle = (torch.rand(count) * 2 - 1) * 0.2 * math.pi
        scale = 1 + (torch.rand(count) * 2 - 1) * 0.1
        cosine, sine = scale * angle.cos(), scale * angle.sin()
        nothing = torch.zeros(count)
        rows = [torch.stack(row, 1) for row in ((cosine, -sine, nothing), (sine, cosine, nothing))]
        grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        images = functional.grid_sample(
            images, grid, padding_mode="reflection", align_corners=False
        )
    return images


def main(name: str, images: int, epochs: int) -> None:
    generator = np.random.default_rng(0)
    data = torch.from_numpy(generator.random((images, 3, 32, 32), np.float32))
    labels = torch.from_numpy(generator.integers(10, size=images))
    model = network(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
    seconds = []
    for _ in range(epochs):
        started = time.monotonic()
        model.train()
        for chosen in torch.randperm(images).split(32):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(augment(name, data[chosen])), labels[chosen])
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for part in data[: images // 9].split(100):
                model(part)
        seconds.append(time.monotonic() - started)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

"""A memory as a layer in somebody's network: a small classifier of handwritten digits.

`wide` has a hidden layer with as many weights as the memory, since more weights alone may help.

    PYTHONPATH=src python examples/memory_layer.py --seeds 3
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from retrograd.differentiable import Memory, ProductKeyMemory, TopK

KINDS = ("plain", "wide", "memory", "product keys")


class Classifier(nn.Module):
    """Two linear maps, and between them one of `KINDS`."""

    def __init__(self, kind: str, width: int = 32, slots: int = 256) -> None:
        super().__init__()
        self.inside, self.outside = nn.Linear(64, width), nn.Linear(width, 10)
        wide = nn.Sequential(nn.Linear(width, slots), nn.ReLU(), nn.Linear(slots, width))
        memory = Memory(torch.randn(slots, width), torch.randn(slots, width) / width**0.5, trainable=True)
        product = ProductKeyMemory(slots, width, k=8, heads=2)
        self.layer = dict(zip(KINDS, (nn.Identity(), wide, memory, product), strict=True))[kind]

    def forward(self, images: Tensor) -> Tensor:
        """(B, 64) pixels -> (B, 10) logits."""
        states = torch.relu(self.inside(images))
        options = (TopK(8),) if isinstance(self.layer, Memory) else ()
        return self.outside(states + self.layer(states, *options))


def accuracy(kind: str, *, seed: int, steps: int) -> float:
    """Share of a fifth of the digits that a network trained on the others gets right."""
    images, labels = (torch.from_numpy(each) for each in load_digits(return_X_y=True))
    torch.manual_seed(seed)
    model, (test, train) = Classifier(kind), torch.randperm(len(images)).split([360, 1437])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.003)
    for rows in (train[torch.randint(len(train), (64,))] for _ in range(steps)):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images[rows].float() / 16), labels[rows]).backward()
        optimiser.step()
    return float((model.eval()(images[test].float() / 16).argmax(-1) == labels[test]).float().mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each; each cuts the digits anew")
    parser.add_argument("--steps", type=int, default=500, help="of training, 64 digits each")
    given = parser.parse_args()
    for kind in KINDS:
        found = [accuracy(kind, seed=seed, steps=given.steps) for seed in range(given.seeds)]
        print(f"{kind}: {sum(found) / len(found):.3f} of", " ".join(f"{each:.3f}" for each in found))

"""The figure of docs/operators/approximate-search.md: which rows should stand for all, by temperature.

PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/operator_figures.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from retrograd.differentiable import Memory, TopK, Uniform, Union, estimator_report
from retrograd.evaluation.canvas import SERIES, label, plain_decades, save, style

SUPPORTS = {
    "100 nearest": TopK(100),
    "100 uniform": Uniform(100),
    "50 nearest, 50 uniform": Union(TopK(50), Uniform(50)),
}
TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)


def errors(averaged: bool) -> dict[str, list[float]]:
    """Error of the gradient by support and temperature, of one draw or of the mean of ten."""
    torch.manual_seed(0)
    memory, queries = Memory(torch.randn(2000, 16)), torch.randn(50, 16)
    found: dict[str, list[float]] = {name: [] for name in SUPPORTS}
    for tau in TEMPERATURES:
        report = estimator_report(memory, queries, list(SUPPORTS.values()), temperature=tau)
        for name, line in zip(SUPPORTS, report.figures, strict=True):
            found[name].append(line.averaged_error if averaged else line.gradient_error)
    return found


def main() -> None:
    """Write the figure."""
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/figures/operators_support.png"))
    given = parser.parse_args()
    with style():
        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for panel, averaged in zip(panels, (False, True), strict=True):
            for (name, line), colour in zip(errors(averaged).items(), SERIES, strict=False):
                panel.plot(TEMPERATURES, line, color=colour, marker="o", markersize=3)
                last = max(at for at, error in enumerate(line) if error < 1)
                if averaged:
                    right = last == len(line) - 1
                    options = {"color": colour, "ha": "left" if right else "right"}
                    label(panel, name, (TEMPERATURES[last], line[last]), (5 if right else -7, -3), **options)
            panel.set(xscale="log", xlabel="temperature", ylim=(0, 1.05))
            panel.set_title("mean of ten draws" if averaged else "one draw")
            plain_decades(panel.xaxis)
        panels[0].set_ylabel("error of the gradient")
        save(figure, given.out)


if __name__ == "__main__":
    main()

"""Two limits of constrained decoding, by formula and by simulation, for a model that is always right.

1. Masking token by token to a part of the catalogue diverges from the truth, by about
   `(1 - share) / (2 share) * sum_a p(a) (1 - p(a)) S_a` nats at the first token; S_a is the Simpson index
   of the documents below token a.
2. A beam that ranks prefixes by their summed probability keeps about B/V of the relevant documents, where
   these are little mass among V prefixes with a thick tail. One that ranks them by the best document below
   keeps all.

Both reconstruct the analysis of arXiv 2504.09935 and are not known to be the authors' own set-up.

    PYTHONPATH=src python examples/constrained_decoding_theory.py --png theory.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrograd.evaluation.diagnostics.divergence import prefix_numbers, simpson, step_divergence

CODES, LEVELS = 32, 3
CONCENTRATIONS = ((10.0, 0.5), (1.0, 0.1), (0.1, 0.1), (0.1, 0.02), (0.01, 0.5), (0.01, 0.02))
"""Of the gamma law of probabilities (small: few documents hold the mass), and the share that stays."""

MASSES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Of all relevant documents together."""

RATIOS = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Beam over the number of relevant documents."""


def masked_law(concentration: float, share: float, *, draws: int, seed: int) -> tuple[float, float, float]:
    """Mean divergence of the first token in nats, what the formula says, and the mean Simpson index.

    Each draw has a law over all documents of its own.
    """
    keys = np.stack(np.unravel_index(np.arange(CODES**LEVELS), (CODES,) * LEVELS), axis=1)
    prefixes, random = prefix_numbers(keys)[:1], np.random.default_rng(seed)
    rows = []
    for draw in range(draws):
        mass = random.gamma(concentration, size=(1, len(keys)))
        chance = mass / mass.sum()
        found = step_divergence(chance, prefixes, share, draws=1, seed=seed + draw)
        rows.append((found.first_token, found.predicted, float(simpson(chance, prefixes[0]).mean())))
    first, formula, index = np.mean(rows, axis=0)
    return float(first), float(formula), float(index)


def beam_recall(
    mass: float, *, relevant: int, prefixes: int, beam: int, draws: int, seed: int
) -> tuple[float, float]:
    """Mean recall of the relevant documents at their number, by summed and by best probability below.

    The relevant ones have `mass / relevant` each and stand under different prefixes. The rest is spread over
    the prefixes by a Lomax law (shape 1.5) and evenly below each, over so many documents that every one of
    them is less likely than any relevant one.
    """
    random = np.random.default_rng(seed)
    by_sum, by_best = [], []
    for _ in range(draws):
        other = random.pareto(1.5, prefixes)
        other *= (1 - mass) / other.sum()
        holds = np.zeros(prefixes, bool)
        holds[random.choice(prefixes, relevant, replace=False)] = True
        documents = np.ceil(1.25 * other.max() * relevant / mass)
        sums = other + holds * mass / relevant
        bests = np.maximum(other / documents, holds * mass / relevant)
        for scores, found in ((sums, by_sum), (bests, by_best)):
            kept = np.argsort(-scores, kind="stable")[:beam]
            # the relevant documents below the prefixes that are kept beat all others there
            found.append(holds[kept].sum() / relevant)
    return float(np.mean(by_sum)), float(np.mean(by_best))


def draw(divergence: Sequence[tuple], sweep: dict, wide: dict, path: Path) -> None:
    """Simulation against formula, and recall against the mass of the relevant and against the beam."""
    from matplotlib.figure import Figure

    from retrograd.evaluation.canvas import QUIET, SERIES, footnote, label, plain_decades, save, style

    with style():
        canvas = Figure(figsize=(11.4, 3.9), layout="constrained")
        masking, limit, cure = canvas.subplots(1, 3)
        formula, found = ([row[at] for row in divergence] for at in (3, 2))
        ends = [min(formula) / 2, 2 * max(formula)]
        masking.plot(ends, ends, color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)))
        masking.plot(formula, found, "o", color=SERIES[0], markersize=6)
        for at, (concentration, share, nats, expected, _) in enumerate(
            sorted(divergence, key=lambda row: row[3])
        ):
            left = at % 2 == 1  # neighbours on different sides
            place = {"offset": (-8 if left else 8, 2 if left else -9), "ha": "right" if left else "left"}
            label(masking, f"{concentration:g}, {100 * share:g} %", (expected, nats), fontsize=8, **place)
        masking.set(xscale="log", yscale="log", xlabel="nats by formula", ylabel="nats simulated")
        for axis in (masking.xaxis, masking.yaxis):
            plain_decades(axis)
        masking.set_title("Masking: simulation against formula")
        for colour, (ratio, rows) in zip(SERIES, sweep.items(), strict=False):
            limit.plot(
                rows.keys(), [row[0] for row in rows.values()], "o-", color=colour, label=f"V = {ratio} k"
            )
            limit.axhline(1 / ratio, color=colour, linewidth=1.1, linestyle=(0, (4, 3)))
        limit.plot(MASSES, [1.0] * len(MASSES), "s-", color=SERIES[2], label="by best below")
        limit.set(
            xscale="log", ylim=(0, 1.05), xlabel="mass of the relevant documents", ylabel="recall@k, beam k"
        )
        plain_decades(limit.xaxis, factor=100, unit=" %")
        limit.set_title("Summed scores keep B/V")
        limit.legend(loc=(0.03, 0.66))
        for colour, (mass, rows) in zip(SERIES, wide.items(), strict=False):
            cure.plot(
                rows.keys(),
                [row[0] for row in rows.values()],
                "o-",
                color=colour,
                label=f"mass {100 * mass:g} %",
            )
        cure.plot(RATIOS, [RATIOS[at] / 4 for at in range(len(RATIOS))], color=QUIET, linestyle=(0, (4, 3)))
        cure.set(ylim=(0, 1.05), xlabel="beam, in relevant documents", ylabel="recall@k, V = 4 k")
        cure.set_title("A wider beam helps while mass is left")
        cure.legend(loc="lower right")
        footnote(
            canvas,
            "Dashed: theory. Left: concentration of the law, share of the documents that stays. "
            "k relevant documents, V prefixes. Reconstructed from the analysis of arXiv 2504.09935.",
        )
        save(canvas, path)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Simulate, print, draw; the figures by name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--draws", type=int, default=60, help="of the first part; the second takes seven times as many"
    )
    parser.add_argument("--relevant", type=int, default=32, help="relevant documents, k")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--png", type=Path, default=Path("constrained_decoding_theory.png"), help="where to draw"
    )
    given = parser.parse_args(arguments)
    many, k = 7 * given.draws, given.relevant

    divergence = [(*case, *masked_law(*case, draws=given.draws, seed=given.seed)) for case in CONCENTRATIONS]
    print(
        "| concentration | share kept | nats simulated | by formula | Simpson index |\n|---|---|---|---|---|"
    )
    for concentration, share, nats, formula, index in divergence:
        print(f"| {concentration:g} | {share:g} | {nats:.5f} | {formula:.5f} | {index:.4f} |")

    def recall(mass: float, ratio: float, times: float = 1.0) -> tuple[float, float]:
        return beam_recall(
            mass,
            relevant=k,
            prefixes=round(ratio * k),
            beam=round(times * k),
            draws=many,
            seed=given.seed,
        )

    sweep = {ratio: {mass: recall(mass, ratio) for mass in MASSES} for ratio in (2, 4)}
    wide = {mass: {times: recall(mass, 4, times) for times in RATIOS} for mass in (0.2, 0.05, 0.01)}
    print(
        "\n| mass of the relevant | V / k | beam / k | B / V | recall, summed | recall, best below |\n"
        "|---|---|---|---|---|---|"
    )
    cells = [(mass, ratio, 1.0, found) for ratio, rows in sweep.items() for mass, found in rows.items()]
    cells += [
        (mass, 4, times, found) for mass, rows in wide.items() for times, found in rows.items() if times > 1
    ]
    for mass, ratio, times, (summed, best) in cells:
        print(f"| {mass:g} | {ratio} | {times:g} | {times / ratio:.3f} | {summed:.3f} | {best:.3f} |")
    draw(divergence, sweep, wide, given.png)
    print(f"\nwrote {given.png}")
    by_sum = {f"recall {mass:g} {ratio} {times:g}": found[0] for mass, ratio, times, found in cells}
    by_best = {f"best {mass:g} {ratio} {times:g}": found[1] for mass, ratio, times, found in cells}
    nats = {f"nats {case[0]:g} {case[1]:g}": case[2] for case in divergence}
    return by_sum | by_best | nats


if __name__ == "__main__":
    main()

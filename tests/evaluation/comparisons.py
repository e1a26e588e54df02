"""A comparison whose outcome is known, for the tests of what is shown of it."""

import numpy as np

from retrograd.evaluation.measures import Scores

QUERIES = [f"q{number:02}" for number in range(40)]


def scores(shift: float, seed: int) -> Scores:
    noise = np.random.default_rng(seed).normal(0, 0.05, (2, len(QUERIES)))
    return Scores(
        {
            measure: dict(zip(QUERIES, (0.5 + shift + row).tolist(), strict=True))
            for measure, row in zip(("nDCG@10", "R@100"), noise, strict=True)
        }
    )


SYSTEMS = {
    "base": scores(0, 0),
    "high": [scores(0.2, 1), scores(0.21, 2)],
    "same": scores(0, 3),
    "low": scores(-0.2, 4),
}

"""Divergence: what masking token by token does to the distribution over a part of the catalogue.

A model that is right about the whole catalogue is wrong about a part of it once illegal tokens are masked
and the rest renormalised: a token keeps the mass of its keys that left. The set-up and the formula
reconstruct the analysis of arXiv 2504.09935; they are not known to be the authors'.
Knows probabilities and prefixes; neither models nor documents.
Shapes: B queries, n keys, L levels, A tokens of the first level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StepDivergence:
    """At one share of the catalogue; means over queries and draws, in nats."""

    share: float
    """Each key stays with this probability."""

    first_token: float
    """KL divergence of the true law of the first token from the masked model's."""

    predicted: float
    """The same by the formula, `(1 - share) / (2 share) * sum_a p(a) (1 - p(a)) S_a`."""

    whole_key: float
    """KL divergence of the true law of keys from the masked model's."""


def prefix_numbers(keys: np.ndarray) -> np.ndarray:
    """(L, n) int64: number of each key's prefix at each level, equal for equal prefixes.

    Args:
        keys: (n, L) int, all different, short keys padded with -1.

    >>> prefix_numbers(np.array([[0, 1], [0, 2], [3, -1]])).tolist()
    [[0, 0, 1], [0, 1, 2]]
    """
    numbers = np.zeros((keys.shape[1], len(keys)), np.int64)
    above = np.zeros(len(keys), np.int64)
    for level in range(keys.shape[1]):
        pairs = np.stack([above, keys[:, level]], axis=1)
        above = np.unique(pairs, axis=0, return_inverse=True)[1].ravel()
        numbers[level] = above
    return numbers


def masses(chance: np.ndarray, prefix: np.ndarray) -> np.ndarray:
    """(B, prefixes): summed probability (B, n) of the keys below each prefix (n,)."""
    order = np.argsort(prefix, kind="stable")
    starts = np.flatnonzero(np.diff(prefix[order], prepend=-1))
    found: np.ndarray = np.add.reduceat(chance[:, order], starts, axis=1)
    return found


def simpson(chance: np.ndarray, prefix: np.ndarray) -> np.ndarray:
    """(B, A) Simpson index of each prefix: the probability that two keys drawn below it are the same.

    Simpson 1949. 1 where a single key holds all the mass, 1 / keys where all share alike.

    >>> simpson(np.array([[0.2, 0.2, 0.6]]), np.array([0, 0, 1])).round(2).tolist()
    [[0.5, 1.0]]
    """
    whole = masses(chance, prefix)
    shares: np.ndarray = masses(chance**2, prefix) / np.maximum(whole, np.finfo(chance.dtype).tiny) ** 2
    return shares


def predicted_divergence(chance: np.ndarray, first: np.ndarray, share: float) -> np.ndarray:
    """(B,): the formula of `StepDivergence.predicted`, the first term of an expansion in small errors.

    Args:
        chance: (B, n) probabilities of the keys of the whole catalogue.
        first: (n,) number of each key's first token.
        share: above 0.
    """
    mass = masses(chance, first)
    total: np.ndarray = (mass * (1 - mass) * simpson(chance, first)).sum(axis=1)
    scaled: np.ndarray = (1 - share) / (2 * share) * total
    return scaled


def divergences(chance: np.ndarray, prefixes: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """KL divergence of the truth from the masked model, of the first token and of whole keys: two (B,).

    Args:
        chance: (B, n) probabilities of the keys of the whole catalogue.
        prefixes: (L, n) from `prefix_numbers`.
        kept: (n,) bool, at least one True: the part of the catalogue that may be answered.
    """
    tiny = np.finfo(chance.dtype).tiny
    truth = chance[:, kept] / np.maximum(chance[:, kept].sum(axis=1, keepdims=True), tiny)
    masked = np.zeros_like(truth)  # logarithm of the masked model's probability
    above, first_token = np.zeros(len(kept), np.int64), np.zeros(len(chance))
    for level, prefix in enumerate(prefixes):
        live, where = np.unique(prefix[kept], return_inverse=True)
        mass = masses(chance, prefix)[:, live]
        parent = np.zeros(int(prefix.max()) + 1, np.int64)
        parent[prefix] = above
        siblings = np.unique(parent[live], return_inverse=True)[1]
        step = np.log(np.maximum(mass / np.maximum(masses(mass, siblings)[:, siblings], tiny), tiny))
        masked += step[:, where]
        if level == 0:
            true_mass = masses(truth, where)
            first_token = _divergence(true_mass, step)
        above = prefix
    return first_token, _divergence(truth, masked)


def _divergence(truth: np.ndarray, log_model: np.ndarray) -> np.ndarray:
    """(B,) `sum p (log p - log q)` of (B, m) p and log q; terms without mass are 0."""
    log_truth = np.log(np.maximum(truth, np.finfo(truth.dtype).tiny))
    total: np.ndarray = np.maximum((truth * (log_truth - log_model)).sum(axis=1), 0.0)
    return total


def step_divergence(
    chance: np.ndarray, prefixes: np.ndarray, share: float, *, draws: int, seed: int
) -> StepDivergence:
    """Means over `draws` random parts of the catalogue; each key stays with probability `share`.

    Args:
        chance: (B, n) probabilities of the keys of the whole catalogue.
        prefixes: (L, n) from `prefix_numbers`.
        share: from above 0 to 1.
    """
    random = np.random.default_rng([seed, round(1e6 * share)])
    found = []
    for _ in range(draws):
        kept: np.ndarray = np.less(random.random(chance.shape[1]), share)
        kept[random.integers(len(kept))] |= not kept.any()
        found.append([part.mean() for part in divergences(chance, prefixes, kept)])
    first, whole = np.mean(found, axis=0).tolist()
    formula = float(predicted_divergence(chance, prefixes[0], share).mean())
    return StepDivergence(share, first, formula, whole)

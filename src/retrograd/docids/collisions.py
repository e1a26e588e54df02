"""What happens when several documents get the same codes: three named policies.

Pure functions of code matrices; they know neither vectors nor tables.
Shapes: n documents to place, m keys already taken, L levels, K codes on the last level.
"""

from __future__ import annotations

import numpy as np

COLLISIONS = ("suffix", "expand", "reassign")
"""The policies a scheme may name."""


def suffix(codes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """One more digit per key: the next free one among the keys with the same codes.

    Every key gets the digit, 0 where it is alone, so that a later twin never makes a key a prefix.

    Args:
        codes: (n, L) int64; -1 pads.
        taken: (m, L + 1) int64 keys of this policy.

    Returns: (n, L + 1) int64, all distinct and none in `taken`; earlier rows get lower digits.

    >>> suffix(np.array([[4, 2], [4, 2], [0, 1]]), np.array([[4, 2, 0]])).tolist()
    [[4, 2, 1], [4, 2, 2], [0, 1, 0]]
    """
    groups = _groups(np.concatenate([taken[:, :-1], codes]))
    old, added = groups[: len(taken)], groups[len(taken) :]
    following = np.zeros(groups.max(initial=-1) + 1, np.int64)
    np.maximum.at(following, old, taken[:, -1] + 1)
    return np.column_stack([codes, following[added] + rank_within(added)])


def expand(codes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Documents with the same codes share one key, which expands to them in row order.

    Args:
        codes: (n, L) int64.
        taken: ignored: a taken key is shared like any other.

    Returns: `codes`.
    """
    return codes


def reassign(codes: np.ndarray, taken: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """The first document keeps shared codes; each other moves to the nearest free last code.

    First owners are settled before anybody moves, then the others move in row order. Where all K
    last codes under a prefix are taken, the document gets the next number from K on: a suffix digit
    folded into the last level, which keeps all keys equally long and lets documents come later.

    Args:
        codes: (n, L) int64.
        taken: (m, L) int64 keys of this policy.
        distances: (n, K) of each document to each last code; the lower code wins a tie.

    Returns: (n, L) int64, all distinct and none in `taken`; only the last column may differ from `codes`.

    >>> reassign(
    ...     np.array([[7, 0], [7, 0]]), np.empty((0, 2), int), np.array([[0.1, 2, 1], [0.2, 2, 1]])
    ... ).tolist()
    [[7, 0], [7, 2]]
    """
    groups = _groups(np.concatenate([taken, codes]))
    displaced = np.flatnonzero(rank_within(groups)[len(taken) :])
    kept = np.delete(codes, displaced, axis=0)
    last_codes: dict[tuple[int, ...], set[int]] = {}
    for *prefix, last in np.concatenate([taken, kept]).tolist():
        last_codes.setdefault(tuple(prefix), set()).add(last)
    out = codes.copy()
    for row in displaced.tolist():
        used = last_codes[tuple(codes[row, :-1].tolist())]
        out[row, -1] = _nearest_free(distances[row], used)
        used.add(int(out[row, -1]))
    return out


def _nearest_free(distances: np.ndarray, used: set[int]) -> int:
    for code in np.argsort(distances, kind="stable").tolist():
        if code not in used:
            return int(code)
    return max(len(distances), max(used) + 1)


def _groups(keys: np.ndarray) -> np.ndarray:
    """(n,) int64: equal rows get equal numbers."""
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def rank_within(groups: np.ndarray) -> np.ndarray:
    """(n,) group numbers -> (n,) int64: how many rows of the same group stand before each row.

    >>> rank_within(np.array([5, 3, 5, 5])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(groups, kind="stable")
    sorted_groups = groups[order]
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.searchsorted(sorted_groups, sorted_groups)
    return ranks

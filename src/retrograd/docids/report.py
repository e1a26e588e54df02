"""Figures that tell whether a docid table is healthy, and alarms in words where it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.docid_table import DocidTable

USED_SHARE = 0.5
"""A level that uses less of its codes (or of the documents, if fewer) is called collapsed."""

LARGEST_SHARE = 0.5
"""One token holding more of a level's documents makes the level nearly worthless."""

WORTH = 3.0
"""A level of 16 codes or more whose perplexity is below this tells hardly anything apart."""

SHARING_SHARE = 0.1
"""More documents than this sharing keys cost rank precision."""

ALIKE_SHARE = 0.2
"""More documents than this with the codes of another are told apart by a tie-breaker that says nothing."""

FIT_ERROR = "fit_error"
"""Name, in a table's state, of the share of the variance that the codes lost when they were fitted: ()."""

COLLAPSED_SHARE = 0.5
"""Fewer keys than this share of the documents, and ids no longer tell them apart."""


@dataclass(frozen=True, kw_only=True)
class LevelReport:
    """One depth of the keys, counted per document."""

    size: int
    """Tokens that exist."""

    used: int
    """Tokens some key has at this depth."""

    documents: int
    """Documents whose key reaches this depth (a document counts once per key)."""

    perplexity: float
    """exp of the entropy of the token distribution, in [1, used]: how many tokens it is worth."""

    largest_share: float
    """Share of the documents that the commonest token holds, in (0, 1]."""


@dataclass(frozen=True, kw_only=True)
class DocidReport:
    """What `describe_table` found."""

    documents: int
    keys: int
    keyless: int
    """Documents without any key: no search can return them."""

    depth_min: int
    depth_mean: float
    depth_max: int
    levels: tuple[LevelReport, ...]
    shared_keys: int
    """Keys that name more than one document."""

    sharing_documents: int
    """Documents that share a key."""

    largest_key: int
    """Documents of the key that names most."""

    fit_error: float | None = None
    """Squared error of what the codes stand for over the variance of the vectors, when they were fitted; None
    where the ids are no codes of vectors."""

    codes_alike: int | None = None
    """Documents that have all codes of another, whatever a tie-breaker behind the codes does about it; None
    where the ids are no codes of vectors."""

    alarms: tuple[str, ...] = ()
    """What is wrong, in words; empty when nothing is."""

    @property
    def collapse(self) -> tuple[str, ...]:
        """The alarms that say a learnt code book is no longer one: hardly used levels, or fewer keys
        than half the documents. Twins that share a key are no collapse."""
        few = f"{self.keys} keys for {self.documents} documents"
        levels = tuple(alarm for alarm in self.alarms if alarm.startswith("level"))
        return (*levels, few) if self.keys < COLLAPSED_SHARE * self.documents else levels

    def lines(self) -> list[str]:
        """The report as a person reads it, one fact a line.

        >>> table = DocidTable.from_keys([[0], [1]], [0, 1], ["a", "b"], level_sizes=(2,))
        >>> print(*describe_table(table).lines(), sep="\\n")
        2 documents, 2 keys, depth 1 to 1 (mean 1.0)
        0 keys shared by 0 documents (largest: 1)
        level 1: 2 of 2 codes used, perplexity 2.0, largest share 50%
        """
        depths = f"depth {self.depth_min} to {self.depth_max} (mean {self.depth_mean:.1f})"
        shared = f"{self.shared_keys} keys shared by {self.sharing_documents} documents"
        return [
            f"{self.documents} documents, {self.keys} keys, {depths}",
            f"{shared} (largest: {self.largest_key})",
            *self._fit(),
            *(
                f"level {number}: {level.used} of {level.size} codes used, "
                f"perplexity {level.perplexity:.1f}, largest share {level.largest_share:.0%}"
                for number, level in enumerate(self.levels, 1)
            ),
            *(f"alarm: {alarm}" for alarm in self.alarms),
        ]

    def _fit(self) -> list[str]:
        if self.fit_error is None or self.codes_alike is None:
            return []
        alike = f"{self.codes_alike} documents have the codes of another ({self._alike_share:.1%})"
        return [f"codes lose {self.fit_error:.1%} of the variance; {alike}"]

    @property
    def _alike_share(self) -> float:
        return (self.codes_alike or 0) / max(1, self.documents)


def describe_table(table: DocidTable) -> DocidReport:
    """Count keys, depths, codes and collisions of a table and judge them."""
    lengths = np.diff(table.offsets)
    owners = np.bincount(table.pairs[:, 0], minlength=len(table))
    keyless = len(table.document_ids) - len(np.unique(table.pairs[:, 1]))
    sharing = len(np.unique(table.pairs[owners[table.pairs[:, 0]] > 1, 1]))
    levels = _levels(table)
    alarms = [
        *_level_alarms(levels, table.shared_vocabulary),
        *_depth_alarms(lengths, table.shared_vocabulary),
    ]
    if sharing > SHARING_SHARE * len(table.document_ids):
        largest = f"the largest key names {owners.max()}"
        alarms.append(f"{sharing} of {len(table.document_ids)} documents share a key with another; {largest}")
    fit_error, alike = _fit_of(table)
    meant_to_differ = table.depth > 2  # one code and a tie-breaker is a cluster and a place in it
    if (
        alike is not None
        and meant_to_differ
        and not sharing
        and alike > ALIKE_SHARE * len(table.document_ids)
    ):
        alarms.append(f"{alike} of {len(table.document_ids)} documents have the codes of another document")
    if keyless:
        alarms.append(f"{keyless} of {len(table.document_ids)} documents have no key and cannot be found")
    return DocidReport(
        documents=len(table.document_ids),
        keys=len(table),
        keyless=keyless,
        depth_min=int(lengths.min()),
        depth_mean=float(lengths.mean()),
        depth_max=int(lengths.max()),
        levels=levels,
        shared_keys=int((owners > 1).sum()),
        sharing_documents=sharing,
        largest_key=int(owners.max()),
        fit_error=fit_error,
        codes_alike=alike,
        alarms=tuple(alarms),
    )


def _fit_of(table: DocidTable) -> tuple[float | None, int | None]:
    """What the codes lost when they were fitted, and how many documents have the codes of another."""
    lost = table.state.get(FIT_ERROR)
    if lost is None or lost.shape or lost.dtype.kind != "f":
        return None, None
    levels = sum(name.startswith("codebook.") for name in table.state)
    codes = table.padded[table.pairs[:, 0], :levels]
    _, member, sizes = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    shared = sizes[member.reshape(-1)] > 1
    return float(lost), len(np.unique(table.pairs[shared, 1]))


def _levels(table: DocidTable) -> tuple[LevelReport, ...]:
    """Every depth that some document's key reaches."""
    columns = table.padded[table.pairs[:, 0]].T
    reached = [column[column >= 0] for column in columns]
    return tuple(
        _level(tokens, size) for tokens, size in zip(reached, table.level_sizes, strict=True) if len(tokens)
    )


def _level(tokens: np.ndarray, size: int) -> LevelReport:
    counts = np.bincount(tokens)
    shares = counts[counts > 0] / len(tokens)
    return LevelReport(
        size=size,
        used=len(shares),
        documents=len(tokens),
        perplexity=float(np.exp(-(shares * np.log(shares)).sum())),
        largest_share=float(shares.max()),
    )


def _level_alarms(levels: tuple[LevelReport, ...], shared_vocabulary: bool) -> list[str]:
    """Words of a shared vocabulary are neither evenly used nor expected at each depth: no alarm there.

    The last level may be a tie-breaker, nearly always 0, so its skew says nothing.
    """
    alarms = []
    for number, level in enumerate(() if shared_vocabulary else levels, 1):
        if level.used < USED_SHARE * min(level.size, level.documents):
            alarms.append(f"level {number} uses {level.used} of {level.size} codes")
            continue
        if number == len(levels) or level.used == 1:
            continue
        if level.largest_share > LARGEST_SHARE:
            alarms.append(f"level {number} gives one token to {level.largest_share:.0%} of the documents")
        if min(level.size, level.documents) >= 16 and level.perplexity < WORTH:
            alarms.append(f"level {number} has {level.size} codes but is worth {level.perplexity:.1f}")
    return alarms


def _depth_alarms(lengths: np.ndarray, shared_vocabulary: bool) -> list[str]:
    if shared_vocabulary or lengths.max() <= 2 * lengths.mean() + 1:
        return []
    return [
        f"the longest key has {lengths.max()} tokens, the mean {lengths.mean():.1f}: the tree is lopsided"
    ]

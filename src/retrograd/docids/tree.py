"""The tree that docids spell: what lies below a prefix, how much, and which words are typical of it.

Knows the table and, for the words, the documents' texts; neither models nor scores. It is for people who
look around, so counts are exact and words come from a sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from math import log1p

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.ops.words import analyzer, splitter, utf8
from retrograd.types import Corpus

END_LABEL = "(end)"
"""What is shown for a token without a name: the terminator of a title."""


@dataclass(frozen=True, slots=True)
class Branch:
    """What one more token leads to."""

    token: int
    label: str
    """The token as a person reads it."""

    documents: int
    """Different documents below."""

    keys: int
    """Complete docids below."""

    leaf: bool
    """Whether this token completes a docid."""


def children_of(table: DocidTable, prefix: Sequence[int] = ()) -> tuple[Branch, ...]:
    """The tokens that may follow a prefix, in their order; none behind a complete docid.

    Raises:
        InputError: no docid begins so.

    >>> table = DocidTable.from_keys(
    ...     [[0, 0], [0, 1], [0, 1], [2, 0]], [0, 1, 2, 3], ["a", "b", "c", "d"], level_sizes=(3, 2)
    ... )
    >>> [(branch.label, branch.documents, branch.keys, branch.leaf) for branch in children_of(table)]
    [('0', 3, 2, False), ('2', 1, 1, False)]
    >>> [(branch.label, branch.documents, branch.leaf) for branch in children_of(table, [0])]
    [('0', 1, True), ('1', 2, True)]
    """
    tokens, runs = _split(table, prefix)
    lengths = np.diff(table.offsets)
    found = []
    for token, keys in zip(tokens, runs, strict=True):
        documents = len(np.unique(_owners(table, keys)))
        leaf = bool(lengths[keys[0]] == len(prefix) + 1)  # no key begins with another
        found.append(Branch(token, table.describe([token]) or END_LABEL, documents, len(keys), leaf))
    return tuple(found)


def documents_below(table: DocidTable, prefix: Sequence[int] = (), limit: int | None = None) -> np.ndarray:
    """(n,) rows of the documents whose docids begin so, in the order of the docids, none twice.

    Raises:
        InputError: no docid begins so.
    """
    owners = _owners(table, _keys_below(table, prefix))
    _, first = np.unique(owners, return_index=True)
    rows: np.ndarray = owners[np.sort(first)][:limit]
    return rows


def _keys_below(table: DocidTable, prefix: Sequence[int]) -> np.ndarray:
    """Rows of the keys that begin with a prefix, sorted by their tokens."""
    sizes = table.level_sizes
    known = len(prefix) <= len(sizes) and all(
        0 <= token < size for token, size in zip(prefix, sizes, strict=False)
    )
    keys = table.find_below(np.array([prefix], np.int64)) if known else table.order[:0]
    if not len(keys):
        shown = "-".join(map(str, prefix[: table.depth + 1]))
        raise InputError(f"no docid begins with {shown:.80}")
    return keys


def _split(table: DocidTable, prefix: Sequence[int]) -> tuple[list[int], list[np.ndarray]]:
    """The tokens behind a prefix and, for each, the keys that go on with it."""
    keys, depth = _keys_below(table, prefix), len(prefix)
    if depth == table.depth or table.padded[keys[0], depth] < 0:
        return [], []
    tokens, starts = np.unique(table.padded[keys, depth], return_index=True)
    return tokens.tolist(), np.split(keys, starts[1:])


def _owners(table: DocidTable, keys: np.ndarray) -> np.ndarray:
    """(n,) document rows that the keys name, key after key, each in its order of expansion."""
    starts, stops = (np.searchsorted(table.pairs[:, 0], keys + side) for side in (0, 1))
    counts = stops - starts
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows: np.ndarray = table.pairs[np.repeat(starts, counts) + within, 1]
    return rows


class TypicalTerms:
    """Words that a branch of the tree has more of than the whole corpus.

    Class-based tf-idf (Grootendorst 2022, arXiv 2203.05794, section 3.3), with the surplus of a word in the
    place of its frequency: (share in the branch - share expected) * log(1 + 1 / (branches * share expected)).
    The surplus keeps words out that stop-word lists forget. Words are counted by stem and shown as they are
    written most often. Of large branches, documents at even distances are read.

    Args:
        corpus: the documents of the table.
        language: whose stop words and stems; one of `ops.words.LANGUAGES`.
        documents: read per call at most, shared among the branches, but never less than `FEWEST` of one.
    """

    FEWEST = 8
    """Documents of one branch that are always read."""

    CHARACTERS = 600
    """Of a document that are read."""

    def __init__(
        self, table: DocidTable, corpus: Corpus, language: str = "english", *, documents: int = 2000
    ) -> None:
        self._table, self._corpus, self._documents = table, corpus, documents
        self._splitter, self._analyzer = splitter(language), analyzer(language)
        self._stems: dict[str, str] = {}

    def children(self, prefix: Sequence[int] = (), count: int = 5) -> dict[int, tuple[str, ...]]:
        """Token -> the most typical words of the branch it leads to, best first.

        Raises:
            InputError: no docid begins so.
        """
        tokens, runs = _split(self._table, prefix)
        each = max(self.FEWEST, self._documents // max(len(runs), 1))
        counted = [self._count(keys, each) for keys in runs]
        return {token: self._best(own, len(runs), count) for token, own in zip(tokens, counted, strict=True)}

    def of(self, prefix: Sequence[int] = (), count: int = 5) -> tuple[str, ...]:
        """The most typical words of everything below one prefix; none of the root, which is the corpus.

        Raises:
            InputError: no docid begins so.
        """
        return self._best(self._count(_keys_below(self._table, prefix), self._documents), 1, count)

    @cached_property
    def _everywhere(self) -> Counter[str]:
        """Stem -> occurrences in a sample of all documents."""
        return self._stemmed(self._count(self._table.order, self._documents))

    def _count(self, keys: np.ndarray, limit: int) -> Counter[str]:
        """Word as it is written -> occurrences in at most `limit` documents of the keys."""
        sampled = keys[np.linspace(0, len(keys) - 1, min(limit, len(keys))).round().astype(np.int64)]
        ids, row_of = self._table.document_ids, self._corpus.row_of
        counts: Counter[str] = Counter()
        for row in np.unique(_owners(self._table, sampled))[:limit].tolist():
            text = self._corpus[row_of[ids[row]]].contents[: self.CHARACTERS]
            counts.update(self._splitter.analyze(utf8(text)))
        return counts

    def _stemmed(self, words: Counter[str]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for word, count in words.items():
            counts[self._stem(word)] += count
        return counts

    def _stem(self, word: str) -> str:
        if word not in self._stems:
            self._stems[word] = next(iter(self._analyzer.analyze(word)), word)
        return self._stems[word]

    def _best(self, words: Counter[str], num_branches: int, count: int) -> tuple[str, ...]:
        own, total = self._stemmed(words), max(words.total(), 1)
        written: dict[str, str] = {}
        for word, _ in sorted(words.items(), key=lambda entry: (-entry[1], entry[0])):
            written.setdefault(self._stem(word), word)
        seen = total + self._everywhere.total()

        weight: dict[str, float] = {}
        for stem, occurrences in own.items():
            share, expected = occurrences / total, (occurrences + self._everywhere[stem]) / seen
            if share > expected and len(stem) > 1 and not stem.isdigit():
                weight[stem] = (share - expected) * log1p(1 / (num_branches * expected))
        return tuple(
            written[stem] for stem in nsmallest(count, weight, key=lambda stem: (-weight[stem], stem))
        )

"""The title, spelled in subwords, as its key: ids that mean something before any training.

De Cao et al., 2021 (arXiv 2010.00904), section 3, with a vocabulary of the titles' own.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrograd.artifacts import array_to_text, text_to_array
from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys, sizes_for
from retrograd.docids.inputs import DocidInputs
from retrograd.errors import ArtifactError
from retrograd.types import Document

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEXT_COLLISIONS = ("expand", "suffix")
"""Policies that leave a title readable."""

BYTES = 256
"""Tokens that spell any character the vocabulary lacks."""

DIGITS = 10
"""Tokens that number documents of one title."""

SMALLEST_VOCABULARY = 300


@dataclass(frozen=True, kw_only=True)
class TitleText:
    """Lower-cased title in subwords, then a terminator; the text's first words where there is no title."""

    vocab_size: int = 4000
    """Tokens at most; 256 of them are single bytes, so that any later title can be spelled."""

    max_tokens: int = 24
    """Tokens of a key at most, terminator included; longer titles are cut."""

    collisions: str = "expand"
    """`expand`: documents of one title share its key; `suffix`: the second and later ones are numbered."""

    def __post_init__(self) -> None:
        if self.collisions not in TEXT_COLLISIONS:
            raise ValueError(f"collisions={self.collisions!r}; choose one of {', '.join(TEXT_COLLISIONS)}")
        if self.vocab_size < SMALLEST_VOCABULARY or self.max_tokens < 2:
            raise ValueError(
                f"vocab_size={self.vocab_size} must be at least {SMALLEST_VOCABULARY} "
                f"and max_tokens={self.max_tokens} at least 2"
            )

    def assign(self, inputs: DocidInputs) -> DocidTable:
        """Train the subwords on the corpus and spell it."""
        labels = [self._label(document) for document in inputs.corpus]
        tokenizer = _train(labels, self.vocab_size - BYTES - DIGITS - 1)
        names = _token_names(tokenizer)
        keys = self._keys(tokenizer, labels, taken=())
        return DocidTable.from_keys(
            keys,
            np.arange(len(keys)),
            inputs.corpus.ids,
            level_sizes=sizes_for(keys, at_least=(len(names),) * self.max_tokens, shared=True),
            shared_vocabulary=True,
            token_names=names,
            state={"tokenizer": text_to_array(tokenizer.to_str())},
        )

    def insert(self, table: DocidTable, inputs: DocidInputs) -> DocidTable:
        """Spell the new documents with the subwords there are."""
        from tokenizers import Tokenizer

        if "tokenizer" not in table.state:
            raise ArtifactError("the docid table holds no tokenizer; fit the docids again")
        tokenizer = Tokenizer.from_str(array_to_text(table.state["tokenizer"]))
        labels = [self._label(document) for document in inputs.corpus]
        numbered = self.collisions == "suffix"
        taken = [table.key(row) for row in range(len(table))] if numbered else []
        return append_keys(table, self._keys(tokenizer, labels, taken), inputs.corpus.ids)

    def _label(self, document: Document) -> str:
        words = _plain(document.title).split() or _plain(document.text).split()
        return " ".join(words[: self.max_tokens])  # a word is at least one token

    def _keys(
        self, tokenizer: Tokenizer, labels: Sequence[str], taken: Sequence[tuple[int, ...]]
    ) -> list[list[int]]:
        end = tokenizer.get_vocab_size()
        bodies = [tokens.ids[: self.max_tokens - 1] for tokens in tokenizer.encode_batch(list(labels))]
        numbers = _numbers(bodies, taken, end) if self.collisions == "suffix" else [0] * len(bodies)
        return [[*body, *_digits(number, end), end] for body, number in zip(bodies, numbers, strict=True)]


def _plain(text: str) -> str:
    """Lower case in Unicode normal form KC; a lone surrogate becomes `?`."""
    return unicodedata.normalize("NFKC", text).lower().encode("utf-8", "replace").decode("utf-8")


def _train(labels: Sequence[str], size: int) -> Tokenizer:
    """Byte pair encoding (Sennrich et al., 2016) of at most `size` subwords, plus the bytes behind them.

    It holds no special token, so no title can spell the terminator.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False)
    learner.train_from_iterator(_without_rare_characters(labels, size // 2), trainer)
    learnt = json.loads(learner.to_str())["model"]
    vocabulary = dict(learnt["vocab"])
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(BYTES)}
    merges = [(left, right) for left, right in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def _without_rare_characters(labels: Sequence[str], kept: int) -> Iterable[str]:
    """Blank all but the commonest characters; the trainer's own limit breaks ties at random."""
    counts = Counter("".join(labels))
    rare = sorted(counts, key=lambda character: (-counts[character], character))[max(kept - 1, 1) :]
    blanks = str.maketrans(dict.fromkeys(rare, " "))
    return (label.translate(blanks) for label in labels)


def _token_names(tokenizer: Tokenizer) -> list[str]:
    """Printable tokens by id: subwords, bytes, the terminator (nothing to see), the digits."""
    vocabulary = tokenizer.get_vocab()
    return [*sorted(vocabulary, key=vocabulary.__getitem__), "", *(f"#{digit}" for digit in range(DIGITS))]


def _digits(number: int, end: int) -> list[int]:
    """Decimal digits of a positive number as the tokens behind the terminator's; nothing for 0."""
    return [end + 1 + int(digit) for digit in str(number)] if number else []


def _numbers(bodies: Sequence[Sequence[int]], taken: Sequence[tuple[int, ...]], end: int) -> list[int]:
    """How many documents of the same body stand before each one, those in `taken` included."""
    following: Counter[tuple[int, ...]] = Counter()
    for key in taken:
        body = tuple(token for token in key if token < end)
        number = int("".join(str(token - end - 1) for token in key if token > end) or "0")
        following[body] = max(following[body], number + 1)
    numbers = []
    for body in map(tuple, bodies):
        numbers.append(following[body])
        following[body] += 1
    return numbers

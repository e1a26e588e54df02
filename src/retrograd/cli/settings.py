"""What several commands ask: fields of a recipe, threads, the bounds of a question, a clean clock."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from retrograd.errors import InputError
from retrograd.recipe import Recipe, override

if TYPE_CHECKING:
    from retrograd.data.dataset import Dataset

LONGEST_QUERY = 2048
"""Characters. Every encoder here reads less; a longer text is a document given by mistake."""


def configured(name: str, settings: Sequence[str]) -> Recipe:
    """The named recipe with each `path=value` applied.

    Raises:
        InputError: no such recipe or field, a text without `=`, or a value of another type.
    """
    from retrograd.recipes import recipe

    chosen = recipe(name)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise InputError(f"--set {setting}: write path=value, for example --set search.width=50")
        chosen = override(chosen, path, text)
    return chosen


def opened(data: Path, requests: bool) -> Dataset:
    """The collection in a folder; as the requests of its search log where that is asked for.

    Raises:
        InputError: a faulty file, or requests of a folder without a log.
    """
    from retrograd.data.dataset import load_dataset
    from retrograd.data.requests import load_requests

    return load_requests(data) if requests else load_dataset(data)


def use_threads(threads: int) -> None:
    """Bound torch to so many threads; 0 leaves its own choice."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def check_question(text: str, *, path: Path | None = None, line: int | None = None) -> None:
    """Refuse a question that cannot mean anything.

    Raises:
        InputError: empty, or longer than `LONGEST_QUERY`.
    """
    if not text.strip():
        raise InputError("the query is empty; write a few words", path=path, line=line)
    if len(text) > LONGEST_QUERY:
        reason = f"the query has {len(text):,} characters, at most {LONGEST_QUERY:,} are read; shorten it"
        raise InputError(reason, path=path, line=line)


def number_of_answers(k: int | None, default: int, num_documents: int) -> int:
    """The `k` that was asked for, or the default as far as the documents reach.

    Raises:
        InputError: below 1, or above the number of documents.

    >>> number_of_answers(None, 10, 3)
    3
    """
    if k is None:
        return min(default, num_documents)
    if not 1 <= k <= num_documents:
        raise InputError(f"k={k} must be from 1 to {num_documents}, the number of documents in this system")
    return k


@contextmanager
def without_cache() -> Iterator[None]:
    """Systems loaded inside encode every text anew, so that timing them times the encoder."""
    before = os.environ.get("RETROGRAD_CACHE")
    os.environ["RETROGRAD_CACHE"] = "off"
    try:
        yield
    finally:
        del os.environ["RETROGRAD_CACHE"]
        os.environ.update({} if before is None else {"RETROGRAD_CACHE": before})

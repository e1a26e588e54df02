"""What several commands ask: a recipe's fields, filters, threads, the bounds of a question, a clean clock."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from retrograd.errors import DataWarning, InputError
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


def filters_of(texts: Sequence[str]) -> dict[str, list[str]]:
    """`field=value` texts as a filter; a field that comes twice takes either value.

    Raises:
        InputError: a text without a field or without `=`.

    >>> filters_of(["year=2021", "year=2022", "venue=SIGIR"])
    {'year': ['2021', '2022'], 'venue': ['SIGIR']}
    """
    where: dict[str, list[str]] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not field:
            raise InputError(f"--filter {text!r:.80}: write field=value, for example --filter year=2021")
        where.setdefault(field, []).append(value)
    return where


def opened(data: Path, requests: bool, cut: str = "last", interactions: Path | None = None) -> Dataset:
    """The collection in a folder; as the requests of its search log where that is asked for.

    What is odd about its interactions is said on stderr.

    Args:
        cut: how a recommendation set is split, one of `data.cuts.CUTS`.
        interactions: what the users of a search set took, where that is to be learnt from too.

    Raises:
        InputError: a faulty file, requests of a folder without a log, or a cut where nothing can be cut.
    """
    from retrograd.data.both_tasks import load_both_tasks
    from retrograd.data.dataset import load_dataset
    from retrograd.data.requests import load_requests

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", DataWarning)
        if interactions is not None:
            dataset = load_both_tasks(data, interactions, requests=requests, cut=cut)
        else:
            dataset = load_requests(data) if requests else load_dataset(data, cut=cut)
    for warning in found:
        print(f"warning: {warning.message}", file=sys.stderr)
    return dataset


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

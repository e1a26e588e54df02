"""Filters on metadata in Qdrant's words, with the meaning they have in the library's own search.

Two values are the same when they read the same: 2021, 2021.0 and "2021" are one, as are true and
"true". Qdrant compares types too, so each value is asked for in every form it may have been stored in.
Knows payload keys as `qdrant` writes them; neither collections nor vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from retrograd.adapters.library import library
from retrograd.errors import InputError

_LARGEST_EXACT = 2**53
"""Whole numbers up to here are exact as floats, and ranges compare floats."""


def conditions(where: Mapping[str, Any]) -> Any:
    """A filter as Qdrant's own: two values are the same when they read the same, as in `System.search`.

    Raises:
        InputError: a value that is neither text, number nor bool, or a field name with a quote.
    """
    models = library("qdrant_client.models", "qdrant")
    return models.Filter(must=[_any_of(models, name, wanted) for name, wanted in where.items()])


def _any_of(models: Any, name: str, wanted: Any) -> Any:
    values = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
    key = name if name in ("id", "title") else f'metadata."{name}"'
    if '"' in name or not name:
        raise InputError(f"the filter field {name!r:.60} is empty or holds a quote")
    either = [condition for value in values for condition in _same(models, name, key, value)]
    return models.Filter(should=either) if either else models.HasIdCondition(has_id=[])


def _same(models: Any, name: str, key: str, value: Any) -> Iterator[Any]:
    """Every form in which a value may have been stored."""
    if not isinstance(value, str | bool | int | float):
        raise InputError(f"filter {name!r:.60} must be text, a number, true or false, or a list of these")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, float) and value.is_integer():
        text = f"{value:.0f}"
    yield models.FieldCondition(key=key, match=models.MatchValue(value=text))
    if text in ("true", "false"):
        yield models.FieldCondition(key=key, match=models.MatchValue(value=text == "true"))
    number = _number(text)
    if isinstance(number, int):
        yield models.FieldCondition(key=key, match=models.MatchValue(value=number))
    if number is not None and abs(number) <= _LARGEST_EXACT:
        yield models.FieldCondition(key=key, range=models.Range(gte=float(number), lte=float(number)))


def _number(text: str) -> int | float | None:
    """The number that is written exactly like this, if there is one."""
    for read in (int, float):
        try:
            number = read(text)
        except (ValueError, OverflowError):
            continue
        if str(number) == text and abs(number) < 2**63:
            return number
    return None

"""RecBole's atomic files: `.inter`, `.item`, `.user`, tab-separated with typed column names.

The first line reads `name:type<TAB>...` with the types token, token_seq, float and float_seq.
Format: Zhao et al. 2021, "RecBole: Towards a Unified, Comprehensive and Efficient Framework".
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from retrograd.data.beir import known, unique
from retrograd.data.interactions import TIME_COLUMNS, Interactions
from retrograd.data.lines import check_id, number, read_table
from retrograd.errors import InputError
from retrograd.types import Corpus, Document

Value = str | float | tuple[str, ...] | tuple[float, ...]

TITLE_NAMES = ("title", "movie_title", "item_name", "name")
TEXT_NAMES = ("text", "description")

_PARSERS: dict[str, Callable[..., Value]] = {
    "token": lambda text, **_: text,
    "token_seq": lambda text, **_: tuple(text.split()),
    "float": number,
    "float_seq": lambda text, **place: tuple(number(part, **place) for part in text.split()),
}


def read_atomic(path: Path | str, required: tuple[str, ...] = ()) -> Iterator[tuple[int, dict[str, Value]]]:
    """(line number, column -> typed value) of one atomic file, plain or `.gz`.

    Raises:
        InputError: a column without a known type, a missing column, a float that is none, or whatever
            `lines.read_table` refuses.
    """
    columns: dict[str, tuple[str, str]] = {}
    for line, row in read_table(path):
        if not columns:
            columns = _typed(row, path)
            for name in required:
                if name not in {name for name, _ in columns.values()}:
                    raise InputError(f"column {name!r} is missing", path=path, line=1)
        yield (
            line,
            {
                name: _PARSERS[kind](row[head], name=name, path=path, line=line)
                for head, (name, kind) in columns.items()
            },
        )


def _typed(row: dict[str, str], path: Path | str) -> dict[str, tuple[str, str]]:
    columns = {}
    for head in row:
        name, _, kind = head.rpartition(":")
        if not name or kind not in _PARSERS:
            reason = f"column {head!r:.60} must read name:type with one of {', '.join(_PARSERS)}"
            raise InputError(reason, path=path, line=1)
        columns[head] = (name, kind)
    if len({name for name, _ in columns.values()}) != len(columns):
        raise InputError("the header names a column twice", path=path, line=1)
    return columns


def read_items(path: Path | str) -> Corpus:
    """A corpus from an `.item` file; `item_id` names the document, a title and a text are found by name.

    Raises:
        InputError: as `read_atomic`, or an id that occurs twice.
    """

    def rows() -> Iterator[tuple[int, Document]]:
        for line, row in read_atomic(path, ("item_id",)):
            item = check_id(str(row.pop("item_id")), "item_id", path=path, line=line)
            title, text = (_take(row, names) for names in (TITLE_NAMES, TEXT_NAMES))
            yield line, Document(item, text, title, row)

    return Corpus(unique(rows(), path, "item"))


def read_users(path: Path | str) -> dict[str, dict[str, Value]]:
    """User id -> its other columns, from a `.user` file.

    Raises:
        InputError: as `read_atomic`, or an id that occurs twice.
    """

    def rows() -> Iterator[tuple[int, Document]]:
        for line, row in read_atomic(path, ("user_id",)):
            user = check_id(str(row.pop("user_id")), "user_id", path=path, line=line)
            yield line, Document(user, metadata=row)

    return {user.id: dict(user.metadata) for user in unique(rows(), path, "user")}


def read_inter(path: Path | str, *, items: Container[str] | None = None) -> Interactions:
    """Interactions from an `.inter` file.

    Args:
        items: the ids that may occur; None accepts all.

    Raises:
        InputError: as `read_atomic`; an item that does not exist.
    """
    clocks: set[str] = set()

    def rows() -> Iterator[tuple[str, str, float, float]]:
        for line, row in read_atomic(path, ("user_id", "item_id")):
            user = check_id(str(row["user_id"]), "user_id", path=path, line=line)
            item = check_id(str(row["item_id"]), "item_id", path=path, line=line)
            if items is not None:
                known(item, items, "item", path=path, line=line)
            named = next((name for name in TIME_COLUMNS if name in row), "")
            clocks.add(named)
            yield user, item, _number(row, named, 0.0, path, line), _number(row, "rating", 1.0, path, line)

    taken = Interactions.from_rows(rows())
    return replace(taken, clock=clocks.pop())  # all lines have the columns of the header


def _take(row: dict[str, Value], names: tuple[str, ...]) -> str:
    named = next((name for name in names if name in row), None)
    value: Any = "" if named is None else row.pop(named)
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _number(row: dict[str, Value], name: str, default: float, path: Path | str, line: int) -> float:
    value = row.get(name, default)
    return value if isinstance(value, float) else number(str(value), name, path=path, line=line)

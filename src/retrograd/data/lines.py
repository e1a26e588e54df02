"""Text files, line by line: the one place where bytes from outside become strings.

Plain or gzip by suffix, UTF-8 only, nothing larger than one line in memory. It knows lines, JSON
records and columns; what a record means is for the readers above it. Whatever the bytes are, the
outcome is a value or an `InputError` with file and line.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from retrograd.errors import InputError

MAX_LINE_BYTES = 1 << 26
"""64 MiB: no honest record is longer, and a gzip bomb stops here."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")

Row = tuple[int, dict[str, str]]
"""Line number and the named columns of one line."""


def read_lines(path: Path | str) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its line end) of a UTF-8 file; `.gz` is unpacked on the way.

    Lines end at `\\n` or `\\r\\n` and nowhere else; a byte order mark is dropped.

    Raises:
        InputError: the file cannot be opened, is empty, is not UTF-8, or its gzip is damaged.
    """
    path = Path(path)
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise InputError(f"line is longer than {MAX_LINE_BYTES} bytes", path=path, line=number)
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                yield number, text.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        reason = (
            f"byte {error.object[error.start]:#04x} at position {error.start + 1} is not UTF-8; re-encode"
        )
        raise InputError(reason, path=path, line=number) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = f"gzip data is damaged or cut off ({error}); fetch the file again"
        raise InputError(reason, path=path, line=number + 1) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from None
    if number == 0:
        raise InputError("the file is empty", path=path)


def read_jsonl(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line that is not blank.

    Raises:
        InputError: as `read_lines`; or a line is not a JSON object, holds NaN or an infinity, or a
            lone surrogate, which no other part could write again.
    """
    for number, text in read_lines(path):
        if text.strip():
            yield number, json_object(text, path=path, line=number)


def json_object(text: str, *, path: Path | str, line: int) -> dict[str, Any]:
    """The object that one line of text holds.

    Raises:
        InputError: as `read_jsonl`.
    """
    try:
        record = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise InputError("JSON is nested too deeply", path=path, line=line) from None
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}", path=path, line=line) from None
    if not isinstance(record, dict):
        reason = f"a line must be a JSON object, not {type(record).__name__}"
        raise InputError(reason, path=path, line=line)
    if ("\\ud" in text or "\\uD" in text) and not _is_unicode(record):
        reason = "holds a lone surrogate (half a character); re-encode the text"
        raise InputError(reason, path=path, line=line)
    return record


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _is_unicode(record: Mapping[str, Any]) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_table(path: Path | str, required: Sequence[str] = ()) -> Iterator[Row]:
    """(line number, column -> text) of a table whose first line names the columns.

    `.csv` follows RFC 4180 (quotes, line breaks inside them); every other suffix is plain
    tab-separated text without quoting.

    Raises:
        InputError: as `read_lines`; a required column is missing, a column is named twice, a line has
            another number of columns, or no line follows the header.
    """
    rows = _csv_rows(path) if Path(path).name.removesuffix(".gz").endswith(".csv") else _tsv_rows(path)
    first, header = next(rows, (1, [""]))
    for name in required:
        if name not in header:
            reason = f"column {name!r} is missing; the header names {', '.join(header)[:200]}"
            raise InputError(reason, path=path, line=first)
    if len(set(header)) != len(header):
        raise InputError("the header names a column twice", path=path, line=first)
    empty = True
    for number, cells in rows:
        if len(cells) != len(header):
            reason = f"{len(cells)} columns where the header has {len(header)}"
            raise InputError(reason, path=path, line=number)
        empty = False
        yield number, dict(zip(header, cells, strict=True))
    if empty:
        raise InputError("no row follows the header", path=path, line=first)


def _tsv_rows(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    return ((number, text.split("\t")) for number, text in read_lines(path) if text.strip())


def _csv_rows(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(MAX_LINE_BYTES)  # the default refuses documents of 131,072 characters
    reader = csv.reader((f"{text}\n" for _, text in read_lines(path)), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"not valid CSV: {error}", path=path, line=reader.line_num) from None


def text_field(
    record: Mapping[str, Any], name: str, *, path: Path | str, line: int, default: str | None = None
) -> str:
    """A field that must be text. `default` stands in where it is absent or null; None makes it required."""
    value = record.get(name)
    if value is None:
        if default is None:
            raise InputError(f"field {name!r} is missing", path=path, line=line)
        return default
    if not isinstance(value, str):
        raise InputError(f"field {name!r} must be text, not {type(value).__name__}", path=path, line=line)
    return value


def id_field(record: Mapping[str, Any], name: str, *, path: Path | str, line: int) -> str:
    """A field that names something: not empty, no control character. Whole numbers become text."""
    value = record.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return str(value)
    return check_id(text_field(record, name, path=path, line=line), name, path=path, line=line)


def check_id(value: str, name: str, *, path: Path | str, line: int) -> str:
    """The id itself, once it is known to survive a tab-separated file and a database."""
    if not value.strip():
        raise InputError(f"field {name!r} is an empty id", path=path, line=line)
    if any(character < " " or character == "\x7f" for character in value):
        raise InputError(f"field {name!r} holds a control character: {value!r:.80}", path=path, line=line)
    return value


def integer(text: str, name: str, *, path: Path | str, line: int) -> int:
    """A column that must be a whole number of at most nine digits."""
    if not _INTEGER.fullmatch(text.strip()):
        raise InputError(f"{name} {text!r:.40} is not a whole number", path=path, line=line)
    return int(text)


def number(text: str, name: str, *, path: Path | str, line: int) -> float:
    """A column that must be a finite number."""
    try:
        return _finite(text)
    except ValueError:
        raise InputError(f"{name} {text!r:.40} is not a finite number", path=path, line=line) from None


def one_of(folder: Path, *names: str) -> Path | None:
    """The one file of these names in the folder, plain or `.gz`; None where there is none.

    Raises:
        InputError: several are there, and which is meant cannot be known.
    """
    found = [
        folder / f"{name}{end}"
        for name in names
        for end in ("", ".gz")
        if (folder / f"{name}{end}").is_file()
    ]
    if len(found) > 1:
        raise InputError(f"holds both {found[0].name} and {found[1].name}; keep one", path=folder)
    return found[0] if found else None

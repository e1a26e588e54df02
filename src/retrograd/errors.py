"""Errors a user can cause, each one line long and with the place it came from.

The doors (command line, server) print `str(error)` and exit with `error.exit_code`; nothing below
them catches these. Programming mistakes stay `assert` and ordinary exceptions.
"""

from __future__ import annotations

from pathlib import Path


class RetrogradError(Exception):
    """Base of every error that is the input's fault; its text is what the user reads."""

    exit_code = 2


class InputError(RetrogradError, ValueError):
    """Data or an argument is not what was asked for.

    Args:
        reason: what came, what was wanted, and what to do.
        path: the file at fault, if any.
        line: its line, counted from 1.

    >>> str(InputError("field '_id' is missing", path="corpus.jsonl", line=7))
    "corpus.jsonl:7: field '_id' is missing"
    """

    def __init__(self, reason: str, *, path: str | Path | None = None, line: int | None = None) -> None:
        self.reason, self.path, self.line = reason, path, line
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(f"{place}{reason}")


class DataWarning(UserWarning):
    """Data that can be read but is not what it seems; the doors print it as one line on stderr."""


class ArtifactError(RetrogradError):
    """A saved file is damaged, missing, foreign, or does not belong to this system."""


class StorageError(RetrogradError):
    """The disk refused a write (full, read-only); what was stored before is unchanged."""

"""What a caller reads when a request is not answered: a code and a sentence, never what was sent.

Knows statuses and JSON; every other file of the server raises `RefusedError` and lets the edge answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST_MESSAGE = 1000
"""Characters: four bytes each at most, so that no body reaches 4 KB."""

MOST_FAULTS = 5

CODES = {
    400: "bad_request",
    401: "token_needed",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "not_json",
    422: "invalid",
    429: "queue_full",
    500: "internal",
    503: "unavailable",
}
"""Every status of an error, and its code where none fits better."""


class RefusedError(Exception):
    """A request that is not answered.

    Args:
        status: one of `CODES`.
        message: for people; must not hold anything the caller sent.
        code: for programs.
    """

    def __init__(self, status: int, message: str, *, code: str = "") -> None:
        self.status, self.message, self.code = status, message, code or CODES[status]
        super().__init__(message)

    @property
    def headers(self) -> dict[str, str]:
        """What belongs to the status: when to come back, which proof is wanted."""
        extra = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}, 503: {"Retry-After": "1"}}
        return extra.get(self.status, {})

    @property
    def body(self) -> bytes:
        """`{"error": {"code", "message"}}`.

        >>> RefusedError(404, "no such system").body
        b'{"error":{"code":"not_found","message":"no such system"}}'
        """
        error = {"code": self.code, "message": self.message[:LONGEST_MESSAGE]}
        return json.dumps({"error": error}, separators=(",", ":")).encode()


def faults(errors: Iterable[Mapping[str, Any]], known: frozenset[str]) -> str:
    """What a schema found wrong, field by field.

    Args:
        errors: as pydantic lists them.
        known: names that may be repeated; every other part of a place was chosen by the caller.

    >>> faults([{"loc": ("body", "secret", 0), "msg": "Extra inputs are not permitted"}], frozenset({"body"}))
    'body.*.0: Extra inputs are not permitted'
    """
    lines = []
    for error in errors:
        parts = (str(part) if isinstance(part, int) or part in known else "*" for part in error["loc"])
        lines.append(f"{'.'.join(parts)}: {error['msg']}")
    shown = lines[:MOST_FAULTS]
    return "; ".join(shown) + (f"; and {len(lines) - len(shown)} more" if len(lines) > len(shown) else "")

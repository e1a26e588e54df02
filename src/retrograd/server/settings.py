"""What an operator chooses, and the bounds of a request that nobody chooses.

Knows numbers; neither HTTP nor systems.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = re.compile(r"[a-z0-9_-]{1,64}")
"""What a system may be called."""

LONGEST_QUERY = 2048
"""Characters; the same bound as on the command line."""

MOST_ANSWERS = 100
MOST_QUERIES = 64
"""Queries of one request, and queries answered together."""

LARGEST_BODY = 1 << 20
"""Bytes."""

LARGEST_HEAD = 16 << 10
"""Bytes of address and headers."""

LONGEST_ID = 512
"""Characters."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a server treats its callers."""

    deadline: float = 10.0
    """Seconds from a request's arrival after which it is given up."""

    queue: int = 256
    """Requests that may wait for one system; the next is refused."""

    token: str = ""
    """What a change must carry; "" asks for none."""

    token_for_reads: bool = False
    """Whether everything must carry it, as on an address that others can reach."""

    hosts: tuple[str, ...] = ()
    """Names a request may call this server by, without the port; () allows any. On a loopback address
    this keeps a hostile page from reaching the server under a name of its own."""

    log_queries: bool = False
    """Whether query texts stand in the log."""

    def __post_init__(self) -> None:
        if self.deadline <= 0:
            raise ValueError(f"deadline={self.deadline} must be above 0")
        if self.queue < 1:
            raise ValueError(f"queue={self.queue} must be at least 1")
        if self.token_for_reads and not self.token:
            raise ValueError("token_for_reads needs a token")

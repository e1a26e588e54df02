"""Parts of a path: the name of a system and the id of a document, as routes and documentation see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Path, Request

from retrograd.server.hosted import Hosted
from retrograd.server.limits import notes
from retrograd.server.refusals import RefusedError
from retrograd.server.settings import NAME

SystemName = Annotated[
    str, Path(description="One of /v1/systems.", json_schema_extra={"pattern": f"^{NAME.pattern}$"})
]
DocumentId = Annotated[str, Path(description="Percent-encoded; may hold slashes.")]


def named(hosted: Mapping[str, Hosted], name: str, request: Request) -> Hosted:
    """The system of this name.

    Raises:
        RefusedError: there is none.
    """
    found = hosted.get(name)
    if found is None:
        raise RefusedError(404, "no system of this name is served; see /v1/systems", code="no_system")
    notes(request.scope).system = found.name
    return found

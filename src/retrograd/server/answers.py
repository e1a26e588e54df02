"""What was found, as JSON: plain dictionaries that say what `schemas` describes.

A document that left the corpus before its answer leaves the server is dropped here, at the last moment.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from retrograd.docid_table import DocidTable
from retrograd.server.asking import Found
from retrograd.system import System
from retrograd.types import Document, Hit

if TYPE_CHECKING:
    from retrograd.server.hosted import Hosted
    from retrograd.updates.live import Generation

SNIPPET = 240
"""Characters."""

_READ = 1000
"""Characters of a document that a snippet is made of."""

_ABOVE_ONE = 1e-4
"""Rounding in a log-probability; what is larger is none."""


def json_response(content: Any, status: int = 200) -> Response:
    """Strict JSON of plain values. Text that is no Unicode and numbers that are none, which a corpus may
    hold, leave as escapes and null."""
    try:
        body = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        body = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        body = json.dumps(_finite(content), allow_nan=False, separators=(",", ":")).encode()
    return Response(body, status, media_type="application/json")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return number(value) if isinstance(value, float) else value


def number(value: float) -> float | None:
    """A number as JSON can say it.

    >>> number(1.5), number(float("-inf"))
    (1.5, None)
    """
    return value if math.isfinite(value) else None


def snippet(text: str) -> str:
    """The beginning of a text in one line.

    >>> snippet("two\\n lines")
    'two lines'
    """
    words = " ".join(text[:_READ].split())
    return words if len(words) <= SNIPPET else words[: SNIPPET - 1] + "…"


def result_body(hosted: Hosted, query: str | None, found: Found) -> dict[str, Any]:
    """The answers to one question, counted as served."""
    system = hosted.live.system
    row_of, served = system.corpus.row_of, hosted.audit.served
    hits = [hit for hit in found.hits if hit.document in row_of]
    hosted.audit.count(hit.document for hit in hits)
    body: dict[str, Any] = {
        "query": query,
        "hits": [_hit_body(system, rank, hit, served[hit.document]) for rank, hit in enumerate(hits, 1)],
    }
    if found.beam is not None:
        body["beam"] = [
            {
                "path": list(key.path),
                "path_label": _label(system.table, key.path),
                "score": number(key.score),
                "documents": [document for document in key.documents if document in row_of],
            }
            for key in found.beam
        ]
    return body


def _hit_body(system: System, rank: int, hit: Hit, served: int) -> dict[str, Any]:
    document = system.corpus[system.corpus.row_of[hit.document]]
    return {
        "rank": rank,
        "id": hit.document,
        "title": document.title,
        "snippet": snippet(document.text),
        "score": number(hit.score),
        "path": list(hit.path),
        "path_label": _label(system.table, hit.path),
        "steps": _steps(system.table, hit),
        "metadata": dict(document.metadata),
        "served": served,
    }


def _label(table: DocidTable | None, path: Sequence[int]) -> str:
    return table.describe(path) if table is not None and path else ""


def _steps(table: DocidTable | None, hit: Hit) -> list[dict[str, Any]]:
    """The tokens of a path with their probabilities; null where the steps are no log-probabilities."""
    scores: Sequence[float] = hit.step_scores
    known = len(scores) == len(hit.path) and all(score <= _ABOVE_ONE for score in scores)
    steps, total = [], 0.0
    for at, token in enumerate(hit.path):
        total += scores[at] if known else 0.0
        steps.append(
            {
                "token": token,
                "label": _label(table, (token,)),
                "probability": min(1.0, math.exp(scores[at])) if known else None,
                "cumulative": min(1.0, math.exp(total)) if known else None,
            }
        )
    return steps


def document_body(hosted: Hosted, document: Document) -> dict[str, Any]:
    """One document with the keys that name it."""
    system = hosted.live.system
    table, keys = system.table, []
    if table is not None and document.id in system.corpus.row_of:
        rows = table.keys_of(system.corpus.row_of[document.id]).tolist()
        keys = [{"path": list(table.key(row)), "label": table.describe(table.key(row))} for row in rows]
    return {
        "id": document.id,
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
        "keys": keys,
        "served": hosted.audit.served[document.id],
        "generation": hosted.live.generation,
    }


def generation_body(generation: Generation) -> dict[str, Any]:
    """One state of the corpus."""
    return {
        "number": generation.number,
        "time": generation.time,
        "action": generation.action,
        "added": generation.added,
        "removed": generation.removed,
        "updated": generation.updated,
        "documents": generation.documents,
        "restores": generation.restores,
    }


def change_body(generation: Generation) -> dict[str, Any]:
    """What a change made."""
    body = generation_body(generation)
    return {"generation": body.pop("number"), **body}

"""What a request may say, and what an answer looks like: strict, bounded, nothing beside it allowed.

Answers are described for readers and for tests; on the way out they are plain dictionaries.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.functional_validators import AfterValidator

from retrograd.server.settings import LONGEST_ID, LONGEST_QUERY, MOST_ANSWERS, MOST_QUERIES

DEEPEST = 8
LARGEST_NUMBER = 2**63


def _written(text: str) -> str:
    if not text.strip():
        raise ValueError("must hold more than blanks")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must hold no control characters")
    return _written(text)


def _storable(value: Any, depth: int = DEEPEST) -> Any:
    if depth == 0:
        raise ValueError(f"must be nested at most {DEEPEST} deep")
    if isinstance(value, float | int) and not -LARGEST_NUMBER <= value < LARGEST_NUMBER:
        raise ValueError("must hold finite numbers of 64 bits")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _storable(inner, depth - 1)
    return value


Text = Annotated[str, Field(min_length=1, max_length=LONGEST_QUERY), AfterValidator(_written)]
Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID), AfterValidator(_printable)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Answers = Annotated[int, Field(ge=1, le=MOST_ANSWERS)]
Scalar = Annotated[str, Field(max_length=LONGEST_ID)] | bool | int | float
Filters = Annotated[
    dict[Name, Scalar | Annotated[list[Scalar], Field(min_length=1, max_length=100)]],
    Field(max_length=16),
    AfterValidator(_storable),
]
Metadata = Annotated[dict[Name, JsonValue], Field(max_length=256), AfterValidator(_storable)]


class Strict(BaseModel):
    """No coercion, nothing unknown, no number that is none."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class SearchRequest(Strict):
    """One question, several, somebody's past, or a vector."""

    query: Text | None = None
    queries: Annotated[list[Text], Field(min_length=1, max_length=MOST_QUERIES)] | None = None
    history: Annotated[list[Id], Field(min_length=1, max_length=256)] | None = None
    """Documents its asker took before, oldest first; beside `query` or alone."""

    vector: Annotated[list[float], Field(min_length=1, max_length=8192)] | None = None
    k: Answers = 10
    filters: Filters = {}
    """Field of the metadata, `id` or `title` -> the value, or any of several."""

    engine: Literal["auto", "torch", "native"] = "auto"
    explain: bool = False

    @model_validator(mode="after")
    def _one_question(self) -> SearchRequest:
        asked = [self.query is not None or self.history is not None, self.queries is not None]
        if sum([*asked, self.vector is not None]) != 1:
            raise ValueError("give exactly one of query (with or without history), queries, and vector")
        return self


class ExplainRequest(Strict):
    """One question whose search is to be shown."""

    query: Text
    k: Answers = 10


class Contents(Strict):
    """What a document says; its id stands in the path."""

    title: Annotated[str, Field(max_length=4096)] = ""
    text: str = ""
    metadata: Metadata = {}

    @model_validator(mode="after")
    def _says_something(self) -> Contents:
        if not (self.title.strip() or self.text.strip()):
            raise ValueError("a document needs a title or a text")
        return self


class NamedContents(Contents):
    """A document of a bulk change."""

    id: Id


class BulkRequest(Strict):
    """Documents put and deleted in one step."""

    put: Annotated[list[NamedContents], Field(max_length=1000)] = []
    delete: Annotated[list[Id], Field(max_length=1000)] = []

    @model_validator(mode="after")
    def _each_once(self) -> BulkRequest:
        if not (self.put or self.delete):
            raise ValueError("give put, delete, or both")
        seen: dict[str, str] = {}
        for list_name, ids in (("put", [document.id for document in self.put]), ("delete", self.delete)):
            for at, document_id in enumerate(ids):
                before = seen.setdefault(document_id, f"{list_name}.{at}")
                if before != f"{list_name}.{at}":
                    raise ValueError(f"{list_name}.{at} is the same document as {before}")
        return self


class RollbackRequest(Strict):
    """Which generation comes back; null: the one before the current contents."""

    to: Annotated[int, Field(ge=0, lt=LARGEST_NUMBER)] | None = None


class ErrorDetail(BaseModel):
    """Why not."""

    code: str
    message: str


class ErrorBody(BaseModel):
    """Every answer with a status of 400 and above."""

    error: ErrorDetail


class SystemInfo(BaseModel):
    """One system of this server."""

    name: str
    recipe: str
    summary: str
    documents: int
    generation: int
    has_docids: bool
    takes: list[Literal["query", "history", "vector"]]
    writable: bool


class Systems(BaseModel):
    """All of them."""

    systems: list[SystemInfo]


class Step(BaseModel):
    """One token of a generated id."""

    token: int
    label: str
    probability: float | None
    cumulative: float | None


class HitBody(BaseModel):
    """One answer."""

    rank: int
    id: str
    title: str
    snippet: str
    score: float | None
    path: list[int]
    path_label: str
    steps: list[Step]
    metadata: dict[str, Any]
    served: int


class KeptKey(BaseModel):
    """One id the search kept to its end."""

    path: list[int]
    path_label: str
    score: float | None
    documents: list[str]


class Result(BaseModel):
    """The answers to one question."""

    query: str | None
    hits: list[HitBody]
    beam: list[KeptKey] | None = None


class SearchAnswer(BaseModel):
    """The answers to a request; `generation` is the state of the corpus they were checked against."""

    system: str
    generation: int
    took_ms: float
    results: list[Result]


class Listed(BaseModel):
    """A document by name."""

    id: str
    title: str


class Child(BaseModel):
    """One branch of the id tree."""

    token: int
    label: str
    documents: int
    leaf: bool
    terms: list[str]
    examples: list[Listed]


class Tree(BaseModel):
    """What stands below a prefix."""

    prefix: list[int]
    label: str
    documents: int
    children: list[Child]
    listed: list[Listed]


class Summary(Listed):
    """A document in a list."""

    snippet: str


class DocumentPage(BaseModel):
    """Some of the documents, in the order of the corpus."""

    total: int
    offset: int
    generation: int
    documents: list[Summary]


class Key(BaseModel):
    """An id that a model writes for a document."""

    path: list[int]
    label: str


class DocumentBody(BaseModel):
    """One document."""

    id: str
    title: str
    text: str
    metadata: dict[str, Any]
    keys: list[Key]
    served: int
    generation: int


class ChangeAnswer(BaseModel):
    """A change that is on disk and found by every search from now on."""

    generation: int
    time: str
    action: str
    added: int
    removed: int
    updated: int
    documents: int
    restores: int | None


class GenerationBody(BaseModel):
    """One state of the corpus."""

    number: int
    time: str
    action: str
    added: int
    removed: int
    updated: int
    documents: int
    restores: int | None


class HistoryAnswer(BaseModel):
    """States of the corpus, newest first."""

    generation: int
    total: int
    generations: list[GenerationBody]


class Counted(Listed):
    """A document and how often."""

    count: int


class Served(BaseModel):
    """What this server answered since it started."""

    queries: int
    answers: int
    documents: int
    top_share: float
    gini: float
    most: list[Counted]


class Hubs(BaseModel):
    """How often documents stand in the answers to the titles of others."""

    reference: int
    k: int
    mean: float
    max: int
    gini: float
    never: float
    skewness: float
    hubs: list[Counted]


class AuditAnswer(BaseModel):
    """Who is served; `hubness` is null until it was computed for this generation."""

    generation: int
    ready: bool
    served: Served
    hubness: Hubs | None


class Status(BaseModel):
    """Of the process."""

    status: str


KNOWN = frozenset(
    {"body", "query", "path", "q", "offset", "limit", "prefix", "dict", "list"}
    | {
        name
        for model in (SearchRequest, ExplainRequest, NamedContents, BulkRequest, RollbackRequest)
        for name in model.model_fields
    }
)
"""Names that an error may repeat: ours, not the caller's."""

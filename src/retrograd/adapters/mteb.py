"""A system, or a recipe yet to be fitted, in MTEB's own interfaces: `index` / `search`, and `encode`.

MTEB loads tasks, calls these and measures; here its rows become documents and queries and nothing
is retrieved. Its classes are only imported for the card it asks for (`mteb_model_meta`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from retrograd.adapters.library import library
from retrograd.adapters.sentence_encoder import VectorEncoder
from retrograd.adapters.source import Source, current, has_vectors
from retrograd.data.dataset import Dataset
from retrograd.data.runs import strictly_falling
from retrograd.errors import InputError
from retrograd.recipe import Recipe, to_json
from retrograd.search.combine import Scorer
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Corpus, Document, Hit, Query

Indexed = Callable[[Corpus], Source]
"""What answers for a task's corpus."""


class SearchModel:
    """MTEB's search protocol. Use `of` for a fitted system and `fitting` for a recipe.

    >>> mteb.evaluate(SearchModel.fitting(recipe("bm25")), tasks)  # doctest: +SKIP
    """

    def __init__(self, index: Indexed, recipe: Recipe, revision: str, at_most: int = 0) -> None:
        """
        Args:
            index: the system that answers for a task's corpus.
            revision: tells results apart that MTEB keeps under one name.
            at_most: documents returned per query where MTEB asks for more (it asks for 1,000, which is
                slow for a system that generates ids); 0 returns what is asked for.
        """
        self._index, self._recipe, self._revision, self._at_most = index, recipe, revision, at_most
        self._source: Source | None = None

    @classmethod
    def of(cls, source: Source, *, at_most: int = 0) -> SearchModel:
        """A fitted system; it refuses a task whose documents are not its own."""
        system = current(source)
        return cls(lambda corpus: _same_documents(source, corpus), system.recipe, _revision(system), at_most)

    @classmethod
    def fitting(cls, recipe: Recipe, *, seed: int = 0, at_most: int = 0) -> SearchModel:
        """A recipe, fitted on the documents of each task; it sees none of the task's judgements."""
        named = json.dumps([to_json(recipe), seed], sort_keys=True)
        return cls(
            lambda corpus: fit(recipe, Dataset(corpus, name="mteb"), seed=seed),
            recipe,
            hashlib.sha256(named.encode()).hexdigest(),
            at_most,
        )

    @property
    def system(self) -> System:
        """What the last `index` made ready.

        Raises:
            InputError: nothing was indexed yet.
        """
        if self._source is None:
            raise InputError("index() must be called before search()")
        return current(self._source)

    def index(self, corpus: Iterable[Mapping[str, Any]], **about: Any) -> None:
        """Take the documents of a task: rows of `id`, `text` and perhaps `title`.

        Args:
            about: what MTEB says of the task; not read.

        Raises:
            InputError: rows without text, or documents that are not the fitted system's.
        """
        del about
        self._source = self._index(Corpus(map(_document, corpus)))

    def search(
        self,
        queries: Iterable[Mapping[str, Any]],
        *,
        top_k: int,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        **about: Any,
    ) -> dict[str, dict[str, float]]:
        """Query id -> document id -> score, strictly falling so that nobody breaks ties another way.

        Args:
            queries: rows of `id` and `text`, perhaps with an `instruction`, which goes behind the text.
            top_ranked: candidates per query, of a reranking task: only these are ranked.
            about: what MTEB says of the task; not read.
        """
        del about
        asked, k = [_query(row) for row in queries], min(top_k, self._at_most or top_k)
        system = self.system
        if top_ranked is not None:
            hits = [_best(system, query, top_ranked.get(query.id, ()), k) for query in asked]
        else:
            hits = list(system.search(asked, k).hits) if asked else []
        return {query.id: _scores(found) for query, found in zip(asked, hits, strict=True)}

    @property
    def mteb_model_meta(self) -> Any:
        """MTEB's card of this model."""
        return _meta(self._recipe, self._revision, None if self._source is None else self.system)


class EncoderModel:
    """MTEB's encoder protocol on a vector system: for tasks that compare texts without searching."""

    def __init__(self, source: Source) -> None:
        """
        Raises:
            InputError: the system has no vectors.
        """
        self._encoder = VectorEncoder(source)
        self.similarity = self._encoder.similarity
        self.similarity_pairwise = self._encoder.similarity_pairwise

    def encode(
        self, inputs: Iterable[Mapping[str, Sequence[str]]], *, prompt_type: Any = None, **about: Any
    ) -> np.ndarray:
        """(n, d) float32 of batches with a list of texts under `text`.

        Args:
            prompt_type: `query` encodes as queries; everything else as documents.
            about: what MTEB says of the task; not read.
        """
        del about
        encode = self._encoder.encode_document
        if getattr(prompt_type, "value", prompt_type) == "query":
            encode = self._encoder.encode_query
        vectors: np.ndarray = encode([text for batch in inputs for text in batch["text"]])
        return vectors

    @property
    def mteb_model_meta(self) -> Any:
        """MTEB's card of this model."""
        system = self._encoder.system
        return _meta(system.recipe, _revision(system), system)


def _document(row: Mapping[str, Any]) -> Document:
    return Document(_text(row, "id"), _text(row, "text"), row.get("title") or "")


def _query(row: Mapping[str, Any]) -> Query:
    return Query(_text(row, "id"), f"{_text(row, 'text')} {row.get('instruction') or ''}".strip())


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise InputError(f"a row of the task has no text under {name!r}; only text tasks can be searched")
    return value


def _same_documents(source: Source, corpus: Corpus) -> Source:
    """`source`, if it holds what the task holds; blanks do not count."""
    own = {document.id: document.contents.split() for document in current(source).corpus}
    given = {document.id: document.contents.split() for document in corpus}
    wrong = sum(own.get(id) != words for id, words in given.items()) + len(own.keys() - given.keys())
    if wrong:
        raise InputError(
            f"{wrong} documents differ between the task ({len(given)}) and the system ({len(own)}); "
            "fit on the task's corpus with SearchModel.fitting(recipe)"
        )
    return source


def _best(system: System, query: Query, candidates: Sequence[str], k: int) -> tuple[Hit, ...]:
    """The candidates of one query, best first; those the system does not hold or find are left out."""
    known = [id for id in dict.fromkeys(candidates) if id in system.corpus.row_of]
    if isinstance(system.searcher, Scorer):
        (scores,) = system.searcher.score([query], [known])
        hits = [Hit(id, float(score)) for id, score in zip(known, scores, strict=True)]
        return tuple(sorted(hits, key=lambda hit: -hit.score)[:k])
    wanted = set(known)
    found = system.search([query], len(system.corpus)).hits[0]
    return tuple(hit for hit in found if hit.document in wanted)[:k]


def _scores(hits: Sequence[Hit]) -> dict[str, float]:
    return {hit.document: float(score) for hit, score in zip(hits, strictly_falling(hits), strict=True)}


def _revision(system: System) -> str:
    named = [to_json(system.recipe), dict(system.manifest), system.corpus.ids]
    return hashlib.sha256(json.dumps(named, sort_keys=True, default=str).encode()).hexdigest()


def _meta(recipe: Recipe, revision: str, system: System | None) -> Any:
    mteb = library("mteb", "mteb")
    model: Any = None if system is None else system.model
    vectors = system is not None and has_vectors(system)
    unknown = (
        "release_date",
        "languages",
        "memory_usage_mb",
        "max_tokens",
        "license",
        "public_training_code",
    )
    return mteb.models.ModelMeta(
        loader=None,
        name=f"retrograd/{recipe.name}",
        revision=revision,
        n_parameters=sum(p.numel() for p in model.parameters()) if hasattr(model, "parameters") else None,
        embed_dim=model.dimensions if vectors else None,
        similarity_fn_name="dot" if vectors else None,
        framework=["PyTorch"],
        use_instructions=False,
        open_weights=True,
        public_training_data=None,
        training_datasets=None,
        **dict.fromkeys(unknown),
    )

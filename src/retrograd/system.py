"""A fitted system: what a recipe became on one corpus, as one folder that can be opened again.

Knows how the parts of a recipe fit together and where each is stored; the training that filled
them is on the floor above.

Folder: `manifest.json` (hashes of all the rest), `recipe.json`, `documents.sqlite` (the truth),
`docids.safetensors`, `model.safetensors`, `fitted.safetensors` (vocabularies and the like),
`derived.safetensors` and `lexical/` (indexes: can be rebuilt), `metrics.jsonl`, `README.md`, and
`live/` for what changed since (see `live_folder`).
"""

from __future__ import annotations

import shutil
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import artifacts, repair
from retrograd.change_log import Net
from retrograd.docid_table import DocidTable
from retrograd.document_store import DocumentStore
from retrograd.errors import ArtifactError, InputError, RetrogradError
from retrograd.live_folder import alone, refuse_strange
from retrograd.recipe import Mix, Rate, Recipe, Stage, from_json, to_json
from retrograd.types import Corpus, Query, Ranking, Searcher, State, TextEncoder, TextEncoderConfig

if TYPE_CHECKING:
    from torch import nn

    from retrograd.search.by_vector import VectorSearcher
    from retrograd.search.filtered import Fields
    from retrograd.search.parts import Parts


DOCIDS = "docids.safetensors"

_ATTEMPTS = 3
"""Times a folder is read that somebody replaces meanwhile."""


def part_kinds() -> dict[str, type]:
    """Every config class a saved system needs in order to answer queries, by name."""
    from retrograd import data, docids, indexes, models, search

    classes = (Recipe, Stage, Mix, Rate, *docids.CONFIGS, *models.CONFIGS, *indexes.CONFIGS, *search.CONFIGS)
    return {cls.__name__: cls for cls in (*classes, *data.CONFIGS)}


@dataclass(eq=False)
class Fitted:
    """What was learnt from the collection beside network weights, and the encoders built from it."""

    model: State = field(default_factory=dict)
    """What the model's config fitted (tokenizers, vocabularies)."""

    docids: State = field(default_factory=dict)
    """What the text encoder behind the docids fitted."""

    search: State = field(default_factory=dict)
    """What the search config learnt from the train judgements."""

    _built: dict[Any, TextEncoder] = field(default_factory=dict)

    def encoder(self, config: TextEncoderConfig, texts: Sequence[str]) -> TextEncoder:
        """The text encoder the docids are made with; fitted on `texts` the first time."""
        from retrograd.models.embedding_cache import cached

        if config not in self._built:
            self.docids = self.docids or config.fit(texts)
            self._built[config] = cached(config.build(self.docids))
        return self._built[config]

    def arrays(self) -> State:
        """All states in one, for one file."""
        states = {"model": self.model, "docids": self.docids, "search": self.search}
        return {f"{owner}.{name}": array for owner, state in states.items() for name, array in state.items()}

    @classmethod
    def from_arrays(cls, arrays: State) -> Fitted:
        """Undo `arrays`."""
        parts: dict[str, State] = {"model": {}, "docids": {}, "search": {}}
        for name, array in arrays.items():
            owner, _, rest = name.partition(".")
            parts[owner][rest] = array
        return cls(parts["model"], parts["docids"], parts["search"])


@dataclass(frozen=True, eq=False)
class Origin:
    """A saved state, and what changed since."""

    parts: Parts
    """As they were saved."""

    places: np.ndarray
    """(documents,) int64: the number by which the change log knows each of its documents."""

    net: Net
    vectors: Mapping[int, np.ndarray] = field(default_factory=dict)
    """Place -> (d,) of the documents that joined."""


@dataclass(eq=False)
class System:
    """A recipe with everything it learnt, ready to answer.

    >>> system = System.load("my-system")  # doctest: +SKIP
    >>> system.search("estimate depth from one image", k=3)  # doctest: +SKIP
    """

    recipe: Recipe
    parts: Parts
    """Corpus, model, docid table, derived arrays, and the folder where a searcher keeps its files."""

    searcher: Searcher
    fitted: Fitted
    manifest: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    """What it was assembled from, where it was loaded or changed."""

    sealed_anew: bool = False
    """Whether loading it had to repair files, and so to change the manifest."""

    @property
    def corpus(self) -> Corpus:
        """The documents that can be found."""
        return self.parts.corpus

    @property
    def model(self) -> Any:
        """The network, or None."""
        return self.parts.model

    @property
    def table(self) -> DocidTable | None:
        """Which key names which document; None for systems without docids."""
        return self.parts.table

    @property
    def folder(self) -> Path:
        """Where the system lies on disk."""
        return self.parts.folder

    @classmethod
    def assemble(
        cls, recipe: Recipe, parts: Parts, fitted: Fitted, manifest: Mapping[str, Any] | None = None
    ) -> System:
        """Put fitted parts together and build the searcher the recipe asks for."""
        parts = replace(parts, learnt=fitted.search)
        return cls(recipe, parts, recipe.search.build(parts), fitted, manifest or {})

    def search(
        self, queries: str | Sequence[str | Query], k: int = 10, where: Mapping[str, Any] | None = None
    ) -> Ranking:
        """The `k` best documents of each query, fewer where the corpus is smaller.

        Args:
            queries: one text, or a sequence of texts or `Query` values. Plain texts get their
                position as id.
            where: metadata field (or `id`, `title`) -> the value, or a list of the values, that an answer
                must have in it; see `search.filtered.Fields`.

        Raises:
            InputError: `k` below 1, or a field that no document has.
        """
        if k < 1:
            raise InputError(f"k={k} must be at least 1")
        given = [queries] if isinstance(queries, str) else list(queries)
        asked = [q if isinstance(q, Query) else Query(str(at), q) for at, q in enumerate(given)]
        k = min(k, len(self.corpus))
        if not where:
            return self.searcher.search(asked, k)
        from retrograd.search.filtered import search_allowed

        return search_allowed(self.searcher, asked, k, self.fields.allowed(where), self.corpus.row_of)

    def search_vectors(self, vectors: Any, k: int = 10, where: Mapping[str, Any] | None = None) -> Ranking:
        """The `k` documents whose vectors have the largest inner products with each of `vectors`: exact,
        whatever index the system's own search uses.

        Args:
            vectors: (q, d) finite numbers, as the system's model makes them of queries.
            where: as in `search`.

        Raises:
            InputError: the system has no document vectors, these do not fit them, or as `search`.
        """
        if k < 1:
            raise InputError(f"k={k} must be at least 1")
        allowed = self.fields.allowed(where) if where else None
        return self._by_vector.search(vectors, k, allowed)

    @cached_property
    def fields(self) -> Fields:
        """What documents can be filtered by."""
        from retrograd.search.filtered import Fields

        return Fields(self.corpus)

    @cached_property
    def _by_vector(self) -> VectorSearcher:
        from retrograd.search.by_vector import VectorSearcher, has_vectors

        if not has_vectors(self.parts):
            raise InputError(f"{self.recipe.name} systems have no document vectors; ask with a text")
        return VectorSearcher(self.parts)

    def save(self, folder: str | Path) -> None:
        """Keep the system as a folder. One that stands there is replaced in one step and kept as
        `FOLDER.previous`.

        Raises:
            StorageError: the disk refused; what stood there before still opens.
        """
        folder = Path(folder)
        partial = folder.with_name(f"{folder.name}.saving")
        shutil.rmtree(partial, ignore_errors=True)
        self.write(partial, self.manifest)
        with alone(folder):
            artifacts.publish(partial, folder)

    def write(self, folder: Path, info: Mapping[str, Any], *, keep_places: bool = False) -> None:
        """Write every part and the manifest into `folder` (made if missing), which then opens.

        What came and went since the system was saved becomes part of it; no log is written.

        Args:
            info: what the manifest says beside hashes: data, seed, versions, measures.
            keep_places: documents keep the numbers that a change log knows them by.
        """
        from safetensors.torch import save

        from retrograd.search.changed import settled_parts

        folder.mkdir(parents=True, exist_ok=True)
        parts = self.parts
        if folder.resolve() != self.folder.resolve():
            parts = settled_parts(parts, folder)
            self.recipe.search.build(parts)  # files that a searcher keeps of its own
        positions = self.places.tolist() if keep_places else None
        DocumentStore.create(folder / "documents.sqlite", self.corpus, positions).close()
        artifacts.write_json(folder / "recipe.json", to_json(self.recipe))
        artifacts.save_arrays(folder / "fitted.safetensors", self.fitted.arrays())
        artifacts.save_arrays(folder / repair.ARRAYS, parts.arrays)
        if self.table is not None:
            artifacts.save_table(folder / DOCIDS, self.table)
        if self.model is not None:
            weights = {name: tensor.contiguous() for name, tensor in self.model.state_dict().items()}
            artifacts.write_bytes_atomic(folder / "model.safetensors", save(weights))
        own = {
            "recipe": self.recipe.name,
            "documents": len(self.corpus),
            "model_fingerprint": getattr(self.model, "fingerprint", ""),
            "docids_sha256": "" if self.table is None else artifacts.sha256_file(folder / DOCIDS),
            "generation": self.generation if keep_places else 0,
        }
        artifacts.write_manifest(folder, {**info, **own})

    @classmethod
    def load(cls, folder: str | Path, *, held: bool = False) -> System:
        """Open a saved system as it is now, after checking every file against the manifest.

        Indexes and vectors that are damaged or missing are made again, with a warning that names them.

        Args:
            held: whether the caller has the right to change the folder, see `live_folder.WriterLock`.

        Raises:
            InputError: the folder does not exist or is no system.
            ArtifactError: a file that cannot be made again is damaged, missing or foreign, the format is
                another version's, or the text encoder at hand is not the one the system was fitted with.
        """
        for attempt in range(_ATTEMPTS):
            here = artifacts.current(Path(folder))
            if not (here / artifacts.MANIFEST).is_file():
                raise InputError("no retrograd system here (manifest.json is missing)", path=here)
            seal = (here / artifacts.MANIFEST).read_bytes()
            try:
                with _unreadable(here):
                    system = cls._load(here, held)
            except ArtifactError:
                if attempt == _ATTEMPTS - 1 or not _replaced(here, seal):
                    raise
                continue
            # whoever publishes a new folder may do so while this one is read
            if not _replaced(here, seal) or system.sealed_anew:
                break
        return system

    @classmethod
    def _load(cls, folder: Path, held: bool) -> System:
        from retrograd.search.parts import Parts

        refuse_strange(folder)
        lost = repair.lost(folder)
        manifest = artifacts.read_manifest(folder)
        recipe = from_json(artifacts.read_json(folder / "recipe.json"), part_kinds(), keep_unknown=True)
        if not isinstance(recipe, Recipe):
            raise ArtifactError(f"{folder / 'recipe.json'}: holds no recipe")
        store = DocumentStore.open(folder / "documents.sqlite")
        corpus, places = store.corpus(), store.positions()
        store.close()
        table_file = folder / DOCIDS
        table = artifacts.load_table(table_file) if table_file.exists() else None
        if table is not None:
            _refuse_foreign_docids(table, table_file, corpus, manifest)
        fitted = Fitted.from_arrays(artifacts.load_arrays(folder / "fitted.safetensors"))
        model = build_model(recipe, fitted, table, seed=0)
        if model is not None:
            load_weights(model, folder / "model.safetensors")
            model.eval()
            _refuse_foreign(model, manifest, folder)
        arrays = {} if repair.ARRAYS in lost else artifacts.load_arrays(folder / repair.ARRAYS)
        parts = Parts(corpus, model, table, folder, arrays, fitted.search)
        repaired = repair.repair(parts, recipe.search, lost, held=held)
        origin = Origin(parts, places, Net(generation=manifest.get("generation", 0)))
        steps = repair.steps_since(folder, origin.net.generation)
        net = origin.net.after(steps)
        vectors = repair.vectors_of_joined(parts, steps, net)
        if not steps:
            return cls(recipe, parts, recipe.search.build(parts), fitted, manifest, origin, repaired)
        start = cls(recipe, parts, _Unasked(), fitted, manifest, origin, repaired)
        return start.changed(net, vectors)

    def changed(self, net: Net, vectors: Mapping[int, np.ndarray]) -> System:
        """The system with what came and went since it was saved, in the place of what it had of that.

        Args:
            net: the changes.
            vectors: place -> (d,) of every document that joined, where the system has document vectors.

        Raises:
            InputError: no document is left.
        """
        from retrograd.search.changed import changed_parts

        origin = replace(self.since, net=net, vectors=vectors)
        parts = changed_parts(origin.parts, origin.places, net, vectors, before=(self.parts, self.places))
        searcher = self.recipe.search.build(parts)
        return System(self.recipe, parts, searcher, self.fitted, self.manifest, origin, self.sealed_anew)

    @cached_property
    def since(self) -> Origin:
        """What the system was assembled from; of one that was never saved, itself."""
        return self.origin or Origin(self.parts, np.arange(len(self.corpus)), Net())

    @property
    def generation(self) -> int:
        """Number of the last change in it; 0 as it was fitted."""
        return self.since.net.generation

    @cached_property
    def places(self) -> np.ndarray:
        """(documents,) int64, ascending: the number by which the change log knows each document."""
        drift = self.parts.drift
        if drift is None:
            return self.since.places
        found = np.empty(len(self.corpus), np.int64)
        found[drift.rows[drift.rows >= 0]] = self.since.places[drift.rows >= 0]
        found[drift.joined] = drift.places
        return found

    @cached_property
    def base(self) -> System:
        """The system as it was saved, without what changed since."""
        origin = Origin(self.since.parts, self.since.places, Net(generation=self.base_generation))
        return replace(self, parts=origin.parts, searcher=_Unasked(), origin=origin)

    @property
    def base_generation(self) -> int:
        """The generation that the sealed files hold."""
        return int(self.manifest.get("generation", 0))


class _Unasked:
    """The searcher of a system that nobody asks."""

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """Not to be called."""
        raise NotImplementedError("this system only stands for its parts")


@contextmanager
def _unreadable(folder: Path) -> Iterator[None]:
    """Whatever sealed files may hold that nobody foresaw is a fault of the files, told with its place."""
    try:
        yield
    except (RetrogradError, OSError, ImportError):
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        raise ArtifactError(
            f"{folder}: its files fit the manifest but not each other, or this version "
            f"({place}: {type(error).__name__}: {' '.join(str(error).split()):.200})"
        ) from error


def _replaced(folder: Path, seal: bytes) -> bool:
    try:
        return (folder / artifacts.MANIFEST).read_bytes() != seal
    except OSError:
        return True


def build_model(recipe: Recipe, fitted: Fitted, table: DocidTable | None, seed: int) -> Any:
    """The network of a recipe with fresh weights, or None where it has none."""
    return None if recipe.model is None else recipe.model.build(fitted.model, table, seed)


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill a model from a safetensors file.

    Raises:
        ArtifactError: names or shapes are not this model's.
    """
    from safetensors.torch import load

    try:
        model.load_state_dict(load(path.read_bytes()))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ArtifactError(f"{path}: these weights belong to another model: {reason}") from None


def _refuse_foreign(model: Any, manifest: Mapping[str, Any], folder: Path) -> None:
    wanted, found = manifest.get("model_fingerprint", ""), getattr(model, "fingerprint", "")
    if wanted != found:
        raise ArtifactError(
            f"{folder}: fitted with text encoder or tokenizer {wanted[:12]}, "
            f"but the one found here is {found[:12]}; put the original encoder back or fit again"
        )


def _refuse_foreign_docids(
    table: DocidTable, path: Path, corpus: Corpus, manifest: Mapping[str, Any]
) -> None:
    """Weights write the ids of the table they were trained with, and of no other."""
    if table.document_ids != corpus.ids:
        raise ArtifactError(f"{path}: these docids are of other documents than the system has")
    if manifest.get("docids_sha256", "") not in ("", artifacts.sha256_file(path)):
        raise ArtifactError(f"{path}: these docids are not those that the weights were trained with")


def mean_of_groups(vectors: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Unit mean vector of each run of rows.

    Args:
        vectors: (sum(counts), d) float32.
        counts: rows per group, each at least 1.

    Returns: (groups, d) float32, L2-normalised.
    """
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    means = np.add.reduceat(vectors, starts, axis=0) / np.asarray(counts, np.float32)[:, None]
    unit: np.ndarray = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return unit.astype(np.float32)


def temporary_folder() -> Path:
    """A folder for a system that nobody asked to keep; the operating system clears it."""
    return Path(tempfile.mkdtemp(prefix="retrograd-"))

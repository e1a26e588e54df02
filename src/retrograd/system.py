"""A fitted system: what a recipe became on one corpus, as one folder that can be opened again.

Knows how the parts of a recipe fit together and where each is stored; the training that filled
them is on the floor above.

Folder: `manifest.json` (hashes of all the rest), `recipe.json`, `documents.sqlite` (the truth),
`docids.safetensors`, `model.safetensors`, `fitted.safetensors` (vocabularies and the like),
`derived.safetensors` and `lexical/` (indexes: can be rebuilt), `metrics.jsonl`, `README.md`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import artifacts
from retrograd.docid_table import DocidTable
from retrograd.document_store import DocumentStore
from retrograd.errors import ArtifactError, InputError
from retrograd.recipe import Mix, Rate, Recipe, Stage, from_json, to_json
from retrograd.types import Corpus, Query, Ranking, Searcher, State, TextEncoder, TextEncoderConfig

if TYPE_CHECKING:
    from torch import nn

    from retrograd.search.parts import Parts


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

    def search(self, queries: str | Sequence[str | Query], k: int = 10) -> Ranking:
        """The `k` best documents of each query, fewer where the corpus is smaller.

        Args:
            queries: one text, or a sequence of texts or `Query` values. Plain texts get their
                position as id.

        Raises:
            InputError: `k` below 1.
        """
        if k < 1:
            raise InputError(f"k={k} must be at least 1")
        given = [queries] if isinstance(queries, str) else list(queries)
        asked = [q if isinstance(q, Query) else Query(str(at), q) for at, q in enumerate(given)]
        return self.searcher.search(asked, min(k, len(self.corpus)))

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
        artifacts.publish(partial, folder)

    def write(self, folder: Path, info: Mapping[str, Any]) -> None:
        """Write every part and the manifest into `folder` (made if missing), which then opens.

        Args:
            info: what the manifest says beside hashes: data, seed, versions, measures.
        """
        from safetensors.torch import save

        folder.mkdir(parents=True, exist_ok=True)
        if folder.resolve() != self.folder.resolve():
            self.recipe.search.build(
                replace(self.parts, folder=folder)
            )  # files that a searcher keeps of its own
        DocumentStore.create(folder / "documents.sqlite", self.corpus).close()
        artifacts.write_json(folder / "recipe.json", to_json(self.recipe))
        artifacts.save_arrays(folder / "fitted.safetensors", self.fitted.arrays())
        artifacts.save_arrays(folder / "derived.safetensors", self.parts.arrays)
        if self.table is not None:
            artifacts.save_table(folder / "docids.safetensors", self.table)
        if self.model is not None:
            weights = {name: tensor.contiguous() for name, tensor in self.model.state_dict().items()}
            artifacts.write_bytes_atomic(folder / "model.safetensors", save(weights))
        own = {
            "recipe": self.recipe.name,
            "documents": len(self.corpus),
            "model_fingerprint": getattr(self.model, "fingerprint", ""),
        }
        artifacts.write_manifest(folder, {**info, **own})

    @classmethod
    def load(cls, folder: str | Path) -> System:
        """Open a saved system after checking every file against the manifest.

        Raises:
            InputError: the folder does not exist or is no system.
            ArtifactError: a file is damaged, missing or foreign, the format is another version's,
                or the text encoder at hand is not the one the system was fitted with.
        """
        from retrograd.search.parts import Parts

        folder = artifacts.current(Path(folder))
        if not (folder / "manifest.json").is_file():
            raise InputError("no retrograd system here (manifest.json is missing)", path=folder)
        problems = artifacts.check_folder(folder)
        if problems:
            raise ArtifactError(f"{folder}: {'; '.join(problems)}")
        manifest = artifacts.read_manifest(folder)
        recipe = from_json(artifacts.read_json(folder / "recipe.json"), part_kinds(), keep_unknown=True)
        store = DocumentStore.open(folder / "documents.sqlite")
        corpus = store.corpus()
        store.close()
        table_file = folder / "docids.safetensors"
        table = artifacts.load_table(table_file) if table_file.exists() else None
        fitted = Fitted.from_arrays(artifacts.load_arrays(folder / "fitted.safetensors"))
        model = build_model(recipe, fitted, table, seed=0)
        if model is not None:
            load_weights(model, folder / "model.safetensors")
            _refuse_foreign(model, manifest, folder)
        arrays = artifacts.load_arrays(folder / "derived.safetensors")
        return cls.assemble(recipe, Parts(corpus, model, table, folder, arrays), fitted, manifest)


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

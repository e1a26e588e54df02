"""retrograd: generative and differentiable retrieval as one engine for search and recommendation.

The names below are the public API. Each is imported when it is first used, so that importing the
package costs nothing: torch only loads once something needs it.

>>> import retrograd
>>> retrograd.Document("d1", "Body.", "Title").contents
'Title Body.'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrograd import recipes as recipes
    from retrograd.data.dataset import Dataset as Dataset
    from retrograd.data.dataset import load_dataset as load_dataset
    from retrograd.data.sample import sample_path as sample_path
    from retrograd.docid_table import DocidTable as DocidTable
    from retrograd.errors import ArtifactError as ArtifactError
    from retrograd.errors import InputError as InputError
    from retrograd.errors import RetrogradError as RetrogradError
    from retrograd.errors import StorageError as StorageError
    from retrograd.evaluation.measures import evaluate as evaluate
    from retrograd.recipe import Mix as Mix
    from retrograd.recipe import Recipe as Recipe
    from retrograd.recipe import Stage as Stage
    from retrograd.system import System as System
    from retrograd.training.fit import fit as fit
    from retrograd.types import Corpus as Corpus
    from retrograd.types import Document as Document
    from retrograd.types import History as History
    from retrograd.types import Hit as Hit
    from retrograd.types import Query as Query
    from retrograd.types import Ranking as Ranking
    from retrograd.types import Searcher as Searcher

    load = System.load

__version__ = "0.1.0"

_HOME = {
    "ArtifactError": "errors",
    "Corpus": "types",
    "Dataset": "data.dataset",
    "DocidTable": "docid_table",
    "Document": "types",
    "History": "types",
    "Hit": "types",
    "InputError": "errors",
    "Mix": "recipe",
    "Query": "types",
    "Ranking": "types",
    "Recipe": "recipe",
    "RetrogradError": "errors",
    "Searcher": "types",
    "Stage": "recipe",
    "StorageError": "errors",
    "System": "system",
    "evaluate": "evaluation.measures",
    "fit": "training.fit",
    "load": "system",
    "load_dataset": "data.dataset",
    "recipes": "recipes",
    "sample_path": "data.sample",
}
"""Public name -> the module it lives in."""

__all__ = sorted([*_HOME, "__version__"])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'retrograd' has no attribute {name!r}; it has {', '.join(__all__)}")
    module = import_module(f"retrograd.{_HOME[name]}")
    if name == "recipes":
        return module  # importing a submodule has made it an attribute already
    value = module.System.load if name == "load" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)

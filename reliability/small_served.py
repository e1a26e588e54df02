"""Systems that are fitted in seconds and need no weights, for servers whose answers nobody judges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from retrograd.data.dataset import Dataset, load_dataset
from retrograd.data.sample import sample_path
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.recipe import Recipe
from retrograd.recipes import recipe
from retrograd.training.fit import fit
from retrograd.types import Document
from retrograd.updates.live import LiveSystem


def small_recipes() -> dict[str, Recipe]:
    """A lexical, a dense and a generative system that need no weights."""
    encoder = TfidfSvd(dimensions=32)
    dense, generative = recipe("dense"), recipe("generative")
    model, inputs = generative.model, generative.model.encoder
    stage = replace(generative.stages[0], min_steps=20, max_steps=20)
    return {
        "lexical": recipe("bm25"),
        "dense": replace(dense, model=replace(dense.model, encoder=encoder)),
        "generative": replace(
            generative,
            docids=replace(generative.docids, encoder=encoder),
            model=replace(model, encoder=replace(inputs, encoder=encoder, width=32)),
            stages=(stage,),
        ),
    }


def small_data(documents: int) -> Dataset:
    """The first documents of the shipped sample."""
    data = load_dataset(sample_path("apibench"))
    return data.subset(data.corpus.ids[:documents])


def small_systems(folder: Path, documents: int = 200) -> list[Path]:
    """The three over a corner of the shipped sample."""
    data = small_data(documents)
    for name, chosen in small_recipes().items():
        fit(chosen, data, folder / name)
    return [folder / name for name in small_recipes()]


def changed_systems(folder: Path, documents: int = 60) -> list[Path]:
    """The same after a document was added, one changed and one deleted."""
    folders = small_systems(folder, documents)
    for one in folders:
        with LiveSystem.open(one) as live:
            ids = live.system.corpus.ids
            live.add([Document("later", "a forecast of rain for every image", "weather", {"year": 2020})])
            live.update([Document(ids[2], "translate rain into text", "weather")])
            live.delete([ids[3]])
    return folders

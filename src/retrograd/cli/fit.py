"""`retrograd fit`: a recipe's name and a folder of data become a saved system."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrograd.cli.settings import configured, opened, use_threads
from retrograd.errors import InputError
from retrograd.recipe import Recipe

if TYPE_CHECKING:
    from retrograd.data.dataset import Dataset


def fit_command(
    name: str,
    data: Path,
    out: Path,
    train_split: str,
    settings: Sequence[str],
    seed: int,
    *,
    requests: bool,
    interactions: Path | None,
    cut: str,
    resume: bool,
    threads: int,
) -> None:
    """Fit, save, and say what came out and what to type next."""
    recipe = configured(name, settings)
    dataset = opened(data, requests, cut, interactions)
    if len(dataset.corpus) < 2:
        raise InputError("holds one document; there is nothing to rank, give at least two", path=data)
    use_threads(threads)
    from retrograd.training.fit import fit

    system = fit(recipe, dataset, out, train_split=train_split, seed=seed, resume=resume)
    print("\n".join(report(system.manifest)))
    print(f"saved {recipe.name}, {len(system.corpus):,} documents: {out}")
    print(f"next: retrograd search {out} {example_question(system.recipe, dataset)}")


def example_question(recipe: Recipe, dataset: Dataset) -> str:
    """What a first question to a system may look like on the command line."""
    from retrograd.search.learning import takes_text

    if takes_text(recipe.search):
        return '"your question"'
    some = next((history.items[-2:] for history in dataset.histories.values()), dataset.corpus.ids[:2])
    return f"--history {shlex.quote(','.join(some))}"


def report(manifest: Mapping[str, Any]) -> list[str]:
    """What the fit recorded, one fact per line."""
    lines = [f"fitted in {manifest.get('seconds', 0)} s"]
    lines += [f"docids: {line}" for line in manifest.get("docids", ())]
    tune = ", ".join(f"{measure} {value:.3f}" for measure, value in manifest.get("measures", {}).items())
    return [*lines, f"on the tune part (cut from train): {tune}"] if tune else lines

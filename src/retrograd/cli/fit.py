"""`retrograd fit`: a recipe's name and a folder of data become a saved system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retrograd.cli.settings import configured, opened, use_threads
from retrograd.errors import InputError


def fit_command(
    name: str,
    data: Path,
    out: Path,
    train_split: str,
    settings: Sequence[str],
    seed: int,
    *,
    requests: bool,
    resume: bool,
    threads: int,
) -> None:
    """Fit, save, and say what came out and what to type next."""
    recipe = configured(name, settings)
    dataset = opened(data, requests)
    if len(dataset.corpus) < 2:
        raise InputError("holds one document; there is nothing to rank, give at least two", path=data)
    use_threads(threads)
    from retrograd.training.fit import fit

    system = fit(recipe, dataset, out, train_split=train_split, seed=seed, resume=resume)
    print("\n".join(report(system.manifest)))
    print(f"saved {recipe.name}, {len(system.corpus):,} documents: {out}")
    print(f'next: retrograd search {out} "your question"')


def report(manifest: Mapping[str, Any]) -> list[str]:
    """What the fit recorded, one fact per line."""
    lines = [f"fitted in {manifest.get('seconds', 0)} s"]
    lines += [f"docids: {line}" for line in manifest.get("docids", ())]
    tune = ", ".join(f"{measure} {value:.3f}" for measure, value in manifest.get("measures", {}).items())
    return [*lines, f"on the tune part (cut from train): {tune}"] if tune else lines

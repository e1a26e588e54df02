"""Kill -9 a real `fit` at random moments, resume it, and compare with an uninterrupted one.

    python -m reliability.kill_fit --kills 50

The victim fits a recipe of two stages on a corner of the shipped sample, text encoder, docids,
training and saving included. Every file that holds what was learnt must come out byte for byte.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reliability.victims import KillReport, finish, killed, start
from retrograd.data.dataset import load_dataset
from retrograd.data.examples import PseudoQueries, TrainQueries
from retrograd.data.sample import sample_path
from retrograd.docids.kmeans_tree import KMeansTree
from retrograd.models.encoder_decoder import EncoderDecoder
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.models.vector_input import VectorInput
from retrograd.recipe import Mix, Recipe, Stage
from retrograd.search.generative import Beam
from retrograd.training.fit import fit
from retrograd.training.objectives.sequence import SequenceConsistency, SequenceLikelihood

LEARNT = ("model.safetensors", "docids.safetensors", "fitted.safetensors")
ENCODER = TfidfSvd(dimensions=32)


def victim(steps: int) -> Recipe:
    """Two stages with everything a checkpoint must hold: dropout, averages, best weights."""
    first = Stage(
        name="pseudo",
        objective=SequenceLikelihood(),
        examples=(Mix(source=PseudoQueries(per_document=4)),),
        batch_size=32,
        min_steps=steps,
        max_steps=steps,
        ema=0.9,
    )
    second = replace(
        first,
        name="real",
        objective=SequenceConsistency(),
        examples=(Mix(source=TrainQueries()), *first.examples),
        accumulation=2,
        validate_every=steps // 4,
        decay="cosine",
    )
    return Recipe(
        name="victim",
        summary="a small generative index",
        docids=KMeansTree(encoder=ENCODER, leaf_size=20),
        model=EncoderDecoder(encoder=VectorInput(encoder=ENCODER, width=32, noise=0.1)),
        stages=(first, second),
        search=Beam(),
    )


def run(out: str, steps: int, resume: bool) -> None:
    """Fit, or go on where a killed fit was."""
    torch.set_num_threads(1)
    data = load_dataset(sample_path("apibench"))
    data = data.subset(data.corpus.ids[:120] + data.corpus.ids[-40:])
    fit(victim(steps), data, out, resume=resume, checkpoint_seconds=0.05)


def kill_fit(kills: int, *, steps: int = 160, seed: int = 0) -> KillReport:
    """Fit until done through `kills` kills in all, over as many fits as it takes."""
    draw = np.random.default_rng([seed, kills])
    done, finished, differences = 0, 0, []
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        began = time.monotonic()
        finish(_start(whole, steps))
        seconds = time.monotonic() - began
        while done < kills or not finished:
            out = Path(name) / f"killed-{finished}"
            while done < kills and not out.exists():
                done += killed(_start(out, steps), draw.uniform(0, seconds))
            if not out.exists():
                finish(_start(out, steps))
            finished += 1
            differences += [
                f"fit {finished}: {file} differs"
                for file in LEARNT
                if (out / file).read_bytes() != (whole / file).read_bytes()
            ]
    return KillReport(done, finished, tuple(differences))


def _start(out: Path, steps: int) -> Any:
    resume = (out.with_name(f"{out.name}.partial") / "fit.json").exists()
    return start(run, str(out), steps, resume)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    report = kill_fit(arguments.kills, seed=arguments.seed)
    seconds = time.monotonic() - began
    print(f"{report.kills} kills, {report.finished_runs} fits resumed to the end, {seconds:.0f} s")
    raise SystemExit("\n".join(report.differences) or 0)


if __name__ == "__main__":
    main()

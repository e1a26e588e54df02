"""Kill -9 whoever changes a system at random moments, and see that what was acknowledged is there.

    python -m reliability.kill_updates --kills 200

The victim adds, updates, deletes, goes back and renews the folder in a loop, and says after each step which
documents there must be now. After every kill the folder is opened again: all that was said holds, at most one
step more has happened and that one wholly, and answers are those of the same folder without derived files.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reliability.victims import KillReport, killed, start
from retrograd.data.dataset import Dataset
from retrograd.docids.kmeans_tree import KMeansTree
from retrograd.errors import InputError
from retrograd.live_folder import check_system, vectors_of
from retrograd.models.dual_encoder import FrozenVectors
from retrograd.models.encoder_decoder import EncoderDecoder
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.models.vector_input import VectorInput
from retrograd.recipe import Recipe
from retrograd.search.combine import Fuse
from retrograd.search.generative import Beam
from retrograd.search.lexical import Lexical
from retrograd.search.nearest import Nearest
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Corpus, Document
from retrograd.updates.live import LiveSystem

WORDS = ["rain", "snow", "wind", "depth", "image", "text", "wing", "flow", "heat", "shock", "road", "river"]
QUESTIONS = ["rain and wind", "depth of an image", "heat flow"]
ENCODER = TfidfSvd(dimensions=8)


def victims() -> dict[str, Recipe]:
    """One system with terms and vectors, one that generates ids whose tree counts as it grows."""
    joined = Recipe(
        name="joined",
        summary="terms and vectors",
        model=FrozenVectors(encoder=ENCODER),
        search=Fuse(parts=(Lexical(), Nearest())),
    )
    generated = Recipe(
        name="generated",
        summary="a small generative index",
        docids=KMeansTree(encoder=ENCODER, branching=3, leaf_size=4),
        model=EncoderDecoder(encoder=VectorInput(encoder=ENCODER, width=16)),
        search=Beam(),
    )
    return {"joined": joined, "generated": generated}


def written(number: int, draw: np.random.Generator) -> Document:
    """A document of random words."""
    text = " ".join(draw.choice(WORDS, int(draw.integers(3, 40))))
    return Document(f"d{number}", text, str(draw.choice(WORDS)), {"number": number})


def change_forever(folder: str, said: str, seed: int) -> None:
    """What is killed: one line of `said` for each step that was acknowledged."""
    torch.set_num_threads(1)
    draw = np.random.default_rng(seed)
    with Path(said).open("w") as told, LiveSystem.open(folder) as live:

        def tell() -> None:
            ids = sorted((d.id, d.text) for d in live.system.corpus)
            told.write(json.dumps({"generation": live.generation, "documents": ids}) + "\n")
            told.flush()

        tell()
        while True:
            step(live, draw)
            tell()


def step(live: LiveSystem, draw: np.random.Generator) -> None:
    """One random change."""
    ids, kind = live.system.corpus.ids, draw.random()
    if kind < 0.4 or len(ids) < 10:
        live.add([written(10**6 + int(draw.integers(10**9)), draw) for _ in range(int(draw.integers(1, 4)))])
    elif kind < 0.55:
        live.update([Document(str(draw.choice(ids)), "rain " * int(draw.integers(1, 9)))])
    elif kind < 0.85:
        live.delete([str(draw.choice(ids))])
    elif kind < 0.95:
        with suppress(InputError):  # there may be nothing to go back to
            live.rollback()
    else:
        live.compact()


def faults(folder: Path, said: Path) -> list[str]:
    """What does not hold after a kill; [] is what is promised."""
    lines = said.read_text().splitlines() if said.exists() else []
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    if not whole:
        return []
    last = whole[-1]
    found = []
    with LiveSystem.open(folder) as live:
        documents = sorted([d.id, d.text] for d in live.system.corpus)
        if live.generation not in (last["generation"], last["generation"] + 1):
            found.append(f"generation {live.generation} after {last['generation']} was acknowledged")
        elif live.generation == last["generation"] and documents != last["documents"]:
            found.append(f"generation {live.generation} holds other documents than were acknowledged")
        elif live.generation > last["generation"] and len(documents) != live.history()[0].documents:
            found.append(f"generation {live.generation} is half there")
        answers = live.search(QUESTIONS, k=10)
        if {hit.document for hits in answers.hits for hit in hits} - set(live.system.corpus.ids):
            found.append("an answer is no document")
        numbers = [one.number for one in live.history()]
        if numbers != list(range(live.generation, -1, -1)):
            found.append("a generation is missing from the history")
        with tempfile.TemporaryDirectory() as name:
            copy = Path(shutil.copytree(folder, Path(name) / "copy"))
            vectors_of(copy).unlink(missing_ok=True)
            clean = System.load(copy)
            if clean.corpus.ids != live.system.corpus.ids or clean.search(QUESTIONS, k=10) != answers:
                found.append("a clean fold of the log answers otherwise")
    return [*found, *(f"after reopening: {line}" for line in check_system(folder))]


def kill_updates(kills: int, *, seed: int = 0, most_seconds: float = 1.0) -> KillReport:
    """Kill the victim so many times, over both kinds of systems."""
    draw = np.random.default_rng([seed, kills])
    corpus = Corpus(written(number, np.random.default_rng(number)) for number in range(40))
    done, opened, differences = 0, 0, []
    with tempfile.TemporaryDirectory() as name:
        folders = {key: Path(name) / key for key in victims()}
        for key, folder in folders.items():
            fit(victims()[key], Dataset(name="words", corpus=corpus), folder)
        while done < kills:
            key = list(folders)[done % len(folders)]
            said = Path(name) / "said.jsonl"
            said.unlink(missing_ok=True)
            child: Any = start(change_forever, str(folders[key]), str(said), int(draw.integers(2**31)))
            waited = time.monotonic() + 60
            while not said.exists() and child.exitcode is None and time.monotonic() < waited:
                time.sleep(0.01)
            done += killed(child, draw.uniform(0, most_seconds))
            said.touch()
            differences += [f"kill {done}, {key}: {fault}" for fault in faults(folders[key], said)]
            opened += 1
    return KillReport(done, opened, tuple(differences))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    report = kill_updates(arguments.kills, seed=arguments.seed)
    print(
        f"{report.kills} kills, {report.finished_runs} times opened again, {time.monotonic() - began:.0f} s"
    )
    raise SystemExit("\n".join(report.differences) or 0)


if __name__ == "__main__":
    main()

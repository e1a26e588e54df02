"""A sample small enough to fit in a second, settings that train for four steps, and what a command left."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from retrograd.cli.door import main

DOCUMENTS = 40
TINY = (
    "stages.0.max_steps=4",
    "stages.0.min_steps=1",
    "stages.0.batch_size=16",
    "stages.0.examples.0.source.per_document=2",
)
"""Settings under which the generative default trains for four steps."""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that explains a refusal; anything else on the way fails the test."""
        assert self.code == 2, f"exit code {self.code}\n{self.out}\n{self.err}"
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


Cli = Callable[..., Outcome]


def shrink(sample: Path, folder: Path) -> Path:
    """A copy of a sample cut down to a few documents, every split still there."""
    qrels = {file.name: file.read_text().splitlines() for file in sorted((sample / "qrels").glob("*.tsv"))}
    wanted: dict[str, None] = {}
    for lines in qrels.values():
        wanted.update(dict.fromkeys(line.split("\t")[1] for line in lines[1:13]))
    corpus = _lines(sample / "corpus.jsonl.gz")
    wanted.update(dict.fromkeys(json.loads(line)["_id"] for line in corpus[: DOCUMENTS - len(wanted)]))
    (folder / "qrels").mkdir(parents=True)
    for name, lines in qrels.items():
        kept = [line for line in lines[1:] if line.split("\t")[1] in wanted][:12]
        (folder / "qrels" / name).write_text("\n".join([lines[0], *kept]) + "\n")
    kept = [line for line in corpus if json.loads(line)["_id"] in wanted]
    (folder / "corpus.jsonl").write_text("\n".join(kept) + "\n")
    (folder / "queries.jsonl").write_text("\n".join(_lines(sample / "queries.jsonl.gz")) + "\n")
    return folder


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def fit(recipe: str, data: Path, out: Path, *settings: str) -> Path:
    """Fit through the command line; fails the test unless it works."""
    chosen = [part for setting in settings for part in ("--set", setting)]
    assert main(["fit", recipe, "--data", str(data), "--out", str(out), *chosen]) == 0
    return out

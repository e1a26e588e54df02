"""Feed every parser with whatever comes: it answers with a value or with one line that says what is wrong.

    python -m reliability.fuzz_parsers --examples 3000

Files of data and of changes, files of saved systems, texts of the command line, filters, recipes, and the
bodies that the server takes. Hypothesis draws the inputs, half of them near to what a parser expects.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from pydantic import ValidationError

from retrograd import artifacts
from retrograd.change_log import ChangeLog, Generation, Kept, Step
from retrograd.cli.settings import check_question, configured, filters_of
from retrograd.data.beir import read_corpus, read_qrels, read_queries
from retrograd.data.changes import read_changed, read_ids
from retrograd.data.interactions import read_interactions, read_popularity
from retrograd.data.lines import read_jsonl, read_lines, read_table
from retrograd.data.named_columns import read_documents, read_plain_queries
from retrograd.data.recbole import read_atomic, read_inter, read_items, read_users
from retrograd.data.runs import read_run, read_topics, read_trec_qrels
from retrograd.data.search_log import read_search_log
from retrograd.docid_table import DocidTable
from retrograd.document_store import DocumentStore
from retrograd.errors import RetrogradError
from retrograd.evaluation.measures import check_measure
from retrograd.models.pretrained import ModelFiles
from retrograd.recipe import from_json, to_json
from retrograd.recipes import recipe
from retrograd.search.filtered import Fields
from retrograd.server import schemas
from retrograd.server.limits import _check_json
from retrograd.server.refusals import RefusedError, faults
from retrograd.server.run import named_folders
from retrograd.server.tree import prefix_of
from retrograd.system import part_kinds
from retrograd.types import Corpus, Document
from retrograd.vector_store import read_vectors, write_vectors

Read = Callable[[Path], object]
REFUSALS = (RetrogradError, RefusedError)

DATA_FILES: dict[str, Read] = {
    "corpus.jsonl": read_corpus,
    "corpus.jsonl.gz": read_corpus,
    "queries.jsonl": read_queries,
    "dev.tsv": lambda path: read_qrels(path, queries={"q", "0"}, documents={"d", "0"}),
    "lines.txt": lambda path: list(read_lines(path)),
    "records.jsonl": lambda path: list(read_jsonl(path)),
    "table.tsv": lambda path: list(read_table(path)),
    "own.jsonl": read_documents,
    "own.csv": read_documents,
    "own.tsv": read_documents,
    "plain.csv": read_plain_queries,
    "interactions.tsv": lambda path: read_interactions(path, items={"0", "i"}),
    "popularity.tsv": read_popularity,
    "ml.inter": read_inter,
    "ml.item": read_items,
    "ml.user": read_users,
    "atomic.item": lambda path: list(read_atomic(path)),
    "topics.txt": read_topics,
    "qrels.txt": read_trec_qrels,
    "run.txt": read_run,
    "search_log.tsv": lambda path: read_search_log(path, queries={"q"}, items={"i"}),
    "added.jsonl": read_changed,
    "added.jsonl.gz": read_changed,
    "gone.txt": read_ids,
    "gone.jsonl": read_ids,
}

SAVED_FILES: dict[str, Read] = {
    "value.json": artifacts.read_json,
    artifacts.MANIFEST: lambda path: artifacts.read_manifest(path.parent),
    "arrays.safetensors": lambda path: (artifacts.load_arrays(path), artifacts.load_metadata(path)),
    "docids.safetensors": artifacts.load_table,
    "documents.sqlite": lambda path: DocumentStore.open(path).corpus(),
    "changes.sqlite": lambda path: ChangeLog.open(path).steps(),
    "vectors.sqlite": lambda path: read_vectors(path, [0, 1], 3),
    "config.json": lambda path: ModelFiles(path.parent, "").config,
}

_FIELDS = Fields(
    Corpus([Document("a", metadata={"year": 2021, "tags": ["x", None]}), Document("b", title="T")])
)
TEXTS: dict[str, Callable[[str], object]] = {
    "--filter": lambda text: _FIELDS.allowed(filters_of([text])),
    "--set": lambda text: configured("generative", [text]),
    "--measures": check_measure,
    "a question": check_question,
    "NAME=DIR": lambda text: named_folders([text]),
    "a prefix": prefix_of,
}


def _schema(model: Any) -> Callable[[Any], object]:
    def check(value: Any) -> object:
        try:
            return model.model_validate_json(json.dumps(value))
        except ValidationError as error:
            said = faults(error.errors(), schemas.KNOWN)
            raise RefusedError(422, said) from None

    return check


VALUES: dict[str, Callable[[Any], object]] = {
    "a recipe": lambda value: from_json(value, part_kinds(), keep_unknown=True),
    "a filter": lambda value: _FIELDS.allowed(value if isinstance(value, dict) else {"year": value}),
    **{
        model.__name__: _schema(model)
        for model in (
            schemas.SearchRequest,
            schemas.ExplainRequest,
            schemas.Contents,
            schemas.NamedContents,
            schemas.BulkRequest,
            schemas.RollbackRequest,
        )
    },
}

BODIES: dict[str, Callable[[bytes], object]] = {"a body": lambda body: _check_json(b"application/json", body)}

HEADERS = (
    b"",
    b"\xef\xbb\xbf",
    b'{"_id": "d", "id": "d", "text": ',
    b"query-id\tcorpus-id\tscore\n",
    b"id,text\n",
    b"id\ttext\n",
    b"user_id\titem_id\ttimestamp\n",
    b"user_id:token\titem_id:token\trating:float\n",
    b"user_id\tquery_id\titem_id\torder\tpart\n",
    b"<top>\n<num> Number: 1\n",
    b"q Q0 d ",
)
PIECES = (
    *(
        b"0",
        b"q",
        b"d",
        b"i",
        b"\t",
        b"\n",
        b" ",
        b"\r",
        b",",
        b'"',
        b"{",
        b"}",
        b"[",
        b":",
        b"NaN",
        b"-",
        b"+",
    ),
    *(
        b"<top>",
        b"</top>",
        b"<title>",
        b"\x00",
        b"\xff",
        b"\\ud800",
        b"1e999",
        b"train",
        b":float",
        b"=",
        b".",
    ),
    *(b"[" * 5000, b'{"a":' * 5000, b"9" * 5000),
)
WORDS = (
    "year",
    "title",
    "id",
    "x",
    "kind",
    "Recipe",
    "Beam",
    "search.width",
    "stages.0.batch_size",
    "nDCG@10",
)

pieces = st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=30).map(b"".join)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(WORDS)
    | st.just(10**400)
)
names = st.sampled_from(
    [
        *(
            "query",
            "queries",
            "history",
            "vector",
            "k",
            "filters",
            "engine",
            "explain",
            "title",
            "text",
            "id",
        ),
        *("metadata", "put", "delete", "to", "kind", "name", "search", "year", "stages", "docids", "model"),
    ]
) | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=12,
)
texts = st.lists(st.sampled_from([*WORDS, "=", "@", "-", ".", "/", "..", "\udcff", "9" * 200]), max_size=5)


@dataclass
class ParserReport:
    """What came back."""

    inputs: dict[str, int] = field(default_factory=dict)
    """Per parser, how many inputs it was given."""

    refused: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """One line each; empty is what is promised."""


def fuzz_parsers(examples: int, *, seed: int = 0) -> ParserReport:
    """So many inputs for every parser."""
    report = ParserReport()
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        sound = _sound_files(here / "sound")
        for file, read in DATA_FILES.items():
            content = st.builds(lambda start, rest: start + rest, st.sampled_from(HEADERS), pieces)
            _fuzz(report, file, content, _reading(here / file, read), examples, seed, says=file)
        for file, read in SAVED_FILES.items():
            content = pieces | _damaged(sound[file])
            _fuzz(report, file, content, _reading(here / file, read), examples, seed, says=file)
        # what a command line can hold: undecodable bytes, but neither NUL nor line breaks worth naming
        joined = (texts.map("".join) | st.text(max_size=20)).map(_argument)
        for what, parse_text in TEXTS.items():
            _fuzz(report, what, joined, parse_text, examples, seed)
        recipes = values | _other(to_json(recipe("generative")))
        for what, parse in VALUES.items():
            _fuzz(report, what, recipes if what == "a recipe" else values, parse, examples, seed)
        for what, parse_bytes in BODIES.items():
            _fuzz(report, what, pieces, parse_bytes, examples, seed)
    return report


def _fuzz(
    report: ParserReport,
    what: str,
    inputs: st.SearchStrategy[Any],
    parse: Callable[[Any], object],
    examples: int,
    seed: int,
    *,
    says: str = "",
) -> None:
    report.inputs[what] = report.refused[what] = 0

    @seeded(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def one(given: Any) -> None:
        report.inputs[what] += 1
        fault = ""
        try:
            parse(given)
        except REFUSALS as error:
            report.refused[what] += 1
            told = str(error)
            fault = "does not say which file" if says not in told else ""
            # whoever chose the message's words chose its length, so a long one is no fault of a file's name
            fault = f"says several lines: {told[:80]!r}" if "\n" in told else fault
            fault = f"says {len(told)} characters" if len(told) > 2000 else fault
        except Exception as error:
            fault = f"{type(error).__name__}: {str(error)[:120]}"
        line = f"{what}: {fault}"
        if fault and line not in report.faults:
            report.faults.append(f"{line} for {repr(given)[:200]}" if len(report.faults) < 50 else line)

    one()


def _argument(text: str) -> str:
    kept = "".join(character for character in text if character.isprintable())
    return kept.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _reading(path: Path, read: Read) -> Callable[[bytes], object]:
    def parse(content: bytes) -> object:
        path.write_bytes(content)
        return read(path)

    return parse


def _damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """A sound file with one byte changed, or cut."""

    def changed(at: int, bit: int, cut: bool) -> bytes:
        at %= len(content)
        return content[:at] if cut else content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]

    return st.builds(changed, st.integers(0, 2**31), st.integers(0, 7), st.booleans())


def _other(value: Any) -> st.SearchStrategy[Any]:
    """A JSON value with another value somewhere in it."""

    def changed(draw: st.DrawFn, value: Any) -> Any:
        if isinstance(value, dict | list) and value and draw(st.integers(0, 5)):
            key = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
            copy = dict(value) if isinstance(value, dict) else list(value)
            copy[key] = changed(draw, value[key])
            return copy
        return draw(values)

    return st.composite(lambda draw: changed(draw, value))()


def _sound_files(folder: Path) -> dict[str, bytes]:
    """One sound file for each of `SAVED_FILES`."""
    folder.mkdir()
    document = Document("d", "text", metadata={"n": 1})
    artifacts.write_json(folder / "value.json", {"a": [1, None]})
    artifacts.save_arrays(folder / "arrays.safetensors", {"w": np.ones(3)}, {"about": "it"})
    table = DocidTable.from_keys([[0], [1]], [0, 1], ["a", "b"], level_sizes=(2,))
    artifacts.save_table(folder / "docids.safetensors", table)
    DocumentStore.create(folder / "documents.sqlite", Corpus([document])).close()
    with ChangeLog.create(folder / "changes.sqlite", Step(Generation(0, "", "fit", 1, 0, 0, 1))) as log:
        kept = Kept(1, document, ((1, 2),), learnt={"row": np.ones(3)})
        log.append(Step(Generation(1, "", "add", 1, 0, 0, 2), (kept,), level_sizes=(2, 3)))
    write_vectors(folder / "vectors.sqlite", {0: np.ones(3, np.float32), 1: np.ones(3, np.float32)})
    (folder / "config.json").write_text('{"model_type": "bert"}')
    saved = {path.name: path.read_bytes() for path in folder.iterdir()}
    artifacts.write_manifest(folder, {"generation": 0})
    saved[artifacts.MANIFEST] = (folder / artifacts.MANIFEST).read_bytes()
    shutil.rmtree(folder)
    return saved


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--examples", type=int, default=3000, help="per parser")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    report = fuzz_parsers(arguments.examples, seed=arguments.seed)
    for what, count in report.inputs.items():
        print(f"{what}: {count} inputs, {report.refused[what]} refused")
    print(f"{sum(report.inputs.values())} inputs in {time.monotonic() - began:.0f} s")
    raise SystemExit("\n".join(report.faults) or 0)


if __name__ == "__main__":
    main()

"""Bad input at the door: one line with the place and the reason, exit code 2, nothing stored is harmed."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.tiny import Cli
from tests.house.tree import SRC

QUESTION = "estimate the depth of an image"


@pytest.fixture
def standing(system: Path, cli: Cli):
    """A system stored before; after the test it must be whole and answer as it did."""
    before = cli("search", system, QUESTION).out
    yield system
    assert cli("check", system).code == 0
    assert cli("search", system, QUESTION).out == before


def refit(cli: Cli, data: Path, out: Path) -> str:
    """The refusal of a fit that would replace what stands."""
    return cli("fit", "bm25", "--data", data, "--out", out).error


def edit(path: Path, line: int, text: bytes) -> None:
    """Replace one line of a file, counted from 1."""
    lines = path.read_bytes().splitlines()
    lines[line - 1] = text
    path.write_bytes(b"\n".join(lines) + b"\n")


def test_malformed_json_names_file_and_line(cli, data, standing):
    edit(data / "corpus.jsonl", 3, b'{"_id": "a"')
    error = refit(cli, data, standing)
    assert "corpus.jsonl:3: " in error
    assert "JSON" in error


def test_a_missing_field_names_file_line_and_field(cli, data, standing):
    edit(data / "corpus.jsonl", 3, b'{"_id": "a", "title": "no text"}')
    assert "corpus.jsonl:3: field 'text' is missing" in refit(cli, data, standing)


def test_a_duplicate_id_names_file_line_and_id(cli, data, standing):
    first = json.loads((data / "corpus.jsonl").read_text().splitlines()[0])["_id"]
    edit(data / "corpus.jsonl", 3, json.dumps({"_id": first, "text": "again"}).encode())
    error = refit(cli, data, standing)
    assert "corpus.jsonl:3: " in error
    assert repr(first) in error


def test_an_unknown_id_in_qrels_names_file_line_and_id(cli, data, standing):
    query = (data / "qrels" / "train.tsv").read_text().splitlines()[1].split("\t")[0]
    edit(data / "qrels" / "train.tsv", 3, f"{query}\tnowhere\t1".encode())
    error = refit(cli, data, standing)
    assert "train.tsv:3: " in error
    assert "'nowhere'" in error


def test_an_empty_corpus_names_the_file(cli, data, standing):
    (data / "corpus.jsonl").write_bytes(b"")
    assert "corpus.jsonl: the file is empty" in refit(cli, data, standing)


def test_a_byte_that_is_not_utf_8_names_file_and_line(cli, data, standing):
    edit(data / "corpus.jsonl", 3, b'{"_id": "a", "text": "caf\xe9"}')
    error = refit(cli, data, standing)
    assert "corpus.jsonl:3: " in error
    assert "UTF-8" in error


def test_a_corpus_with_one_document_is_refused(cli, tmp_path, standing):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "corpus.jsonl").write_text('{"_id": "a", "text": "alone"}\n')
    assert "one document" in refit(cli, tmp_path / "one", standing)


@pytest.mark.parametrize("k", [0, -3, 41, 10**9])
def test_a_k_beyond_the_corpus_names_both_numbers(cli, standing, k):
    error = cli("search", standing, QUESTION, "-k", k).error
    assert f"k={k}" in error
    assert "from 1 to" in error


@pytest.mark.parametrize("text", ["", "   ", "\t\n"])
def test_an_empty_query_is_refused(cli, standing, text):
    assert "the query is empty" in cli("search", standing, text).error


def test_a_query_of_100_000_characters_is_refused_without_echoing_it(cli, standing):
    error = cli("search", standing, "x" * 100_000).error
    assert "100,000 characters" in error
    assert len(error) < 200


def test_a_file_of_queries_names_the_one_that_is_too_long(cli, standing, tmp_path):
    topics, run = tmp_path / "topics.tsv", tmp_path / "run.trec"
    topics.write_text("q1\tdepth\nq2\t" + "x" * 100_000 + "\n")
    assert "q2" in cli("search", standing, "--queries", topics, "--run", run).error
    assert not run.exists()


@pytest.mark.parametrize("command", ["search", "eval", "check"])
def test_a_folder_that_is_no_system_is_named(cli, data, command):
    more = {"search": [QUESTION], "eval": ["--data", data], "check": []}[command]
    assert f"{data}: no retrograd system here" in cli(command, data, *more).error


def test_a_folder_that_does_not_exist_is_named(cli, tmp_path):
    assert "nowhere" in cli("search", tmp_path / "nowhere", QUESTION).error
    assert "nowhere" in cli("fit", "bm25", "--data", tmp_path / "nowhere", "--out", tmp_path / "x").error
    assert not (tmp_path / "x").exists()


def test_a_folder_with_other_things_is_never_replaced(cli, data, tmp_path):
    kept = tmp_path / "thesis"
    kept.mkdir()
    (kept / "chapter.tex").write_text("years of work")
    assert "is no retrograd system" in refit(cli, data, kept)
    assert (kept / "chapter.tex").read_text() == "years of work"


def flipped(content: bytes) -> bytes:
    """The content with one bit of its middle byte changed; an empty file gains a byte."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1 if content else 0]) + content[middle + 1 :]


def test_a_system_with_one_flipped_byte_is_refused_or_mended_and_the_file_named(
    cli, system, tmp_path, caplog
):
    answered = cli("search", system, QUESTION).out
    for path in sorted(path for path in system.rglob("*") if path.is_file()):
        copy = Path(shutil.copytree(system, tmp_path / "damaged"))
        damaged = copy / path.relative_to(system)
        damaged.write_bytes(flipped(path.read_bytes()))
        name = damaged.name
        assert name in cli("check", copy).error, name
        asked = cli("search", copy, QUESTION)
        if name == "derived.safetensors" or damaged.parent.name.startswith("lexical"):
            assert (asked.code, asked.out) == (0, answered), name
            assert damaged.relative_to(copy).parts[0] in caplog.text, name
            assert cli("check", copy).code == 0, name
        else:
            assert name in asked.error, name
        shutil.rmtree(copy)
        caplog.clear()


def test_a_full_disk_is_named_when_the_file_is_forced_out(cli, data, standing, monkeypatch):
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    error = refit(cli, data, standing)
    monkeypatch.undo()
    assert "No space left" in error


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
from retrograd.cli.door import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_disk_that_takes_no_more_bytes_is_named(data, standing):
    arguments = ["fit", "bm25", "--data", str(data), "--out", str(standing)]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(SRC)},
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--set", "search.widht=3"], "has no field 'widht'"),
        (["--set", "search.k1"], "write path=value"),
        (["--set", "search.k1=fast"], "--set search.k1=fast"),
        (["--set", "stages.7.batch_size=3"], "must be a position"),
        (["--train-split", "trian"], "trian"),
        (["--resume"], "nothing to resume|no interrupted run"),
    ],
)
def test_a_wrong_option_of_fit_says_what_is_possible(cli, data, standing, arguments, reason):
    import re

    error = cli("fit", "bm25", "--data", data, "--out", standing, *arguments).error
    assert re.search(reason, error), error


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "bm26", "--data", "x", "--out", "y"],
        ["fit", "bm25"],
        ["search"],
        ["serch", "x"],
        ["search", "x", "--no-such-option"],
        ["search", "x"],
        ["search", "x", "text", "--run", "y"],
        ["recipes", "show", "bm26"],
        ["recipes", "diff", "bm25"],
        ["eval", "--data", "x"],
    ],
)
def test_a_wrong_command_line_is_one_line(cli, arguments):
    assert cli(*arguments).error


@pytest.mark.parametrize("measure", ["nDCG@0", "ndcg", "", "R@10,,R@100"])
def test_a_wrong_measure_says_how_measures_are_written(cli, data, standing, measure):
    error = cli("eval", standing, "--data", data, "--measures", measure).error
    assert "nDCG@10" in error


def test_a_wrong_split_or_baseline_lists_those_there_are(cli, data, standing):
    assert "dev_seen" in cli("eval", standing, "--data", data, "--split", "final").error
    assert "system" in cli("eval", standing, "--data", data, "--baseline", "nobody").error

"""Documents come and go through the command line: what is said, what is found, and what is refused."""

import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import retrograd
from retrograd.docids.tree import TypicalTerms, children_of, documents_below
from retrograd.recipes import recipe
from retrograd.training.fit import fit
from retrograd.updates import replay
from tests.cli.tiny import Cli
from tests.house.tree import SRC
from tests.small_systems import small

KINDS = ("bm25", "dense", "generative")
ANIMAL, ROCK = {"kind": "animal"}, {"kind": "rock", "year": 1902}
NEW = [
    {"_id": "zebra", "title": "Striped zebra herds", "text": "Zebras cross the savanna.", "metadata": ANIMAL},
    {"id": "quokka", "title": "Smiling quokka", "text": "A quokka on an island.", "metadata": ANIMAL},
    {"id": 17, "title": "Basalt columns", "text": "Basalt cools into columns.", "metadata": ROCK},
]
IDS = ("zebra", "quokka", "17")


@pytest.fixture(scope="module")
def fitted(tiny_data, tmp_path_factory):
    """One small system per kind that tests only copy."""
    dataset, place = retrograd.load_dataset(tiny_data), tmp_path_factory.mktemp("systems")
    for name in KINDS:
        fit(small(recipe(name)), dataset, place / name)
    return place


@pytest.fixture(params=KINDS)
def any_system(request, fitted, tmp_path) -> Path:
    """A copy of each kind of system in turn."""
    return Path(shutil.copytree(fitted / request.param, tmp_path / "any"))


@pytest.fixture
def lexical(fitted, tmp_path) -> Path:
    """A copy of the lexical system, where the kind makes no difference."""
    return Path(shutil.copytree(fitted / "bm25", tmp_path / "lexical"))


@pytest.fixture
def new(tmp_path) -> Path:
    """A file of three new documents."""
    return written(tmp_path / "new.jsonl", NEW)


def written(path: Path, records) -> Path:
    """One JSON object per line; texts are written as they are."""
    lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def ids_of(folder: Path) -> list[str]:
    return list(retrograd.load(folder).corpus.ids)


def done(cli: Cli, *arguments):
    """What a command printed that must work, as JSON."""
    outcome = cli(*arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def history(cli: Cli, folder: Path):
    return done(cli, "history", folder)


def found(cli: Cli, folder: Path, question: str, *options) -> str:
    outcome = cli("search", folder, question, *options)
    assert outcome.code == 0, outcome.err
    return outcome.out


def test_documents_are_found_once_added_and_gone_once_deleted(cli, any_system, new):
    before = ids_of(any_system)
    added = done(cli, "add", any_system, "--data", new)
    assert (added["number"], added["action"], added["added"], added["documents"]) == (1, "add", 3, 43)
    assert ids_of(any_system) == [*before, *IDS]
    everything = found(cli, any_system, "zebra on the savanna", "-k", 43)
    assert "Striped zebra herds" in everything
    assert "zebra" in found(cli, any_system, "zebra on the savanna", "-k", 5, "--filter", "kind=animal")

    deleted = done(cli, "delete", any_system, "--id", "zebra", "--id", before[0])
    assert (deleted["number"], deleted["removed"], deleted["documents"]) == (2, 2, 41)
    assert ids_of(any_system) == [*before[1:], "quokka", "17"]
    assert "zebra" not in found(cli, any_system, "striped zebra herds cross", "-k", 41)

    back = done(cli, "rollback", any_system, "--to", 1)
    assert (back["number"], back["restores"], back["documents"]) == (3, 1, 43)
    assert set(ids_of(any_system)) == {*before, *IDS}
    assert found(cli, any_system, "zebra on the savanna", "-k", 43) == everything
    assert cli("check", any_system).code == 0


def test_ids_of_other_documents_never_change(cli, fitted, tmp_path, new):
    folder = Path(shutil.copytree(fitted / "generative", tmp_path / "s"))

    def keys():
        table = retrograd.load(folder).table
        rows = enumerate(table.document_ids)
        return {id: [table.key(key) for key in table.keys_of(row)] for row, id in rows}

    before = keys()
    done(cli, "add", folder, "--data", new)
    grown = keys()
    done(cli, "delete", folder, "--id", next(iter(before)), "--id", "quokka")
    shrunk = keys()
    assert {id: grown[id] for id in before} == before
    assert all(shrunk[id] == grown[id] for id in shrunk)
    assert grown.keys() - shrunk.keys() == {next(iter(before)), "quokka"}


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_network_that_must_write_unseen_codes_is_warned_of(cli, fitted, tmp_path, new, kind):
    folder = Path(shutil.copytree(fitted / kind, tmp_path / "s"))
    said = cli("add", folder, "--data", new).out
    assert ("--train" in said) == (kind == "generative"), said


def test_an_updated_document_is_found_by_its_new_words_only(cli, any_system, new, tmp_path):
    done(cli, "add", any_system, "--data", new)
    changed = written(
        tmp_path / "c.jsonl", [{"_id": "zebra", "title": "Ocean tides", "text": "moon and tides"}]
    )
    updated = done(cli, "update", any_system, "--data", changed)
    assert (updated["action"], updated["updated"], updated["documents"]) == ("update", 1, 43)
    document = retrograd.load(any_system).corpus[-1]
    assert (document.id, document.title, dict(document.metadata)) == ("zebra", "Ocean tides", {})
    everything = found(cli, any_system, "ocean tides", "-k", 43)
    assert "Ocean tides" in everything
    assert "Striped" not in everything


def test_training_on_what_was_added_is_one_more_generation(cli, fitted, tmp_path, new, monkeypatch):
    monkeypatch.setattr(replay, "train", partial(replay.train, options=replay.Replay(steps=4)))
    folder = Path(shutil.copytree(fitted / "generative", tmp_path / "s"))
    before = retrograd.load(folder)
    made = done(cli, "add", folder, "--data", new, "--train")
    after = retrograd.load(folder)
    assert (made["number"], made["trained"]["number"], after.generation) == (1, 2, 2)
    assert [one["action"] for one in history(cli, folder)][:2] == ["train", "add"]
    assert after.corpus.ids == (*before.corpus.ids, *IDS)
    weights = before.model.state_dict()
    assert any(not tensor.equal(weights[name]) for name, tensor in after.model.state_dict().items())
    assert cli("check", folder).code == 0


def test_a_system_without_a_network_is_not_trained_and_not_changed(cli, lexical, new):
    assert "no stage to train" in cli("add", lexical, "--data", new, "--train").error
    assert [one["number"] for one in history(cli, lexical)] == [0]


def test_each_command_says_what_it_did_and_every_hint_can_be_typed(cli, any_system, new, tmp_path):
    changed = written(tmp_path / "c.jsonl", [{"_id": "17", "title": 'it\'s "$HOME" `x`; rm', "text": "t"}])
    expected = {
        ("add", "--data", new): "added 3 documents: generation 1, 43 documents now, took ",
        ("update", "--data", changed): "updated 1 document: generation 2, 43 documents now, took ",
        ("delete", "--id", "17"): "deleted 1 document: generation 3, 42 documents now, took ",
        ("rollback",): "the documents of generation 2 are back (1 came, 0 went, 0 changed): ",
    }
    for (command, *options), line in expected.items():
        outcome = cli(command, any_system, *options)
        assert outcome.code == 0, outcome.err
        assert outcome.out.startswith(line)
        rest = [line.partition(": ") for line in outcome.out.splitlines()[1:]]
        hints = [said.strip() for kind, _, said in rest if kind != "note"]
        assert len(hints) == (2 if command in ("add", "update") else 1)
        for hint in hints:
            program, *words = shlex.split(hint)
            assert program == "retrograd"
            if words[0] == "search":
                assert cli(*words).code == 0
    assert shlex.split(hints[-1])[1:] == ["rollback", str(any_system), "--to", "3"]


def test_history_lists_every_generation_newest_first(cli, lexical, new):
    fresh = history(cli, lexical)
    assert [(one["number"], one["documents"], one["current"]) for one in fresh] == [(0, 40, True)]
    cli("add", lexical, "--data", new)
    cli("delete", lexical, "--id", "17")
    cli("rollback", lexical)
    listed = history(cli, lexical)
    assert [(one["number"], one["action"], one["current"]) for one in listed] == [
        (3, "rollback", True), (2, "delete", False), (1, "add", False), (0, listed[-1]["action"], False),
    ]  # fmt: skip
    assert [one["documents"] for one in listed] == [43, 42, 43, 40]
    assert listed[0]["restores"] == 1
    table = cli("history", lexical).out
    rows = [line for line in table.splitlines() if line.strip()]
    assert [row.split()[0] for row in rows[-4:]] == ["3", "2", "1", "0"]
    assert "rollback to 1" in rows[-4]
    assert rows[-4].rstrip().endswith("<- current")


def test_rollback_goes_to_any_generation_there_was_and_to_no_other(cli, lexical, new):
    assert cli("rollback", lexical).error
    cli("add", lexical, "--data", new)
    assert "7" in cli("rollback", lexical, "--to", 7).error
    assert cli("rollback", lexical, "--to", -1).error
    cli("delete", lexical, "--id", "17")
    assert [done(cli, "rollback", lexical)["documents"] for _ in range(2)] == [43, 40]
    assert cli("rollback", lexical).error
    assert done(cli, "rollback", lexical, "--to", 2)["documents"] == 42


def test_a_packed_file_is_read_too(cli, lexical, tmp_path):
    packed = tmp_path / "new.jsonl.gz"
    packed.write_bytes(gzip.compress("".join(f"{json.dumps(record)}\n" for record in NEW).encode()))
    assert done(cli, "add", lexical, "--data", packed)["added"] == 3
    assert done(cli, "delete", lexical, "--data", packed)["removed"] == 3


@pytest.mark.parametrize("content", ["zebra\n\n  17  \n", '{"_id": "zebra"}\n{"id": 17}\n'])
def test_ids_to_delete_come_as_lines_or_as_records(cli, lexical, new, tmp_path, content):
    cli("add", lexical, "--data", new)
    name = "gone.jsonl" if content.startswith("{") else "gone.txt"
    (tmp_path / name).write_text(content)
    assert done(cli, "delete", lexical, "--data", tmp_path / name, "--id", "quokka")["removed"] == 3
    assert not set(IDS) & set(ids_of(lexical))


def test_a_dash_reads_standard_input(lexical, new):
    added = subprocess.run(
        [sys.executable, "-m", "retrograd", "add", str(lexical), "--data", "-", "--json"],
        input=new.read_text(), capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(SRC)},
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["added"] == 3


def test_standard_input_holds_records_or_ids_as_its_first_line_says(cli, lexical, new, tmp_path, monkeypatch):
    piped = tmp_path / "stdin"
    monkeypatch.setattr("retrograd.data.changes.STANDARD_INPUT", piped)
    for command, content in {
        "add": new.read_text(),
        "delete": '\n {"_id": "zebra"}\n{"_id": "17"}\n',
        "update": '{"_id": "quokka", "text": "fed"}\n',
    }.items():
        piped.write_text(content)
        done(cli, command, lexical, "--data", "-")
    piped.write_text("quokka\n")
    assert done(cli, "delete", lexical, "--data", "-")["documents"] == 40
    piped.write_text('{"_id": "x", "text": "fine"}\n{"_id"\n')
    for command in ("add", "update", "delete"):
        assert f"{piped}:2: not valid JSON" in cli(command, lexical, "--data", "-").error


def test_known_documents_are_refused_with_their_line_or_skipped(cli, lexical, new, tmp_path):
    known = ids_of(lexical)[3]
    mixed = written(tmp_path / "mixed.jsonl", [NEW[0], {"_id": known, "text": "again"}, NEW[1]])
    error = cli("add", lexical, "--data", mixed).error
    assert f"mixed.jsonl:2: document '{known}' is in {lexical} already" in error
    assert "retrograd update" in error
    assert "--skip-known" in error
    skipped = done(cli, "add", lexical, "--data", mixed, "--skip-known")
    assert (skipped["added"], skipped["skipped"]) == (2, [known])
    said = cli("add", lexical, "--data", mixed, "--skip-known")
    assert said.code == 0
    assert said.out.startswith("nothing to add: 3 documents known already")
    assert done(cli, "add", lexical, "--data", mixed, "--skip-known")["added"] == 0
    assert history(cli, lexical)[0]["number"] == 1
    plural = cli("add", lexical, "--data", written(tmp_path / "p.jsonl", [NEW[0], NEW[1]])).error
    assert "p.jsonl:1: document 'zebra'" in plural
    assert "(1 more like it)" in plural


@pytest.mark.parametrize("command", ["update", "delete"])
def test_an_unknown_document_is_named_with_its_line(cli, lexical, tmp_path, command):
    known = ids_of(lexical)[0]
    file = written(tmp_path / "file.jsonl", [{"_id": known, "text": "a"}, {"_id": "nobody", "text": "b"}])
    error = cli(command, lexical, "--data", file).error
    assert "file.jsonl:2: document 'nobody' is not in" in error
    assert [one["number"] for one in history(cli, lexical)] == [0]


def test_what_cannot_be_deleted_is_refused(cli, lexical, tmp_path):
    assert "document 'nobody' is not in" in cli("delete", lexical, "--id", "nobody").error
    assert "--id ID" in cli("delete", lexical).error
    (tmp_path / "all.txt").write_text("\n".join(ids_of(lexical)))
    assert cli("delete", lexical, "--data", tmp_path / "all.txt").error
    assert len(ids_of(lexical)) == 40


FAULTS = {
    '{"_id": "b"': "2: not valid JSON",
    "[1]": "2: a line must be a JSON object",
    '{"title": "no id", "text": "x"}': "2: field '_id' is missing",
    '{"_id": "", "text": "x"}': "2: field '_id' is an empty id",
    '{"_id": "b\\n", "text": "x"}': "2: field '_id' holds a control character",
    '{"_id": "b"}': "2: field 'text' is missing",
    '{"_id": "b", "text": 3}': "2: field 'text' must be text",
    '{"_id": "b", "text": "x", "metadata": [1]}': "2: field 'metadata' must be an object",
    '{"_id": "b", "text": "\\ud800"}': "2: holds a lone surrogate",
    '{"_id": "b", "text": "x", "metadata": {"y": NaN}}': "2: not valid JSON",
    '{"_id": "a", "text": "again"}': "2: document id 'a' occurs twice, first on line 1",
}


@pytest.mark.parametrize("line", FAULTS)
@pytest.mark.parametrize("command", ["add", "update"])
def test_a_faulty_line_is_named_and_changes_nothing(cli, lexical, tmp_path, line, command):
    file = written(tmp_path / "faulty.jsonl", [{"_id": "a", "text": "fine"}, line])
    assert f"faulty.jsonl:{FAULTS[line]}" in cli(command, lexical, "--data", file).error
    assert [one["number"] for one in history(cli, lexical)] == [0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "holds no document"),
        (b"a\nb\na\n", ":3: document id 'a' occurs twice, first on line 1"),
        (b"a\tb\n", ":1: field 'id' holds a control character"),
        (b"caf\xe9\n", ":1: byte 0xe9"),
    ],
)
def test_a_faulty_list_of_ids_is_named(cli, lexical, tmp_path, content, reason):
    (tmp_path / "gone.txt").write_bytes(content)
    error = cli("delete", lexical, "--data", tmp_path / "gone.txt").error
    assert "gone.txt" in error
    assert reason in error


@pytest.mark.parametrize("command", ["add", "update", "delete", "history", "rollback"])
def test_a_folder_that_is_no_system_is_named(cli, tmp_path, new, command):
    options = ["--data", new] if command in ("add", "update", "delete") else []
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert f"{folder}: no retrograd system here" in cli(command, folder, *options).error
    assert not (tmp_path / "nowhere").exists()
    if options:
        assert "missing.jsonl" in cli(command, tmp_path, "--data", tmp_path / "missing.jsonl").error


def test_filters_restrict_a_search_and_say_what_they_can_be(cli, lexical, new, tmp_path):
    cli("add", lexical, "--data", new)
    question = "zebra quokka basalt columns"
    rocks = found(cli, lexical, question, "--filter", "kind=rock")
    assert "Basalt" in rocks
    assert "zebra" not in rocks
    both = found(cli, lexical, question, "--filter", "kind=rock", "--filter", "kind=animal")
    assert all(id in both for id in IDS)
    assert "no document matches" in found(
        cli, lexical, question, "--filter", "kind=rock", "--filter", "id=zebra"
    )
    assert "Basalt" in found(cli, lexical, question, "--filter", "year=1902")
    assert "no document matches" in found(cli, lexical, question, "--filter", "kind=music")
    assert "write field=value" in cli("search", lexical, question, "--filter", "rock").error
    assert "write field=value" in cli("search", lexical, question, "--filter", "=rock").error
    unknown = cli("search", lexical, question, "--filter", "kinds=rock").error
    assert "no document has the field 'kinds'" in unknown
    assert "kind" in unknown.partition("there are")[2]
    (tmp_path / "topics.tsv").write_text(f"q1\t{question}\n")
    run = tmp_path / "run.trec"
    asked = ("search", lexical, "--queries", tmp_path / "topics.tsv", "--run", run)
    assert cli(*asked, "--filter", "kind=rock").code == 0
    assert [line.split()[2] for line in run.read_text().splitlines()] == ["17"]


def test_vectors_filters_and_the_tree_know_what_came_and_went(cli, fitted, tmp_path, new):
    dense = Path(shutil.copytree(fitted / "dense", tmp_path / "dense"))
    coded = Path(shutil.copytree(fitted / "generative", tmp_path / "coded"))
    for folder in (dense, coded):
        done(cli, "add", folder, "--data", new)
        done(cli, "delete", folder, "--id", "quokka", "--id", ids_of(folder)[0])
    system = retrograd.load(dense)
    vector = system.model.document_vectors(["Striped zebra herds Zebras cross the savanna."])
    assert [hit.document for hit in system.search_vectors(vector, k=1).hits[0]] == ["zebra"]
    found = system.search_vectors(vector, k=41, where={"kind": ["animal", "rock"]}).documents()["0"]
    assert sorted(found) == ["17", "zebra"]
    system = retrograd.load(coded)
    table = system.table
    assert sum(branch.documents for branch in children_of(table)) == len(system.corpus) == 41
    assert {table.document_ids[row] for row in documents_below(table).tolist()} == set(system.corpus.ids)
    words = TypicalTerms(table, system.corpus).of(
        table.key(int(table.keys_of(system.corpus.row_of["zebra"])[0]))
    )
    assert {"zebra", "zebras"} & set(words)

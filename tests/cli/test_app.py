"""The commands from end to end on forty documents."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import retrograd
from retrograd.cli.app import app
from retrograd.cli.door import BROKEN_PIPE, INTERRUPTED
from retrograd.data.runs import read_run
from retrograd.search.decoding_policies import BestFirst
from tests.cli.tiny import TINY, fit
from tests.house.tree import SRC

QUESTION = "estimate the depth of an image"


def test_help_of_every_command_shows_an_example(cli):
    assert "Start here" in cli("--help").out
    assert cli().out == cli("--help").out
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert f"retrograd {name}" in cli(name, "--help").out.split("Example", 1)[1]


def test_version_is_the_package_s(cli):
    assert cli("--version").out.strip() == retrograd.__version__


def test_search_shows_answers_and_explain_shows_their_docids(cli, generative_system):
    plain, explained = (
        cli("search", generative_system, QUESTION),
        cli("search", generative_system, QUESTION, "--explain"),
    )
    assert plain.code == explained.code == 0
    system = retrograd.load(generative_system)
    hits = system.search(QUESTION, k=10).hits[0]
    assert hits
    for hit in hits:
        assert hit.document in plain.out
        assert "-".join(map(str, hit.path)) in explained.out
    assert "log p by step" not in plain.out


def test_a_best_first_search_is_saved_loaded_and_explained_with_its_proof(cli, tiny_data, tmp_path):
    deep = ("docids.branching=3", "docids.leaf_size=3")
    system = retrograd.load(fit("dsi_qg", tiny_data, tmp_path / "deep", *TINY, *deep))
    for most_steps, verdict in ((1000, "no better id exists"), (0, "not proven best")):
        search = BestFirst(width=1, expansions=4, most_steps=most_steps)
        folder = tmp_path / str(most_steps)
        recipe = replace(system.recipe, search=search)
        retrograd.System.assemble(recipe, system.parts, system.fitted).save(folder)
        assert retrograd.load(folder).recipe.search == search
        assert verdict in cli("search", folder, QUESTION, "-k", 3, "--explain").out
        assert "proven" not in cli("search", folder, QUESTION).out


def test_a_file_of_queries_becomes_a_run_with_the_same_answers(cli, lexical_system, tiny_data, tmp_path):
    run = tmp_path / "out.trec"
    done = cli("search", lexical_system, "--queries", tiny_data / "queries.jsonl", "--run", run, "-k", 5)
    assert done.code == 0, done.err
    dataset, system = retrograd.load_dataset(tiny_data), retrograd.load(lexical_system)
    answers = system.search(list(dataset.queries.values()), k=5).documents()
    assert read_run(run).documents() == {query: found for query, found in answers.items() if found}


def test_topics_with_tabs_are_read_too(cli, lexical_system, tmp_path):
    (tmp_path / "topics.tsv").write_text("q1\tdepth of an image\n")
    assert (
        cli("search", lexical_system, "--queries", tmp_path / "topics.tsv", "--run", tmp_path / "r").code == 0
    )
    assert set(read_run(tmp_path / "r").query_ids) == {"q1"}


def test_eval_compares_systems_and_writes_what_was_asked_for(
    cli, lexical_system, generative_system, tiny_data, tmp_path
):
    files = {"--markdown": "table.md", "--png": "table.png", "--run-dir": "runs"}
    options = [part for option, name in files.items() for part in (option, tmp_path / name)]
    done = cli(
        "eval", lexical_system, generative_system, "--data", tiny_data, "--split", "dev_seen", *options
    )
    assert done.code == 0, done.err
    for text in (done.out, (tmp_path / "table.md").read_text()):
        assert all(word in text for word in ("lexical", "generative", "nDCG@10", "bytes/document"))
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"lexical.trec", "generative.trec"}


def test_fit_says_where_the_system_is_and_replaces_it_whole(cli, tiny_data, tmp_path):
    out = tmp_path / "system"
    first = cli("fit", "bm25", "--data", tiny_data, "--out", out)
    second = cli("fit", "bm25", "--data", tiny_data, "--out", out)
    assert first.code == second.code == 0
    assert str(out) in first.out
    assert "saved bm25" in first.out
    assert cli("check", out).code == 0


def test_settings_reach_the_recipe_that_is_saved(tiny_data, tmp_path):
    system = retrograd.load(fit("bm25", tiny_data, tmp_path / "s"))
    changed = retrograd.load(fit("dsi_qg", tiny_data, tmp_path / "g", *TINY, "search.width=7"))
    assert system.recipe.name == "bm25"
    assert changed.recipe.search.width == 7


def test_recipes_are_listed_shown_compared_and_cited(cli):
    names = list(retrograd.recipes.RECIPES)
    listing = cli("recipes", "list").out
    assert all(name in listing for name in names)
    assert 'name = "dsi_qg"' in cli("recipes", "show", "dsi_qg").out
    assert "stages.0.examples" in cli("recipes", "diff", "dsi_semantic", "dsi_qg").out
    assert "the same" in cli("recipes", "diff", "bm25", "bm25").out
    for name in names:
        cited = cli("recipes", "cite", name)
        assert cited.code == 0
        assert cited.out.count("@") >= len(retrograd.recipes.recipe(name).cites)


@pytest.mark.parametrize("name", ["bm25", "dsi_qg"])
def test_each_path_that_show_prints_can_be_set(cli, name):
    from retrograd.recipe import override

    recipe = retrograd.recipes.recipe(name)
    for line in cli("recipes", "show", name).out.splitlines():
        path, _, text = line.partition(" = ")
        value = json.loads(text)
        if not path.endswith("kind") and value not in (None, [], ""):
            override(recipe, path, str(value).lower() if isinstance(value, bool) else str(value))


def start(*arguments: str, **options: object) -> subprocess.Popen:
    """A command as a process of its own, which hears SIGINT even where these tests run in the background."""
    environment = os.environ | {"PYTHONPATH": str(SRC)}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # an ignored signal is inherited
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "retrograd", *arguments], env=environment, text=True, **options
        )
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupted_fit_says_how_to_go_on(tiny_data, tmp_path):
    out = tmp_path / "slow"
    endless = [
        part
        for s in (*TINY, "stages.0.max_steps=1000000", "stages.0.min_steps=1000000")
        for part in ("--set", s)
    ]
    process = start(
        "fit", "dsi_qg", "--data", str(tiny_data), "--out", str(out), *endless, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "slow.partial" / "fit.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    # CPython dies of the signal where it came in the middle of an import; a shell shows 130 for both
    assert process.returncode in (INTERRUPTED, -signal.SIGINT), err
    assert "--resume" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not out.exists()


def test_a_reader_that_leaves_early_is_no_error():
    process = start("recipes", "list", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) == BROKEN_PIPE
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_the_module_is_the_same_door():
    done = subprocess.run(
        [sys.executable, "-m", "retrograd", "recipes", "show"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(SRC)},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert Path(sys.executable).exists()

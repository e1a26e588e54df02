"""Histories at the door: fit, search and eval work for them as for texts, and what is wrong is named."""

import json

import pytest

from tests.recommendation_data import ITEMS, write_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return write_shop(tmp_path_factory.mktemp("data") / "shop")


@pytest.fixture(scope="module")
def systems(shop, tmp_path_factory):
    from tests.cli.tiny import fit

    folder = tmp_path_factory.mktemp("systems")
    return {name: fit(name, shop, folder / name) for name in ("pop", "transition_knn", "item_knn")}


def test_a_fit_says_how_to_ask_and_the_answer_shows_titles(cli, shop, tmp_path):
    fitted = cli("fit", "transition_knn", "--data", shop, "--out", tmp_path / "s")
    assert fitted.code == 0, fitted.err
    command = fitted.out.splitlines()[-1].removeprefix("next: retrograd ").split()
    assert command[:1] + command[2:3] == ["search", "--history"]
    found = cli(*command)
    assert found.code == 0, found.err
    assert " number " in found.out


@pytest.mark.parametrize("layout", ["tsv", "atomic"])
def test_both_layouts_are_measured_alike(cli, tmp_path, layout, systems):
    data = write_shop(tmp_path / "shop", layout=layout)
    table = tmp_path / "t.md"
    measured = cli("eval", *systems.values(), "--data", data, "--slices", "R@10", "--markdown", table)
    assert measured.code == 0, measured.err
    text = table.read_text()
    for words in (
        "R@5",
        "nDCG@10",
        "history length",
        "last step",
        "time of the target",
        "popularity",
        "split ",
    ):
        assert words in text, words
    plain = cli("eval", systems["item_knn"], "--data", write_shop(tmp_path / "plain"), "--ties", "worst")
    assert "ties: worst" in plain.out
    assert "40 queries" in plain.out


def test_a_test_split_and_a_moment_can_be_cut(cli, shop, tmp_path):
    for cut, split in (("last_two", "test"), ("last_two_refit", "test"), ("temporal", "dev")):
        out = tmp_path / cut
        fitted = cli("fit", "pop", "--data", shop, "--cut", cut, "--out", out)
        assert fitted.code == 0, fitted.err
        measured = cli("eval", out, "--data", shop, "--cut", cut, "--split", split)
        assert measured.code == 0, measured.err
        assert f"cut {cut}, split " in measured.out
    assert "choose one of last, " in cli("fit", "pop", "--data", shop, "--cut", "x", "--out", out).error


def test_a_file_of_histories_becomes_a_run(cli, systems, tmp_path):
    asked = tmp_path / "asked.jsonl"
    rows = [
        {"_id": "one", "history": ["soap0", "soap1"]},
        {"_id": "two", "history": ["comb0"], "text": "comb"},
    ]
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cli("search", systems["item_knn"], "--queries", asked, "--run", tmp_path / "run", "-k", "3")
    assert done.code == 0, done.err
    assert {line.split()[0] for line in (tmp_path / "run").read_text().splitlines()} == {"one", "two"}
    asked.write_text('{"_id": "one", "history": "soap0"}\n')
    error = cli("search", systems["pop"], "--queries", asked, "--run", tmp_path / "run").error
    assert "asked.jsonl:1: field 'history' must be a list of ids" in error


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--history", "soap0,nothing"], "item 'nothing' of the history is not in this system"),
        (["--history", ""], "names no item"),
        (["--history", "soap0,,soap1"], "names no item"),
        (["soap"], "reads what was taken before and no text; ask it with --history"),
        ([], "give either TEXT (or --history ID,ID, or both) or --queries FILE"),
    ],
)
def test_a_question_that_means_nothing_is_named(cli, systems, arguments, reason):
    assert reason in cli("search", systems["transition_knn"], *arguments).error


def test_systems_and_questions_of_different_kinds_do_not_meet(cli, systems, lexical_system, shop, tiny_data):
    assert "does not look at histories" in cli("search", lexical_system, "--history", "a").error
    assert "bm25 reads texts, and all" in cli("eval", lexical_system, "--data", shop).error
    assert "pop reads histories, and nothing" in cli("eval", systems["pop"], "--data", tiny_data).error
    assert "only recommendation data have slices" in (
        cli("eval", lexical_system, "--data", tiny_data, "--slices", "R@10").error
    )
    assert (
        "holds no interactions" in cli("eval", lexical_system, "--data", tiny_data, "--cut", "temporal").error
    )


def warned(cli, tmp_path, rows):
    users = {"u": ["soap0", "soap1", "comb0"]}
    data = write_shop(tmp_path / "odd", users)
    lines = ["user_id\titem_id\ttimestamp", *("\t".join(map(str, row)) for row in rows)]
    (data / "interactions.tsv").write_text("\n".join(lines) + "\n")
    return cli("fit", "transition_knn", "--data", data, "--out", tmp_path / "odd-system")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([("u", "soap0", 5), ("u", "comb0", 1)], "timestamp goes backwards for user 'u'"),
        ([("u", "soap0", 1), ("u", "soap0", 1), ("u", "comb0", 2)], "1 duplicate interactions of user 'u'"),
        ([("u", "soap0", 1), ("u", "comb0", 2), ("v", "comb0", 2)], "user 'v' took one item only"),
        (
            [(f"u{user}", item, at) for user in range(5) for at, item in enumerate(sorted(ITEMS))],
            "100.0% of neighbouring items ascend by id or product code",
        ),
    ],
)
def test_odd_interactions_are_warned_of_in_one_line(cli, tmp_path, rows, reason):
    done = warned(cli, tmp_path, rows)
    assert done.code == 0, done.err
    lines = done.err.splitlines()
    assert [line for line in lines if line.startswith("warning: ")]
    assert reason in done.err
    assert "Traceback" not in done.err


def test_an_unknown_item_in_the_interactions_is_refused_with_its_line(cli, tmp_path):
    error = warned(cli, tmp_path, [("u", "soap0", 1), ("u", "nothing", 2)]).error
    assert "interactions.tsv:3: item 'nothing' does not exist" in error

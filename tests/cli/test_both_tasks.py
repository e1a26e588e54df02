"""One system at the door: fitted on queries and histories, asked and measured with either."""

import pytest

from tests.both_tasks_data import write_searched_shop
from tests.recommendation_data import write_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return write_searched_shop(tmp_path_factory.mktemp("data") / "shop")


@pytest.fixture(scope="module")
def system(shop, tmp_path_factory):
    from retrograd.data.both_tasks import load_both_tasks
    from retrograd.training.fit import fit
    from tests.recipes.test_search_and_recommendation import quick

    dataset = load_both_tasks(*shop, requests=True)
    out = tmp_path_factory.mktemp("fitted") / "system"
    fit(quick(), dataset, out)
    return out


def test_interactions_are_learnt_from_beside_a_search_set(cli, shop, tmp_path):
    folder, table = shop
    fitted = cli("fit", "pop", "--data", folder, "--interactions", table, "--out", tmp_path / "pop")
    assert fitted.code == 0, fitted.err
    error = cli(
        "fit", "pop", "--data", folder, "--interactions", tmp_path / "no", "--out", tmp_path / "x"
    ).error
    assert "no" in error
    assert cli("fit", "pop", "--data", folder, "--out", tmp_path / "x").error


@pytest.mark.parametrize(
    "asked", [["wash"], ["--history", "soap0,soap1"], ["wash", "--history", "soap0,comb1"]]
)
def test_a_text_a_history_and_both_show_titles(cli, system, asked):
    found = cli("search", system, *asked)
    assert found.code == 0, found.err
    assert "soap number " in found.out


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ([], "give either TEXT (or --history ID,ID, or both)"),
        ([""], "the query is empty"),
        (["--history", ""], "names no item"),
        (["wash", "--history", "nothing"], "item 'nothing' of the history is not in this system"),
    ],
)
def test_a_request_that_says_nothing_is_refused(cli, system, asked, reason):
    assert reason in cli("search", system, *asked).error


def test_it_is_measured_on_queries_on_requests_and_on_histories(cli, system, shop, tmp_path):
    for arguments in (
        ["--data", shop[0]],
        ["--data", shop[0], "--requests"],
        ["--data", write_shop(tmp_path / "taken")],
    ):
        measured = cli("eval", system, *arguments, "--split", "dev")
        assert measured.code == 0, measured.err
        assert "system" in measured.out

"""The page of recommenders is made of what is measured; sequences sorted by item are refused."""

import json
import sys

import pytest

from retrograd.data.dataset import load_dataset
from retrograd.errors import InputError
from retrograd.recipes import recipe
from retrograd.training.fit import fit
from tests.recommendation_data import ITEMS, write_shop


@pytest.fixture
def page(script, monkeypatch):
    """The script, with few baselines."""
    module = script("recommendation")
    monkeypatch.setattr(module, "BASELINES", ("transition_knn", "item_knn", "pop"))
    return module


def test_the_page_holds_every_system_rule_and_slice(page, tmp_path, monkeypatch):
    for name in ("amazon_beauty", "movielens_small"):
        write_shop(tmp_path / name)
    dataset = load_dataset(tmp_path / "amazon_beauty")
    for seed in (0, 1):
        fit(recipe("markov"), dataset, tmp_path / f"own{seed}", seed=seed)
    also = [part for seed in (0, 1) for part in ("--also", f"own={tmp_path / f'own{seed}'}")]
    out, found = tmp_path / "page.md", tmp_path / "page.json"
    words = ["--data", str(tmp_path), "--out", str(out), "--json", str(found), "--commit", "abc", *also]
    monkeypatch.setattr(sys, "argv", ["recommendation.py", *words])
    page.main()
    text = out.read_text()
    for part in (
        "| transition_knn |",
        "| own |",
        "2 seeds",
        "first touched",
        "cold",
        "cut temporal",
        "time of",
    ):
        assert part in text, part
    result = json.loads(found.read_text())
    assert result["split_sha256"] == dataset.split_hash("dev")
    assert set(result["means"]) == {"transition_knn", "item_knn", "pop", "own"}
    worst = result["R@10_by_tie_rule"]["transition_knn"]
    assert worst["worst"] <= min(worst.values())


def test_what_others_report_stands_apart_and_whole(page):
    from recommendation_published import AUTHORS, OTHERS, published_part

    text = "\n".join(published_part())
    assert "not our figures" in text
    assert all(row[0] in text for row in (*AUTHORS, *OTHERS))


def test_no_table_is_made_of_a_sorted_file(page, tmp_path):
    sequences = {f"u{number}": sorted(ITEMS) for number in range(3)}
    with pytest.warns(UserWarning, match="sorted by item"):
        dataset = load_dataset(write_shop(tmp_path / "shop", sequences))
    with pytest.raises(InputError, match="the file is sorted"):
        page.refuse_sorted(dataset)

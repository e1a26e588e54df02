"""The demo on forty documents: what it prints, and that a second call opens what the first one made."""

import pytest

import retrograd
from retrograd.cli import demo
from retrograd.recipes import recipe
from tests.small_systems import small


@pytest.fixture(autouse=True)
def shrunk(monkeypatch, tiny_data):
    make = {name: small(recipe(name)) if name == demo.DEMO_RECIPE else recipe(name) for name in demo.RECIPES}
    monkeypatch.setattr("retrograd.recipes.recipe", make.__getitem__)
    monkeypatch.setattr("retrograd.data.sample.sample_path", lambda name: tiny_data)


def test_it_compares_answers_and_says_how_to_go_on(cli, tmp_path):
    done = cli("demo", "--out", tmp_path / "demo")
    assert done.code == 0, done.err
    for name in demo.RECIPES:
        assert name in done.out
    for heading in (*demo.SPLITS, *demo.MEASURES, "ms/query"):
        assert heading in done.out
    assert done.out.count("wanted: ") == 3
    for command in ("fit", "search", "eval"):
        assert f"retrograd {command} " in done.out
    system = retrograd.load(tmp_path / "demo" / demo.DEMO_RECIPE)
    queries, _ = retrograd.load_dataset(demo_data()).split("dev_seen")
    first = system.search(queries[:1], k=1).hits[0][0]
    assert "-".join(map(str, first.path)) in done.out


def demo_data():
    from retrograd.data import sample

    return sample.sample_path("apibench")


def test_a_second_call_opens_what_is_sound_and_fits_again_what_is_not(cli, tmp_path):
    out = tmp_path / "demo"
    cli("demo", "--out", out)
    (out / "bm25" / "recipe.json").write_text("{}")
    again = cli("demo", "--out", out)
    assert again.code == 0, again.err
    assert f"dense: opening {out / 'dense'}" in again.err
    assert "bm25: opening" not in again.err
    assert cli("check", out / "bm25").code == 0

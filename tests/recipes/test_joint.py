"""Joint systems: what the rivals share, and what the untested settings leave whole."""

from dataclasses import replace

import pytest

from retrograd.data.dataset import load_dataset
from retrograd.recipe import differences
from retrograd.recipes.dgi import dgi
from retrograd.recipes.joint import unisearch_like
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Query
from tests.small_systems import small

QUERIES = [Query("a", "depth of an image"), Query("b", "translate text"), Query("c", "")]
OBJECTIVE = {"popularity": 0.5, "usage": "running", "contrastive_temperature": 0.0, "contrast": "parts"}


def with_settings(parent, **quantizer):
    """Every setting that is off by default, on at once."""
    model = replace(parent.model, usage_decay=0.9, quantizer=replace(parent.model.quantizer, **quantizer))
    (stage,) = parent.stages
    stage = replace(stage, objective=replace(stage.objective, diversity=1.0, **OBJECTIVE))
    return small(replace(parent, model=model, stages=(stage,)))


VARIANTS = {
    "soft": with_settings(dgi(), centre=0.9, clusters="euclidean"),
    "one scale": replace(
        with_settings(dgi()), model=replace(with_settings(dgi()).model, shared_scale=True, heads="copied")
    ),
    "tokens": with_settings(unisearch_like(), hidden=8),
}


def test_the_straight_through_rival_has_the_same_heads_budget_and_examples():
    changed = {path for path, _, _ in differences(dgi(), unisearch_like())}
    objective = {
        f"stages.0.objective.{name}" for name in ("contrast", "reconstruction", "diversity", "restart")
    }
    assert changed == {"name", "summary", "cites", "model.quantizer"} | objective


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_are_off_by_default_train_save_and_open_again(name, tiny_data, tmp_path):
    dataset = load_dataset(tiny_data)
    system = fit(VARIANTS[name], dataset, tmp_path / "one")
    answers = system.search(QUERIES, k=10)
    assert System.load(tmp_path / "one").search(QUERIES, k=10) == answers
    weights = system.model.state_dict()
    assert weights["wanted.level_0"].std() > 0, "the shares moved from where they began"
    assert fit(VARIANTS[name], dataset, tmp_path / "two").search(QUERIES, k=10) == answers

"""Recipes as values: steps from sizes, JSON and back, one field changed from text."""

import pytest

from retrograd.errors import InputError
from retrograd.recipe import Mix, Recipe, Stage, Unbuilt, differences, from_json, override, to_json

STAGE = Stage(name="s", objective=None, examples=(Mix(source=None),))
RECIPE = Recipe(name="r", summary="", search=None, stages=(STAGE,))
KINDS = {cls.__name__: cls for cls in (Recipe, Stage, Mix)}


@pytest.mark.parametrize(
    "documents, expected", [(1, STAGE.min_steps), (10_000, 10_000 * 64 // 256), (10**9, STAGE.max_steps)]
)
def test_steps_grow_with_the_corpus_between_their_bounds(documents, expected):
    assert STAGE.steps(documents) == expected


@pytest.mark.parametrize(
    "path, text, found",
    [
        ("stages.0.learning_rate", "3e-4", 3e-4),
        ("stages.0.batch_size", "32", 32),
        ("stages.0.decay", "cosine", "cosine"),
        ("stages.0.examples.0.weight", "2", 2.0),
    ],
)
def test_an_override_changes_one_field_and_nothing_else(path, text, found):
    assert differences(RECIPE, override(RECIPE, path, text)) == [(path, getattr_path(RECIPE, path), found)]


def getattr_path(value, path):
    for step in path.split("."):
        value = value[int(step)] if step.isdigit() else getattr(value, step)
    return value


@pytest.mark.parametrize(
    "path, text, reason",
    [
        ("stages.0.speed", "1", "no field 'speed'; it has name, objective"),
        ("stages.7.name", "x", "position from 0 to 0"),
        ("stages.0.batch_size", "1.5", "whole number"),
        ("stages.0.batch_size", "many", "many"),
        ("stages.0.batch_size", "0", "at least 1"),
        ("stages.0.decay", "steep", "choose one of linear"),
        ("stages.0", "x", "cannot be set from text"),
        ("stages", "x", "cannot be set from text"),
        ("summary.x", "y", "no field 'x'"),
        ("stages.0.batch_size", "1e999", "1e999"),
        ("stages.0.batch_size", "nan", "nan"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(path, text, reason):
    with pytest.raises(InputError, match=reason):
        override(RECIPE, path, text)


def test_json_keeps_every_field():
    assert from_json(to_json(RECIPE), KINDS) == RECIPE


def test_parts_of_a_higher_floor_are_carried_along_unread():
    known = {name: cls for name, cls in KINDS.items() if name != "Mix"}
    read = from_json(to_json(RECIPE), known, keep_unknown=True)
    assert isinstance(read.stages[0].examples[0], Unbuilt)
    assert to_json(read) == to_json(RECIPE)
    with pytest.raises(InputError, match="'Mix' is not known"):
        from_json(to_json(RECIPE), known)


def test_a_field_of_another_version_is_refused():
    with pytest.raises(InputError, match="no field"):
        from_json(to_json(RECIPE) | {"colour": 1}, KINDS)


def test_only_plain_values_become_json():
    with pytest.raises(TypeError, match="numbers, strings and configs, not dict"):
        to_json({"a": 1})


def test_a_source_weighs_by_its_size_where_told():
    assert Mix(source=None, weight=3.0).share(100) == 3.0
    assert Mix(source=None, weight=3.0, by_size=1.0).share(100) == 300.0
    with pytest.raises(ValueError, match=r"by_size=2.0 must be in \[0, 1\]"):
        Mix(source=None, by_size=2.0)

"""Vectors from what is taken next: kinds that are taken together come near, and nothing is learnt twice."""

import numpy as np
import pytest

from retrograd.docids.behaviour import NextItemVectors
from retrograd.errors import InputError
from retrograd.training import item_vectors
from retrograd.training.item_vectors import next_item_vectors
from retrograd.types import Corpus, Document, History
from tests.recommendation_data import ITEMS, KINDS, lives

CORPUS = Corpus(Document(item) for item in (*ITEMS, "unseen"))
HISTORIES = [History(user, tuple(items)) for user, items in lives().items()]
QUICK = NextItemVectors(width=8, epochs=400)


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path))


def test_items_taken_by_the_same_people_are_near_each_other():
    vectors = next_item_vectors(QUICK, HISTORIES, CORPUS, 0)
    assert vectors.shape == (len(CORPUS), 8)
    units = vectors[:-1] / np.linalg.norm(vectors[:-1], axis=1, keepdims=True)
    kind = np.repeat(np.arange(len(KINDS)), 6)
    same, cosines = kind[:, None] == kind, units @ units.T
    assert cosines[same & ~np.eye(len(units), dtype=bool)].mean() > cosines[~same].mean() + 0.2


def test_an_item_that_nobody_took_has_no_vector():
    vectors = next_item_vectors(QUICK, HISTORIES, CORPUS, 0)
    assert vectors[:-1].any(axis=1).all()
    assert not vectors[-1].any()
    assert not next_item_vectors(QUICK, [History("u", ("soap0",))], CORPUS, 0).any(), (
        "there is no step to learn"
    )


def test_what_was_learnt_once_is_kept_and_other_histories_are_learnt_anew(monkeypatch):
    first = next_item_vectors(QUICK, HISTORIES, CORPUS, 0)
    learnt = []
    monkeypatch.setattr(item_vectors, "_learnt", lambda config, *rest: learnt.append(rest) or first)
    assert np.array_equal(next_item_vectors(QUICK, HISTORIES, CORPUS, 0), first)
    assert not learnt
    next_item_vectors(QUICK, HISTORIES[:-1], CORPUS, 0)
    next_item_vectors(QUICK, HISTORIES, CORPUS, 1)
    monkeypatch.setenv("RETROGRAD_CACHE", "off")
    next_item_vectors(QUICK, HISTORIES, CORPUS, 0)
    assert len(learnt) == 3


def test_the_same_seed_gives_the_same_vectors(monkeypatch):
    monkeypatch.setenv("RETROGRAD_CACHE", "off")
    one, same, other = (next_item_vectors(QUICK, HISTORIES, CORPUS, seed) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_bad_settings_are_refused():
    for settings in ({"width": 0}, {"epochs": 0}, {"learning_rate": 0.0}):
        with pytest.raises(InputError):
            NextItemVectors(**settings)

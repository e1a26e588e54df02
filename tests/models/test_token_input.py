"""The token encoder: learnt from the collection, the same in any company, never empty."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.artifacts import text_to_array
from retrograd.errors import ArtifactError
from retrograd.models.token_input import TokenInput

CONFIG = TokenInput(width=16, layers=1, heads=2, vocab_size=120, max_tokens=8)
TEXTS = [f"the {colour} boat sails to harbour {number}" for colour in ("red", "blue") for number in range(20)]
STATE = CONFIG.fit(TEXTS)


def test_the_same_collection_gives_the_same_tokenizer():
    assert np.array_equal(CONFIG.fit(TEXTS)["tokenizer"], STATE["tokenizer"])


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_any_text_has_between_one_and_the_limit_of_tokens(texts):
    encoder = CONFIG.build(STATE)
    lengths = encoder.prepare(texts).lengths
    assert ((lengths >= 1) & (lengths <= CONFIG.max_tokens)).all()


def test_a_lone_surrogate_is_read_as_something():
    assert len(CONFIG.build(STATE).prepare(["\ud800"])) == 1
    assert len(CONFIG.build(STATE).prepare([])) == 0


def test_a_text_gives_the_same_memory_in_any_batch():
    encoder = CONFIG.build(STATE).eval()
    prepared = encoder.prepare([*TEXTS[:3], "boat"])
    alone = encoder(encoder.collate(prepared, np.array([3])))
    together = encoder(encoder.collate(prepared, np.arange(4)))
    length = alone.states.shape[1]
    assert together.where[3].sum() == length
    torch.testing.assert_close(together.states[3, :length], alone.states[0])


def test_the_fingerprint_names_tokenizer_and_length():
    same, other = CONFIG.build(STATE), CONFIG.build(CONFIG.fit(["something else"]))
    shorter = TokenInput(width=16, layers=1, heads=2, vocab_size=120, max_tokens=7).build(STATE)
    assert same.fingerprint == CONFIG.build(STATE, seed=5).fingerprint
    assert len({same.fingerprint, other.fingerprint, shorter.fingerprint}) == 3


def test_a_damaged_tokenizer_is_refused():
    with pytest.raises(ArtifactError, match="tokenizer"):
        CONFIG.build({"tokenizer": text_to_array("{}")})


@pytest.mark.parametrize("options", [{"heads": 3}, {"vocab_size": 2}, {"max_tokens": 1}])
def test_impossible_settings_are_refused(options):
    with pytest.raises(ValueError):
        TokenInput(**options)

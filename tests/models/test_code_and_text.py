"""Two heads: texts are read in histories and never while an item's own key is written."""

import numpy as np
import pytest
import torch

from retrograd.data.sequences import pack
from retrograd.errors import InputError
from retrograd.models.code_and_text import TextCodeTransformer
from retrograd.models.code_sequences import SpeltRows, collate_keys
from retrograd.models.tfidf_svd import TfidfSvd
from tests.models.test_code_sequences import ITEMS, KEYS, LISTS, SIZES, TABLE

CONFIG = TextCodeTransformer(width=16, heads=2, length=8, encoder=TfidfSvd(dimensions=6))
WORDS = ("red", "green", "blue", "soap", "comb", "brush", "large", "small")
SAID = [f"{WORDS[item % 3]} {WORDS[3 + item % 5]} {item}" for item in range(ITEMS)]
STATE = CONFIG.fit(SAID)
ASKED, ANSWERS = [items[:-1] for items in LISTS], [items[1:] for items in LISTS]


@pytest.fixture
def model():
    return CONFIG.build(STATE, TABLE, seed=1).eval()


def packed(model, asked=ASKED, answers=ANSWERS, width=8):
    rows = pack(asked, width)
    inputs = model.collate(model.prepare_sequences(rows), np.arange(len(rows)))
    return inputs, torch.from_numpy(pack(answers, width).items)


def said(model, asked=ASKED, answers=ANSWERS):
    """(history, place) -> what is said of the item at that place and of its tokens, all in one pass."""
    rows = pack(asked, 14)
    with torch.no_grad():
        states, _ = model.states_before(*packed(model, asked, answers, 14))
        tables = torch.cat([*model.logits_of(states), states[:, 0]], dim=1)
    cells = zip(*np.nonzero(rows.items >= 0), strict=True)
    places = [(int(rows.pieces[cell]), int(rows.places[cell]) + 1) for cell in cells]
    return dict(zip(places, tables.numpy(), strict=True))


def test_what_training_sees_is_what_cached_decoding_says(model):
    for (piece, place), line in said(model).items():
        items = LISTS[piece]
        spelt = SpeltRows(pack([items[:place]], place), KEYS, model.texts.numpy())
        inputs = collate_keys(spelt, np.arange(1))
        with torch.no_grad():
            logits, cache = model.step(model.start(model.encode(inputs)))
            found = [logits[0], *(None for _ in SIZES[1:])]
            for level, token in enumerate(KEYS[items[place]][:-1], 1):
                logits, cache = model.step(cache, torch.tensor([token]))
                found[level] = logits[0]
        states = torch.from_numpy(line[-16:])
        np.testing.assert_allclose(line[:-16], torch.cat(found), atol=1e-5)
        unit = states / states.norm()
        np.testing.assert_allclose(model.last_states(inputs)[0], unit, atol=1e-5)


def test_the_text_of_an_item_counts_after_it_and_not_while_its_key_is_written(model):
    before = said(model)
    model.texts = model.texts.clone()
    model.texts[LISTS[0][3]] += 1.0
    after = said(model)
    changed = LISTS[0][3]
    for (piece, place), line in before.items():
        seen = changed in LISTS[piece][:place]
        assert np.array_equal(line, after[piece, place]) == (not seen)


def test_states_come_in_the_order_of_the_targets(model):
    for width in (8, 14):
        inputs, targets = packed(model, width=width)
        _, tokens = model.states_before(inputs, targets)
        assert np.array_equal(tokens, KEYS[targets[targets >= 0]])


def test_items_are_compared_by_cosine_over_the_temperature(model):
    vectors = model.all_item_vectors(STATE["texts"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1 / 0.07, rtol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(vectors, model.item_vectors(model.texts), rtol=1e-5)
    np.testing.assert_allclose(model.vectors_of_texts(SAID), STATE["texts"], atol=1e-6)


def test_texts_are_none_of_the_weights_and_training_drops_some_of_what_is_read(model):
    assert "texts" not in model.state_dict()
    inputs, _ = packed(model)
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model.embedded(inputs), model.embedded(inputs))


def test_bad_settings_are_refused():
    for settings in ({"temperature": 0.0}, {"text_dropout": 1.0}, {"length": 0}):
        with pytest.raises(InputError):
            TextCodeTransformer(**settings)

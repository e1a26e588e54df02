"""An encoder and a decoder of codes: every beginning by itself, and cached decoding that says the same."""

import numpy as np
import pytest
import torch

from retrograd.data.sequences import pack
from retrograd.errors import InputError
from retrograd.models.code_sequences import keys_of_items
from retrograd.models.code_translation import CodeTranslator, beginnings
from tests.models.test_code_sequences import ITEMS, KEYS, LISTS, SIZES, TABLE, log_likelihoods, spelt, stepped


def built(**changes):
    sizes = {"width": 16, "layers": 2, "heads": 2, "head_width": 8, "feed_forward": 32, "length": 8}
    return CodeTranslator(**sizes | changes).build({}, TABLE, seed=1).eval()


@pytest.fixture(scope="module")
def model():
    return built()


@pytest.mark.parametrize("width", [8, 14])
def test_packed_beginnings_are_what_cached_decoding_gives_each_alone(model, width):
    together = log_likelihoods(model, LISTS, width)
    assert len(together) == sum(len(items) - 1 for items in LISTS)
    for (piece, place), line in together.items():
        items = LISTS[piece]
        np.testing.assert_allclose(line, stepped(model, items[:place], items[place]), atol=1e-5)


def test_beginnings_start_with_the_oldest_item_and_hold_nothing_of_a_neighbour():
    rows = pack([np.array([3, 1, 4]), np.array([9])], 4)
    found = beginnings(spelt(rows), torch.tensor([[False, True, True, True]]))
    assert found["pieces"].tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0]]
    expected = KEYS[[[3, 1, 0], [3, 1, 4], [9, 0, 0]]] * found["pieces"].numpy()[..., None]
    assert np.array_equal(found["keys"].numpy(), expected)


def test_it_grows_with_its_table_and_reads_and_writes_new_tokens(model):
    twin = model.grown((3, 4, 7))
    assert (model.level_sizes, twin.level_sizes) == (SIZES, (3, 4, 7))
    inputs = spelt(pack([LISTS[0]], 8))
    with torch.no_grad():
        before, grown = (one.encode(inputs).states for one in (model, twin))
        torch.testing.assert_close(before, grown)
        inputs["keys"][0, 0, 2] = 6
        assert torch.isfinite(twin.encode(inputs).states).all()
        _, cache = twin.step(twin.start(twin.encode(inputs)))
        _, cache = twin.step(cache, torch.tensor([1]))
        logits, _ = twin.step(cache, torch.tensor([2]))
    assert logits.shape == (1, 7)
    assert len(keys_of_items(TABLE)) == ITEMS


def test_longer_pieces_than_are_read_and_no_length_are_refused(model):
    with pytest.raises(InputError, match="9 items in one piece but the model has length=8"):
        model.prepare_sequences(pack([np.arange(9)], 9))
    with pytest.raises(InputError, match="length=0"):
        CodeTranslator(length=0)

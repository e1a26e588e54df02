"""The transformer over items: causal, blind to neighbours in a row, the same however histories are packed."""

import numpy as np
import pytest
import torch

from retrograd.data.sequences import EveryPrefix, pack
from retrograd.errors import InputError
from retrograd.models.sequential import ItemTransformer
from retrograd.models.tfidf_svd import TfidfSvd

ITEMS = 12
TEXTS = [f"kind{at % 3} thing{at}" for at in range(ITEMS)]
LISTS = [np.array(items) for items in ([3, 1, 4, 1, 5], [9, 2], [6, 5, 3, 5], [8], [7, 0, 11, 10, 2, 1])]


def built(**changes):
    config = ItemTransformer(width=16, heads=2, length=8, encoder=TfidfSvd(dimensions=4), **changes)
    return config.build(config.fit(TEXTS), seed=1).eval()


@pytest.fixture(scope="module", params=[False, True], ids=["table", "table and text"])
def model(request):
    return built(reads_text=request.param)


def states_of(model, rows):
    inputs = model.collate(model.prepare_sequences(rows), np.arange(len(rows)))
    with torch.no_grad():
        return model.states(inputs).numpy()


def with_item(rows, piece, place, item):
    """The same rows with one item of one piece exchanged."""
    items = rows.items.copy()
    items[(rows.pieces == piece) & (rows.places == place)] = item
    return type(rows)(items, rows.pieces, rows.places, rows.ends)


def test_another_users_items_in_the_same_row_change_nothing_to_the_last_bit(model):
    rows = pack(LISTS, 18)
    assert len(rows) == 1, "all users share one row"
    before = states_of(model, rows)
    for piece in range(len(LISTS)):
        after = states_of(model, with_item(rows, piece, 0, 10))
        mine = rows.pieces == piece
        assert np.array_equal(before[~mine], after[~mine])
        assert not np.array_equal(before[mine], after[mine])


def test_a_later_item_changes_no_earlier_state(model):
    rows = pack(LISTS, 18)
    before = states_of(model, rows)
    for place in range(5):
        after = states_of(model, with_item(rows, 0, place, 10))
        earlier = (rows.pieces == 0) & (rows.places < place)
        itself = (rows.pieces == 0) & (rows.places == place)
        assert np.array_equal(before[earlier], after[earlier])
        assert not np.array_equal(before[itself], after[itself])


@pytest.mark.parametrize("width", [8, 11, 18])
def test_all_prefixes_in_one_pass_are_what_each_gives_alone(model, width):
    rows = pack(LISTS, width)
    together, vectors = states_of(model, rows), model.all_item_vectors()
    for at, items in enumerate(LISTS):
        for end in range(len(items)):
            alone = model.last_states(pack([items[: end + 1]], 8), vectors)[0]
            found = together[(rows.pieces == at) & (rows.places == end)][0]
            np.testing.assert_allclose(found, alone, atol=1e-5)


def test_the_order_of_a_history_matters(model):
    vectors = model.all_item_vectors()
    one, two = (model.last_states(pack([np.array(items)], 8), vectors) for items in ([3, 1, 4], [1, 3, 4]))
    assert not np.allclose(one, two, atol=1e-3)


def test_rows_of_padding_give_finite_states_and_gradients(model):
    inputs = model.collate(pack([np.array([1])], 8), np.arange(1))
    states = model.states(inputs)
    assert torch.isfinite(states).all()
    (gradient,) = torch.autograd.grad(states.sum(), model.table)
    assert torch.isfinite(gradient).all()


def test_asking_leaves_the_mode_and_asks_without_dropout():
    model = built(dropout=0.5).train()
    vectors = model.all_item_vectors()
    one, two = (model.last_states(pack(LISTS, 8), vectors) for _ in range(2))
    assert np.array_equal(one, two)
    assert model.training


def test_seeds_give_weights():
    config = ItemTransformer(width=16)
    state = config.fit(TEXTS)
    one, same, other = (config.build(state, seed=seed).table for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_text_gives_vectors_to_items_that_are_not_in_the_table():
    model = built(reads_text=True)
    new = model.vectors_of_texts(["kind1 thing99"])
    with torch.no_grad():
        read = model.item_vectors(torch.arange(ITEMS)) - model.table
    cosines = torch.nn.functional.cosine_similarity(torch.from_numpy(new), read)
    assert set(cosines.topk(4).indices.tolist()) == {1, 4, 7, 10}
    assert not built().reads_text


def test_text_vectors_are_no_weights_but_the_map_is():
    names = set(built(reads_text=True).state_dict())
    assert "from_text.weight" in names
    assert "texts" not in names


def test_longer_examples_than_there_are_positions_are_refused():
    rows = pack([np.arange(9)], 9)
    with pytest.raises(InputError, match="9 items in one piece but the model has length=8"):
        built().prepare_sequences(rows)


def test_bad_sizes_are_refused():
    with pytest.raises(InputError, match="length=0"):
        ItemTransformer(length=0)
    with pytest.raises(ValueError, match="multiple of heads"):
        ItemTransformer(width=10, heads=4)
    assert EveryPrefix().length == ItemTransformer().length

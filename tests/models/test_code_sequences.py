"""Code sequences: causal, blind to neighbours, and cached decoding that says what training says."""

import numpy as np
import pytest
import torch

from retrograd.data.sequences import pack
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.code_sequences import CodeTransformer, SpeltRows, collate_keys, keys_of_items

ITEMS, SIZES = 12, (3, 4, 5)
RNG = np.random.default_rng(0)
KEYS = np.column_stack([RNG.integers(3, size=ITEMS), RNG.integers(4, size=ITEMS), np.arange(ITEMS) % 5])
TABLE = DocidTable.from_keys(KEYS, range(ITEMS), [f"d{at}" for at in range(ITEMS)], level_sizes=SIZES)
LISTS = [np.array(items) for items in ([3, 1, 4, 1, 5], [9, 2], [6, 5, 3, 5], [8, 0], [7, 0, 11, 10, 2, 1])]


def built(**changes):
    return CodeTransformer(width=16, heads=2, length=8, **changes).build({}, TABLE, seed=1).eval()


@pytest.fixture(scope="module")
def model():
    return built()


def log_likelihoods(model, lists, width=8):
    """(history, place) -> log p of every token of the item at that place, teacher-forced in packed rows."""
    asked, answers = ([items[:-1] for items in lists], [items[1:] for items in lists])
    rows = pack(asked, width)
    inputs = model.collate(model.prepare_sequences(rows), np.arange(len(rows)))
    with torch.no_grad():
        logits, right = model.level_logits(inputs, torch.from_numpy(pack(answers, width).items))
    steps = [level.log_softmax(-1).gather(1, right[:, at, None]) for at, level in enumerate(logits)]
    places = [
        (rows.pieces[cell], rows.places[cell] + 1) for cell in zip(*np.nonzero(rows.items >= 0), strict=True)
    ]
    table = torch.cat(steps, dim=1).numpy()
    return {(int(piece), int(place)): line for (piece, place), line in zip(places, table, strict=True)}


def spelt(rows):
    """Histories, one to a row, as a model encodes them."""
    return collate_keys(SpeltRows(rows, keys_of_items(TABLE)), np.arange(len(rows)))


def stepped(model, history, item):
    """The same of one item after a history, by cached decoding one token at a time."""
    inputs = spelt(pack([history], len(history)))
    found = []
    with torch.no_grad():
        logits, cache = model.step(model.start(model.encode(inputs)))
        for level, token in enumerate(KEYS[item]):
            found.append(logits.log_softmax(-1)[0, token].item())
            if level + 1 < len(SIZES):
                logits, cache = model.step(cache, torch.tensor([token]))
    return found


@pytest.mark.parametrize("width", [8, 14])
def test_all_prefixes_in_one_pass_are_what_cached_decoding_gives_each_alone(model, width):
    together = log_likelihoods(model, LISTS, width)
    assert len(together) == sum(len(items) - 1 for items in LISTS)
    for (piece, place), line in together.items():
        items = LISTS[piece]
        np.testing.assert_allclose(line, stepped(model, items[:place], items[place]), atol=1e-5)


def test_a_later_item_and_another_users_change_nothing_before(model):
    before = log_likelihoods(model, LISTS, 14)
    changed = [items.copy() for items in LISTS]
    changed[0][3] = 10
    after = log_likelihoods(model, changed, 14)
    for (piece, place), line in before.items():
        same = np.array_equal(line, after[piece, place])
        assert same == (piece != 0 or place < 3)


def test_beams_of_several_histories_of_different_lengths_branch_as_each_does_alone(model):
    lists = [LISTS[0], LISTS[1]]
    inputs = spelt(pack(lists, 5))
    assert inputs["keys"].shape[1] == 5
    with torch.no_grad():
        _, cache = model.step(model.start(model.encode(inputs)))
        _, cache = model.step(cache, torch.tensor([0, 1, 2, 2, 1, 0]), torch.tensor([0, 0, 0, 1, 1, 1]))
        parent = torch.tensor([2, 0, 4, 3])  # two beams of each history stay, in another order
        logits, cache = model.step(cache, torch.tensor([3, 1, 0, 2]), parent)
    assert cache.rows == 4
    for row, (history, prefix) in enumerate([(0, (2, 3)), (0, (0, 1)), (1, (1, 0)), (1, (2, 2))]):
        alone = spelt(pack([lists[history]], 8))
        with torch.no_grad():
            _, one = model.step(model.start(model.encode(alone)))
            for token in prefix:
                expected, one = model.step(one, torch.tensor([token]))
        torch.testing.assert_close(logits[row], expected[0], atol=1e-5, rtol=0)


def test_the_last_token_of_an_item_stands_for_all_of_it(model):
    one, two = (model.embed(torch.tensor([[key]])) for key in ([0, 1, 2], [1, 1, 2]))
    assert not torch.allclose(one[0, 2], two[0, 2])


def test_only_distances_count_and_the_order_of_a_history_does(model):
    one, two = stepped(model, [3, 1, 4], 5), stepped(model, [1, 3, 4], 5)
    assert not np.allclose(one, two, atol=1e-3)
    bias = model._bias(torch.ones(1, 6, dtype=torch.long), torch.tensor([[0, 0, 1, 1, 2, 2]]))
    assert bias[0, 0, 4].tolist() == [-2 * 2**-4, -2 * 2**-4, -(2**-4), -(2**-4), 0, -np.inf]
    assert torch.equal(bias[0, :, 4, 0], -2 * 2.0 ** torch.tensor([-4, -8]))


def test_gradients_are_finite_and_reach_every_weight():
    model = built(dropout=0.3).train()
    rows = pack([items[:-1] for items in LISTS], 8)
    inputs = model.collate(model.prepare_sequences(rows), np.arange(len(rows)))
    logits, right = model.level_logits(
        inputs, torch.from_numpy(pack([items[1:] for items in LISTS], 8).items)
    )
    costs = zip(logits, right.unbind(1), strict=True)
    sum(torch.nn.functional.cross_entropy(level, tokens) for level, tokens in costs).backward()
    for name, weight in model.named_parameters():
        assert torch.isfinite(weight.grad).all(), name
        assert weight.grad.abs().sum() > 0, name


def test_it_grows_with_its_table_and_old_tokens_stay(model):
    twin = model.grown((3, 4, 7))
    assert model.level_sizes == SIZES
    rows = pack([LISTS[0]], 8)
    grown, before = ({}, {})
    for found, one in ((grown, twin), (before, model)):
        inputs = spelt(rows)
        with torch.no_grad():
            _, cache = one.step(one.start(one.encode(inputs)))
            _, cache = one.step(cache, torch.tensor([1]))
            found["logits"], _ = one.step(cache, torch.tensor([2]))
    torch.testing.assert_close(grown["logits"][:, :5], before["logits"])
    torch.testing.assert_close(grown["logits"][:, 5:], before["logits"].mean(1, keepdim=True).expand(1, 2))


def test_seeds_give_weights_and_keys_are_none_of_them():
    one, same, other = (CodeTransformer(width=16).build({}, TABLE, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.output, same.output)
    assert not torch.equal(one.output, other.output)
    assert "keys" not in one.state_dict()


def test_examples_that_do_not_follow_one_another_are_refused(model):
    rows = pack([items[:-1] for items in LISTS], 8)
    inputs = model.collate(model.prepare_sequences(rows), np.arange(len(rows)))
    targets = torch.from_numpy(pack([items[1:] for items in LISTS], 8).items)
    for wrong in (torch.full_like(targets, -1), torch.where(targets >= 0, (targets + 1) % ITEMS, -1)):
        with pytest.raises(InputError, match="EveryPrefix"):
            model.level_logits(inputs, wrong)


def test_longer_pieces_than_are_read_are_refused(model):
    with pytest.raises(InputError, match="9 items in one piece but the model has length=8"):
        model.prepare_sequences(pack([np.arange(9)], 9))


def test_ids_that_cannot_be_written_like_this_are_refused():
    uneven = DocidTable.from_keys([[0, 1], [1]], [0, 1], ["a", "b"], level_sizes=(2, 2))
    keyless = DocidTable.from_keys([[0]], [0], ["a", "b"], level_sizes=(2,))
    for table in (uneven, keyless):
        with pytest.raises(InputError, match="one key of equal length for every item"):
            CodeTransformer().build({}, table)


def test_bad_sizes_are_refused():
    with pytest.raises(InputError, match="length=0"):
        CodeTransformer(length=0)
    with pytest.raises(ValueError, match="multiple of heads"):
        CodeTransformer(width=10, heads=4)

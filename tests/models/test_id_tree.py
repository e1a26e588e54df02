"""Items as leaves of a tree: the numbering, and a probability that is a product down the path."""

import numpy as np
import pytest
import torch

from retrograd.data.sequences import pack
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.id_tree import IdTree, IdTreeTransformer, embedded_paths
from retrograd.models.tfidf_svd import TfidfSvd

KEYS = [[0, 1], [2, 0], [0, 0], [2, 1], [1, 3], [2, 2], [0, 4]]
IDS = tuple("abcdefg")
TEXTS = [f"kind{at % 3} thing{at}" for at in range(len(KEYS))]


def table_of(keys=KEYS, ids=IDS):
    return DocidTable.from_keys(keys, range(len(keys)), ids, level_sizes=(3, 5, 2)[: max(map(len, keys))])


def built(keys=KEYS, **changes):
    config = IdTreeTransformer(width=16, heads=2, length=8, encoder=TfidfSvd(dimensions=4), **changes)
    model = config.build(config.fit(TEXTS), table_of(keys), seed=1).eval()
    with torch.no_grad():  # turns start at zero: make them do something
        for turn in model.turns:
            turn.weight.normal_()
    return model


def test_siblings_stand_together_in_the_order_of_their_tokens():
    table = table_of()
    tree = IdTree.of(table)
    for row, key in enumerate(table.padded.tolist()):
        assert [tree.token[node] for node in tree.paths[row]] == key
    assert tree.parent[: tree.level_start[1]].tolist() == [-1] * 3
    starts = tree.starts(1)
    for parent in range(3):
        children = np.arange(starts[parent], starts[parent + 1]) + tree.level_start[1]
        assert (tree.parent[children] == parent).all()
        assert (np.diff(tree.token[children]) > 0).all()
    assert starts[-1] == len(KEYS)


def test_a_tree_is_found_again_in_a_larger_one():
    small = IdTree.of(table_of())
    keys = [*KEYS, [1, 0], [2, 4]]
    large = IdTree.of(table_of(keys, (*IDS, "h", "i")))
    there = large.within(small)
    assert sorted(there[there >= 0].tolist()) == list(range(len(small)))
    for node in np.flatnonzero(there >= 0):
        assert large.token[node] == small.token[there[node]]
    assert (there < 0).sum() == 2
    assert (small.within(large) >= 0).all()


@pytest.mark.parametrize("reads_text", [False, True])
@pytest.mark.parametrize("keys", [KEYS, [*KEYS[:-1], [0, 4, 0], [0, 4, 1]][: len(KEYS)]])
def test_choices_multiply_to_a_distribution_over_all_items(keys, reads_text):
    model = built(keys, reads_text=reads_text)
    states = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    total = torch.zeros(3, len(keys), dtype=torch.float64)
    for item in range(len(keys)):
        for choice in model.choices(states, torch.full((3,), item)):
            scores = choice.states @ choice.classes.T
            for at, (group, target) in enumerate(zip(choice.groups, choice.targets, strict=True)):
                among = scores[at, choice.starts[group] : choice.starts[group + 1]]
                log = among.double().log_softmax(0)[target - choice.starts[group]]
                total[at, item] += log.item()
    assert total.exp().sum(dim=1).tolist() == pytest.approx([1.0] * 3)


def test_items_of_one_branch_share_the_branch(monkeypatch):
    model = built()
    before = model.all_item_vectors()
    with torch.no_grad():
        model.table[0] += 1.0  # the first branch
    moved = np.abs(model.all_item_vectors() - before).max(axis=1) > 0.5
    assert moved.tolist() == [key[0] == 0 for key in KEYS]


def test_an_item_is_embedded_by_the_sum_down_its_path():
    model = built()
    paths = model.paths.numpy()
    expected = embedded_paths(paths, model.all_node_vectors())
    assert model.all_item_vectors() == pytest.approx(expected, abs=1e-6)
    some = torch.tensor([[4, 0], [6, 2]])
    assert model.item_vectors(some).detach().numpy() == pytest.approx(expected[some.numpy()], abs=1e-6)


def test_text_reaches_inputs_and_leaves():
    model = built(reads_text=True)
    plain = embedded_paths(model.paths.numpy(), model.table.detach().numpy())
    read = model.vectors_of_texts(TEXTS)
    assert model.all_item_vectors() == pytest.approx(plain + read, abs=1e-5)
    leaves = model.paths[:, 1].numpy()
    assert model.all_node_vectors()[leaves] == pytest.approx(
        model.table.detach().numpy()[leaves] + read, abs=1e-5
    )


def test_histories_are_read_as_by_the_model_of_items():
    model, vectors = built(), built().all_item_vectors()
    one, two = (model.last_states(pack([np.array(h)], 8), vectors) for h in ([3, 1, 4], [1, 3, 4]))
    assert not np.allclose(one, two, atol=1e-3)


@pytest.mark.parametrize(
    ("keys", "fields", "match"),
    [(None, {}, "scheme of docids"), ([[0, 0], [0, 0], [1, 1]], {"reads_text": True}, "share a docid")],
)
def test_what_cannot_be_a_tree_is_refused(keys, fields, match):
    config = IdTreeTransformer(width=16, heads=2, encoder=TfidfSvd(dimensions=2), **fields)
    state = config.fit(TEXTS[:3])
    table = None if keys is None else table_of(keys, "abc")
    with pytest.raises(InputError, match=match):
        config.build(state, table)


def test_weights_bring_the_tree_they_were_learnt_for():
    learnt = built(reads_text=True)
    keys = [[0, 1], [0, 0], [2, 1], [1, 3], [2, 2], [0, 4], [1, 0], [2, 4], [1, 4]]
    config = IdTreeTransformer(width=16, heads=2, length=8, encoder=TfidfSvd(dimensions=4), reads_text=True)
    changed = config.build(config.fit(TEXTS), table_of(keys, "acdefghij"), seed=2).eval()
    changed.load_state_dict(learnt.state_dict())
    assert torch.equal(changed.paths, learnt.paths)
    assert changed.tree.parent.tolist() == learnt.tree.parent.tolist()
    assert np.array_equal(changed.all_node_vectors(), learnt.all_node_vectors())
    assert np.array_equal(changed.all_item_vectors(), learnt.all_item_vectors())
    states, items = torch.randn(3, 16), torch.tensor([0, 3, 6])
    for one, other in zip(changed.choices(states, items), learnt.choices(states, items), strict=True):
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("parent", lambda array: array + 50),
        ("parent", lambda array: array[:-1]),
        ("paths", lambda array: array + 50),
        ("level_start", lambda array: array[:-1]),
        ("level_start", lambda array: array * 0),
        ("table", lambda array: array[:-1]),
    ],
)
def test_a_stored_tree_that_is_none_is_refused(name, change):
    model = built()
    stored = model.state_dict()
    with pytest.raises(RuntimeError):
        model.load_state_dict(stored | {name: change(stored[name])})

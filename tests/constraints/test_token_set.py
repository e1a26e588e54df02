"""Token sets: levels that allow nothing, and prefixes that may end early."""

import torch

from retrograd.constraints import TokenSet


def test_a_level_that_allows_nothing_ends_every_walk_before_it():
    tokens = TokenSet.of([[1, 1, 0], []])
    first = tokens.children(tokens.start(1))
    assert first.token.tolist() == [0, 1]
    assert not len(tokens.children(first.state).row)


def test_only_a_set_of_any_length_may_end_early():
    level = torch.tensor([0, 1, 2])
    assert TokenSet.of([[0], [0]]).is_end(level).tolist() == [False, False, True]
    assert TokenSet.of([[0], [0]], any_length=True).is_end(level).tolist() == [False, True, True]

"""Cuts: parts follow one another in every life, nothing is lost, nobody is asked without a past."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.cuts import CUTS, LastItems, Moments, cut_named
from retrograd.data.interactions import Interactions
from retrograd.data.splits import leave_one_out
from retrograd.errors import InputError

rows = st.lists(
    st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.integers(0, 20).map(float), st.just(1.0)),
    min_size=1,
)


def table(rows):
    taken = Interactions.from_rows(rows)
    return Interactions(
        taken.users, taken.items, taken.user, taken.item, taken.time, taken.rating, "timestamp"
    )


@given(rows, st.sampled_from(sorted(CUTS)))
def test_parts_never_go_back_in_a_life(rows, name):
    taken = table(rows)
    parted = CUTS[name](taken)
    order = taken.chronological
    for user in range(len(taken.users)):
        parts = parted.part[order][taken.user[order] == user]
        assert (np.diff(parts) >= 0).all()
        assert set(parts.tolist()) <= set(range(len(parted.splits) + 1))


@given(rows)
def test_the_last_item_is_what_leave_one_out_leaves_out(rows):
    taken = table(rows)
    part = LastItems()(taken).part
    shortened, targets = leave_one_out(taken.histories())
    assert taken.histories(part == 0) == shortened
    assert {h.id: dict.fromkeys(h.items, 1) for h in taken.histories(part == 1)} == targets


@given(rows)
def test_nobody_has_a_target_without_a_past(rows):
    taken = table(rows)
    part = LastItems(splits=("dev", "test"))(taken).part
    for user in range(len(taken.users)):
        own = part[taken.user == user]
        assert (own == 0).sum() >= 1
        assert (own == 2).sum() == (len(own) > 1)
        assert (own == 1).sum() == (len(own) > 2)


@given(rows)
def test_one_moment_parts_everybody(rows):
    taken = table(rows)
    part = Moments(fraction=0.3)(taken).part
    for earlier, later in ((0, 1), (1, 2), (0, 2)):
        before, after = taken.time[part == earlier], taken.time[part == later]
        assert not len(before) or not len(after) or before.max() < after.min()


def test_what_a_cut_asks_follows_what_may_be_learnt():
    taken = table([("u", item, float(at), 1.0) for at, item in enumerate("abc")])
    assert LastItems(splits=("dev", "test"))(taken).asked == {"dev": 1, "test": 2}
    assert cut_named("last_two_refit")(taken).asked == {"test": 2}


def test_times_of_one_life_cannot_cut_everybodys():
    with pytest.raises(InputError, match="the order of the file only"):
        Moments()(Interactions.from_rows([("u", "a", 0.0, 1.0)]))
    with pytest.raises(ValueError, match="leaves nothing"):
        Moments(fraction=0.5)

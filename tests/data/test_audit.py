"""What is odd about interactions is said with the file and a user, and only duplicates are taken out."""

import warnings
from dataclasses import replace

import pytest

from retrograd.data.audit import ascending_share, audited, code_order, product_codes
from retrograd.data.interactions import Interactions
from retrograd.errors import DataWarning
from retrograd.types import Corpus, Document, History

ITEMS = Corpus(Document(str(number), metadata={"asin": f"B{99 - number:02}"}) for number in range(60))


def table(rows, clock="timestamp"):
    taken = Interactions.from_rows([(user, item, float(time), 1.0) for user, item, time in rows])
    return replace(taken, clock=clock)


def said(taken):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        left = audited(taken, ITEMS, "taken.tsv")
    assert all(warning.category is DataWarning for warning in found)
    return left, [str(warning.message) for warning in found]


def test_sound_interactions_pass_in_silence():
    taken = table([("u", "3", 1), ("u", "1", 2), ("v", "5", 1), ("v", "2", 1)])
    left, lines = said(taken)
    assert lines == []
    assert left is taken


def test_times_that_go_backwards_are_named_and_put_into_order():
    left, lines = said(table([("u", "1", 1), ("v", "3", 9), ("v", "2", 5)]))
    assert "taken.tsv: timestamp goes backwards for user 'v'" in lines[0]
    assert History("v", ("2", "3")) in left.histories()


@pytest.mark.parametrize("clock", ["timestamp", "order", ""])
def test_rows_that_stand_twice_are_named_and_count_once(clock):
    rows = [("u", "1", 1), ("u", "1", 1), ("u", "2", 2), ("u", "1", 3)]
    if not clock:
        rows = [(user, item, 0) for user, item, _ in rows]
    left, lines = said(table(rows, clock))
    assert lines == ["taken.tsv: 1 duplicate interactions of user 'u' were left out"]
    assert left.histories() == [History("u", ("1", "2", "1"))]


def test_users_with_one_interaction_are_counted():
    _, lines = said(table([("u", "1", 1), ("v", "1", 1), ("w", "2", 1), ("w", "1", 2)]))
    assert lines == ["taken.tsv: 2 users such as 'u' took one item only: there is nothing to predict it from"]


@pytest.mark.parametrize("falling", [False, True])
def test_a_file_sorted_by_item_is_named_by_id_and_by_product_code(falling):
    items = [str(n) for n in range(60)][:: -1 if falling else 1]  # product codes fall where ids rise
    rows = [(user, item, at) for user in "uv" for at, item in enumerate(items)]
    _, lines = said(table(rows))
    assert len(lines) == 1
    assert "100.0% of neighbouring items ascend by id or product code: the sequences are sorted" in lines[0]
    assert said(table(rows[:20]))[1] == [], "too few to tell"


def test_a_code_stands_before_the_id_and_numbers_before_words():
    codes = product_codes(Corpus([Document("9"), Document("10"), Document("a", metadata={"sku": "7"})]))
    assert sorted(codes, key=codes.__getitem__) == ["a", "9", "10"]
    assert code_order("B2") > code_order("10") > code_order("9")
    assert ascending_share([], ITEMS) == (0.0, 0)


def test_the_real_set_is_in_order_of_time(real_data):
    from retrograd.data.dataset import load_dataset

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = load_dataset(real_data / "amazon_beauty")
    share, pairs = ascending_share(dataset.histories.values(), dataset.corpus)
    assert pairs == 176_139 - 2 * 22_363
    assert share == pytest.approx(0.69, abs=0.01)

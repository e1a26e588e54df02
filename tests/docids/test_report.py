"""The report: figures that add up and alarms for what is broken."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.docid_table import DocidTable
from retrograd.docids.report import describe_table


def table_of(keys, *, sizes, documents=None, **options):
    owners = range(len(keys)) if documents is None else documents
    names = [f"d{row}" for row in range(max(owners) + 1)]
    return DocidTable.from_keys(keys, owners, names, level_sizes=sizes, **options)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30))
def test_the_figures_agree_with_counting(keys):
    report = describe_table(table_of(keys, sizes=(4, 3)))
    assert report.documents == len(keys)
    assert report.keys == len(set(keys))
    assert report.shared_keys == sum(keys.count(key) > 1 for key in set(keys))
    assert report.sharing_documents == sum(keys.count(key) > 1 for key in keys)
    assert report.largest_key == max(keys.count(key) for key in keys)
    for depth, level in enumerate(report.levels):
        tokens = [key[depth] for key in keys]
        assert level.used == len(set(tokens))
        assert level.largest_share == max(map(tokens.count, tokens)) / len(keys)
        assert 1 - 1e-9 <= level.perplexity <= level.used + 1e-9


@pytest.mark.parametrize("codes", [1, 2, 7])
def test_evenly_used_codes_are_worth_their_number(codes):
    report = describe_table(table_of([(token, 0) for token in range(codes)], sizes=(codes, 1)))
    assert report.levels[0].perplexity == pytest.approx(codes)
    assert report.alarms == ()


def test_an_even_table_raises_no_alarm():
    assert describe_table(table_of(np.ndindex(8, 8), sizes=(8, 8), documents=range(64))).alarms == ()


def test_unused_codes_are_counted_in_words():
    keys = [(row // 32, row % 32) for row in range(96)]
    assert describe_table(table_of(keys, sizes=(32, 32))).alarms == ("level 1 uses 3 of 32 codes",)


def test_one_token_that_holds_most_documents_is_an_alarm():
    keys = [(0, row) for row in range(30)] + [(token, 0) for token in (1, 2, 3)]
    (alarm,) = describe_table(table_of(keys, sizes=(4, 30))).alarms
    assert alarm == "level 1 gives one token to 91% of the documents"


def test_a_level_of_many_codes_worth_two_is_an_alarm():
    keys = [(row % 2, row) for row in range(400)] + [(token, 0) for token in range(2, 16)]
    (alarm,) = describe_table(table_of(keys, sizes=(16, 400))).alarms
    assert alarm.startswith("level 1 has 16 codes but is worth 2.")


def test_a_skewed_tie_breaker_is_no_alarm():
    keys = [(row, 0) for row in range(20)] + [(0, 1)]
    assert describe_table(table_of(keys, sizes=(20, 2))).alarms == ()


def test_shared_keys_are_an_alarm_once_they_are_many():
    (alarm,) = describe_table(table_of([(0,), (0,), (1,)], sizes=(2,))).alarms
    assert alarm == "2 of 3 documents share a key with another; the largest key names 2"
    many = [(row,) for row in range(99)]
    assert describe_table(table_of([*many, (0,)], sizes=(99,))).alarms == ()


def test_documents_without_a_key_are_an_alarm():
    report = describe_table(table_of([(0,), (1,)], sizes=(2,), documents=[0, 3]))
    assert report.keyless == 2
    assert report.alarms == ("2 of 4 documents have no key and cannot be found",)


def test_a_lopsided_tree_is_an_alarm():
    keys = [(row, 0) for row in range(1, 40)] + [(0,) * 9]
    (alarm,) = describe_table(table_of(keys, sizes=(40,) + (1,) * 8)).alarms
    assert "longest key has 9 tokens" in alarm


def test_words_are_not_expected_to_be_used_evenly():
    keys = [(3, row) for row in range(9)]
    assert describe_table(table_of(keys, sizes=(90, 90), shared_vocabulary=True)).alarms == ()


def test_lines_end_with_the_alarms():
    report = describe_table(table_of([(0,), (0,)], sizes=(2,)))
    assert report.lines()[-len(report.alarms) :] == [f"alarm: {alarm}" for alarm in report.alarms]
    assert len(report.lines()) == 2 + len(report.levels) + len(report.alarms)

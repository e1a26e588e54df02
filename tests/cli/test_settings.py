"""What several commands ask of their options."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.cli.settings import LONGEST_QUERY, check_question, number_of_answers, without_cache
from retrograd.errors import InputError


@given(st.none() | st.integers(-5, 2000), st.integers(1, 100), st.integers(1, 1000))
def test_the_number_of_answers_is_possible_or_refused(k, default, documents):
    if k is None or 1 <= k <= documents:
        assert 1 <= number_of_answers(k, default, documents) <= documents
    else:
        with pytest.raises(InputError, match=str(documents)):
            number_of_answers(k, default, documents)


@given(st.text(max_size=LONGEST_QUERY + 20))
def test_a_question_is_refused_when_it_is_blank_or_too_long_and_only_then(text):
    if text.strip() and len(text) <= LONGEST_QUERY:
        check_question(text)
    else:
        with pytest.raises(InputError):
            check_question(text)


@pytest.mark.parametrize("before", [None, "somewhere"])
def test_the_cache_is_off_inside_and_as_before_after_an_error(monkeypatch, before):
    monkeypatch.delenv("RETROGRAD_CACHE", raising=False)
    if before:
        monkeypatch.setenv("RETROGRAD_CACHE", before)
    with without_cache():
        assert os.environ["RETROGRAD_CACHE"] == "off"
    with pytest.raises(InputError), without_cache():
        check_question("")
    assert os.environ.get("RETROGRAD_CACHE") == before

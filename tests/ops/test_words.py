"""Words: what the lexical index counts, for whoever imitates it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.ops.words import LANGUAGES, analyzer, check_language, utf8


def test_words_are_lower_case_stemmed_and_without_stop_words():
    assert analyzer("english").analyze("The Wings, of wing-flights!") == ["wing", "wing", "flight"]
    assert analyzer("german").analyze("Die Häuser") == ["haus"]


@given(st.text())
def test_any_text_becomes_words(text):
    words = analyzer("english").analyze(utf8(text))
    assert all(word == word.lower() for word in words)


def test_a_lone_surrogate_becomes_a_question_mark():
    assert utf8("a\ud800b") == "a?b"


def test_an_unknown_language_names_the_known_ones():
    for language in LANGUAGES:
        check_language(language)
    with pytest.raises(ValueError, match="choose one of danish"):
        analyzer("klingon")

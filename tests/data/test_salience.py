"""Salience: rare and repeated terms weigh more, function words nothing, sentences cover the text."""

from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.salience import STOP_WORDS, WORD, DocumentFrequencies, heaviest, sentence_spans

words = st.lists(st.sampled_from(["wing", "flow", "heat", "the", "of", "1958"]))


@given(words)
def test_a_term_weighs_more_the_oftener_it_occurs_and_the_fewer_documents_hold_it(more: list[str]) -> None:
    frequencies = DocumentFrequencies.of(["wing flow", "wing heat", "wing", " ".join(more)])
    assert frequencies.weight("wing", 2) > frequencies.weight("wing", 1) > 0
    assert frequencies.weight("new", 1) > frequencies.weight("wing", 1)


@given(words, st.integers(1, 4))
def test_the_heaviest_terms_are_terms_of_the_text_in_its_order(text: list[str], limit: int) -> None:
    frequencies = DocumentFrequencies.of([" ".join(text)])
    top = list(heaviest(frequencies.weights(" ".join(text)), limit))
    assert len(top) <= limit
    assert top == [word for word in dict.fromkeys(text) if word in top]
    assert not STOP_WORDS & set(top)


@given(st.text(st.sampled_from("ab. ?!\nA")))
def test_sentences_are_disjoint_in_order_and_lose_no_word(text: str) -> None:
    spans = sentence_spans(text)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    inside = [match for start, end in spans for match in WORD.findall(text[start:end])]
    assert inside == WORD.findall(text)


def test_abbreviations_do_not_end_a_sentence_and_lone_full_stops_do() -> None:
    text = "a wing . the flow vs. the wing, e.g. here. It lifts."
    assert [text[a:b] for a, b in sentence_spans(text)] == [
        "a wing .",
        "the flow vs. the wing, e.g. here.",
        "It lifts.",
    ]

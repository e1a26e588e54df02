from hypothesis import given
from hypothesis import strategies as st

from retrograd.models.plain_text import encodable


@given(st.text(st.characters(exclude_categories=[])))
def test_every_text_becomes_utf8_and_clean_text_stays(text):
    (clean,) = encodable([text])
    clean.encode("utf-8")
    assert len(clean) == len(text)
    assert encodable([clean]) == [clean]

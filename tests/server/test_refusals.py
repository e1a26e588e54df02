"""An error says what to do and never what was sent."""

import json

from hypothesis import given
from hypothesis import strategies as st

from retrograd.server.refusals import CODES, MOST_FAULTS, RefusedError, faults


@given(st.sampled_from(sorted(CODES)), st.text(max_size=5000))
def test_any_message_fits_and_is_json(status, message):
    refusal = RefusedError(status, message)
    assert len(refusal.body) < 7000  # six bytes for each character that JSON escapes
    assert json.loads(refusal.body)["error"]["code"] == CODES[status]


def test_a_place_repeats_only_names_of_ours():
    errors = [{"loc": ("body", "filters", "my secret", 3), "msg": "wrong"}]
    assert faults(errors, frozenset({"body", "filters"})) == "body.filters.*.3: wrong"


def test_many_faults_are_counted_and_not_listed():
    errors = [{"loc": ("body", at), "msg": "wrong"} for at in range(1000)]
    text = faults(errors, frozenset({"body"}))
    assert text.count("wrong") == MOST_FAULTS
    assert text.endswith(f"and {1000 - MOST_FAULTS} more")

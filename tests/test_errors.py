"""Errors: one line, with the place it came from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.errors import ArtifactError, InputError, RetrogradError, StorageError


@pytest.mark.parametrize("kind", [InputError, ArtifactError, StorageError])
def test_every_error_is_one_the_doors_catch_and_exits_with_2(kind):
    error = kind("reason")
    assert isinstance(error, RetrogradError)
    assert str(error) == "reason"
    assert error.exit_code == 2


def test_an_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


@given(reason=st.text(min_size=1), path=st.sampled_from(["a.jsonl", "b/c.tsv"]), line=st.integers(1, 10**9))
def test_the_place_stands_before_the_reason(reason, path, line):
    assert str(InputError(reason, path=path, line=line)) == f"{path}:{line}: {reason}"
    assert str(InputError(reason, path=path)) == f"{path}: {reason}"
    assert str(InputError(reason)) == reason

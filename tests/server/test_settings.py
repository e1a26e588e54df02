"""What an operator may choose."""

import pytest

from retrograd.cli import settings as command_line
from retrograd.server.batching import MOST_TOGETHER
from retrograd.server.settings import LONGEST_QUERY, MOST_QUERIES, Settings


@pytest.mark.parametrize("wrong", [{"deadline": 0}, {"queue": 0}, {"token_for_reads": True}])
def test_what_cannot_work_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)


def test_both_doors_take_the_same_questions():
    assert LONGEST_QUERY == command_line.LONGEST_QUERY
    assert MOST_QUERIES <= MOST_TOGETHER  # a whole request fits into one call

"""Title ids: readable, terminated, spellable for any later title."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.docids.inputs import DocidInputs
from retrograd.docids.text import TitleText
from retrograd.types import Corpus, Document

TITLES = ["The Red River", "the red fox", "The Red", "Blue mountain music", "Ünïted Cities", "東京"]


def inputs(titles, texts=None, start=0):
    pairs = zip(titles, texts or [""] * len(titles), strict=True)
    documents = [Document(f"d{start + at}", text, title) for at, (title, text) in enumerate(pairs)]
    return DocidInputs(Corpus(documents), 0, lambda encoder, of: np.empty(0))


def read(table, document):
    return table.describe(table.key(int(table.keys_of(document)[0])))


TABLE = TitleText(vocab_size=400).assign(inputs(TITLES))


@pytest.mark.parametrize(("row", "title"), list(enumerate(TITLES)))
def test_a_key_reads_as_the_lower_cased_title(row, title):
    assert read(TABLE, row) == title.lower()


def test_every_key_ends_with_the_one_terminator():
    ends = TABLE.tokens[TABLE.offsets[1:] - 1]
    assert len(set(ends.tolist())) == 1
    assert (TABLE.tokens == ends[0]).sum() == len(TABLE)


@settings(max_examples=60)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=8), st.sampled_from(["expand", "suffix"]))
def test_any_later_title_can_be_spelled(titles, collisions):
    scheme = TitleText(vocab_size=400, collisions=collisions)
    table = scheme.insert(scheme.assign(inputs(TITLES)), inputs(titles, start=100))
    assert all(len(table.keys_of(row)) == 1 for row in range(len(TITLES) + len(titles)))


@pytest.mark.parametrize("title", ["</s>", "<0x41> [END] ", "\ud800 lone", "#1#2", "\x00\n\t"])
def test_a_hostile_title_spells_no_terminator(title):
    table = TitleText(vocab_size=400).insert(TABLE, inputs([title], start=100))
    key = table.key(int(table.keys_of(len(TITLES))[0]))
    end = TABLE.tokens[-1]
    assert key.count(end) == 1
    assert key[-1] == end


def test_the_text_stands_in_for_an_empty_title():
    table = TitleText(vocab_size=400).assign(inputs(["", " ", "red"], ["Blue River", "", "x"]))
    assert [read(table, row) for row in range(3)] == ["blue river", "", "red"]


def test_long_titles_are_cut_and_then_share_a_key():
    scheme = TitleText(vocab_size=400, max_tokens=3)
    table = scheme.assign(inputs([f"red red red red {number}" for number in range(4)]))
    assert len(table) == 1
    assert table.documents_of(0).tolist() == [0, 1, 2, 3]
    assert table.level_sizes == (len(table.token_names),) * 3


def test_suffix_numbers_documents_of_one_title_across_insertions():
    scheme = TitleText(vocab_size=400, collisions="suffix")
    table = scheme.assign(inputs(["red", "blue", "red"]))
    table = scheme.insert(table, inputs(["red"] * 9, start=100))
    assert [read(table, row) for row in (0, 1, 2, 3, 11)] == ["red", "blue", "red#1", "red#2", "red#1#0"]
    assert len(table) == 12


def test_the_vocabulary_keeps_to_its_size_even_for_many_scripts():
    titles = ["".join(chr(start + at) for at in range(20)) for start in range(0x4E00, 0x5E00, 20)]
    table = TitleText(vocab_size=300).assign(inputs(titles))
    assert table.level_sizes[0] <= 300


def test_the_vocabulary_is_the_same_in_every_process():
    program = (
        "import sys, hashlib; sys.path[:0] = sys.argv[1:]\n"
        "import numpy as np\n"
        "from retrograd.docids import DocidInputs, TitleText\n"
        "from retrograd.types import Corpus, Document\n"
        "docs = [Document(str(n), title=f'title {n * 37 % 101} of {chr(97 + n % 26)}') for n in range(200)]\n"
        "table = TitleText(vocab_size=330).assign(DocidInputs(Corpus(docs), 0, lambda e, o: np.empty(0)))\n"
        "print(hashlib.sha256(table.tokens.tobytes() + table.state['tokenizer'].tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", program, *sys.path]
    hashes = {subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(hashes) == 1

"""How answers look in a terminal."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from retrograd.cli.show import SNIPPET, answers_table, docid_text, printable, snippet
from retrograd.docid_table import DocidTable
from retrograd.types import Corpus, Document, Hit


@given(st.text(), st.text())
def test_a_snippet_is_one_short_line(title, text):
    shown = snippet(Corpus([Document("d", text, title)]), "d")
    assert len(shown) <= SNIPPET
    assert "\n" not in shown


@given(st.lists(st.text()))
def test_no_cell_can_steer_the_terminal(cells):
    shown = printable(cells)
    assert [len(cell) for cell in shown] == [len(cell) for cell in cells]
    assert all(cell.isprintable() for cell in shown)


def test_a_docid_is_shown_as_words_where_tokens_have_names():
    names = ("depth", "image", "[end]")
    table = DocidTable.from_keys(
        [[0, 1, 2]], [0], ["d"], level_sizes=(3, 3, 3), shared_vocabulary=True, token_names=names
    )
    assert docid_text((0, 1, 2), table) == "depth image [end]"
    assert docid_text((0, 1, 2), None) == "0-1-2"


def test_markup_in_a_title_is_shown_as_it_is():
    corpus = Corpus([Document("d", title="[bold]not bold[/bold] \x1b[31m")])
    target = io.StringIO()
    Console(file=target, width=120, markup=False).print(answers_table([Hit("d", 1.0)], corpus, None))
    assert "[bold]not bold[/bold]" in target.getvalue()
    assert "\x1b" not in target.getvalue()

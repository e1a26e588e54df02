"""Every snippet on the pages of the operators runs by itself, is short, and prints what stands below it."""

import ast
import math
import re
from contextlib import redirect_stdout
from io import StringIO
from itertools import zip_longest

import pytest

from retrograd import differentiable, losses
from tests.house.tree import ROOT

FOLDER = ROOT / "docs" / "operators"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
SECTIONS = [name for name in PAGES if name != "index"]
SNIPPET = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADINGS = ["Formula", "Snippet", "Cost", "Limits", "Related"]
LONGEST = 10
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def snippet(page: str) -> tuple[str, str]:
    """The only block of Python on a page, and the block of text right below it."""
    assert page.count("```python") == 1
    (found,) = SNIPPET.findall(page)
    return found


def same(shown: str, printed: str) -> bool:
    """Equal but for white space and for two units in the last digit shown of a decimal fraction."""
    return all(
        _same_word(*pair) for pair in zip_longest(_words(shown), _words(printed), fillvalue="(nothing)")
    )


def _words(text: str) -> list[str]:
    return re.findall(r"[\w.+-]+|[^\w\s]", text)


def _same_word(shown: str, printed: str) -> bool:
    if not (NUMBER.fullmatch(shown) and NUMBER.fullmatch(printed) and "." in shown):
        return shown == printed
    unit = 10.0 ** -len(shown.partition(".")[2])
    return math.isclose(float(shown), float(printed), rel_tol=0, abs_tol=2.01 * unit)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_snippet_prints_what_stands_below_it(name, monkeypatch, tmp_path):
    code, shown = snippet(PAGES[name])
    monkeypatch.chdir(tmp_path)
    with redirect_stdout(StringIO()) as printed:
        exec(compile(code, f"{name}.md", "exec"), {"__name__": name})
    assert same(shown, printed.getvalue()), printed.getvalue()


@pytest.mark.parametrize("name", SECTIONS)
def test_the_snippet_is_short_and_the_page_has_every_part(name):
    lines = [line for line in snippet(PAGES[name])[0].splitlines() if line.strip()]
    assert 1 < len(lines) <= LONGEST
    assert max(map(len, lines)) <= 110
    starts = [node.lineno for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.stmt)]
    assert len(set(starts)) == len(starts), "one statement a line"
    assert re.findall(r"^## (.*)$", PAGES[name], re.MULTILINE) == HEADINGS


def test_the_table_of_the_index_leads_to_every_page():
    rows = re.findall(r"^\| \[.*?\]\((.*?)\.md\) \|", PAGES["index"], re.MULTILINE)
    assert sorted(rows) == sorted(SECTIONS)


def test_every_public_name_stands_on_a_page():
    text = "\n".join(PAGES.values())
    missing = [name for name in (*differentiable.__all__, *losses.__all__) if f"`{name}`" not in text]
    # Losses of systems that write ids are not about these operators.
    elsewhere = {"in_batch_contrastive", "inner_product_cross_entropy", "symmetric_kl", "token_cross_entropy"}
    assert set(missing) <= elsewhere, "name these on the page of their section"


def test_every_module_that_a_page_links_to_exists():
    linked = {name for page in PAGES.values() for name in re.findall(r"reference/([\w.]+)\.md", page)}
    assert linked
    for name in linked:
        path = ROOT.joinpath("src", *name.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name


def test_another_number_word_or_line_is_noticed():
    assert same("a 0.50 b\n", "a  0.51 b")
    for printed in ("a 0.53 b", "a 0.50 c", "a 0.50", "a 0.50 b b", "a 1 b"):
        assert not same("a 0.50 b", printed)
    assert not same("3", "4")

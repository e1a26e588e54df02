"""One way to do each thing: the second copy of eight lines is a defect."""

import ast
import io
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.house.tree import Module, complaints, modules

WINDOW = 8
LIMIT = 0.03
_LAYOUT = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT}


def code_lines(module: Module) -> list[tuple[int, str]]:
    """(line number, text with single spaces) of code: no comments, blanks, imports and docstrings."""
    skipped = {
        line
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_bare_string(node)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    words: dict[int, list[str]] = defaultdict(list)
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in _LAYOUT and token.start[0] not in skipped and token.string.strip():
            words[token.start[0]].append(token.string)
    return [(number, " ".join(parts)) for number, parts in sorted(words.items())]


def _is_bare_string(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def repeated_windows(found: Iterable[Module]) -> tuple[float, list[str]]:
    """Share of eight-line windows that stand in more than one place, and where they stand."""
    windows: Counter[tuple[str, ...]] = Counter()
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for module in found:
        lines = code_lines(module)
        for at in range(len(lines) - WINDOW + 1):
            window = tuple(text for _, text in lines[at : at + WINDOW])
            windows[window] += 1
            places[window].append(f"{module.name}:{lines[at][0]}")
    repeated = [window for window, count in windows.items() if count > 1]
    share = sum(windows[window] for window in repeated) / max(1, windows.total())
    return share, [" = ".join(places[window]) for window in repeated]


def test_eight_line_windows_are_written_once():
    share, places = repeated_windows(modules())
    assert share < LIMIT, (
        f"{share:.1%} of the tree is written twice; let one function serve both:" + complaints(places)
    )


def test_a_copy_is_caught_whatever_its_spacing_and_comments():
    body = "".join(f"value_{n} = call({n})\n" for n in range(12))
    copy = "import os\n" + body.replace("(", "( ").replace("\n", "  # why\n\n")
    share, places = repeated_windows([Module("retrograd.one", body), Module("retrograd.two", copy)])
    assert share == 1
    assert places[0] == "retrograd.one:1 = retrograd.two:2"


def test_shared_imports_and_docstrings_are_no_copy():
    text = '"""Same."""\n' + "".join(f"import name_{n}\n" for n in range(12))
    assert repeated_windows([Module("retrograd.one", text), Module("retrograd.two", text)])[0] == 0

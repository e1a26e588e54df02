"""Tables: a comparison as text, for the terminal and as Markdown.

Decides only how figures look; what is best or significant it reads from the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from retrograd.evaluation.compare import DECIMALS, Cell, Comparison

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

MARKS = {"better": "▲", "worse": "▼", "": ""}
COLOURS = {"better": "green", "worse": "red", "": ""}


def cell_text(cell: Cell, *, deviation: bool = True, decimals: int = DECIMALS) -> str:
    """Mean, deviation over seeds where there are several (unless unwanted), and the mark.

    >>> from retrograd.evaluation.significance import Interval
    >>> cell_text(Cell(Interval(0.5, 0.4, 0.6), 0.01, mark="better"))
    '0.500 ± 0.010 ▲'
    """
    spread = f"± {cell.seed_deviation:.{decimals}f}" if deviation and cell.seed_deviation else ""
    return " ".join(filter(None, [f"{cell.interval.mean:.{decimals}f}", spread, MARKS[cell.mark]]))


def cost_text(figure: float | None) -> str:
    """Three significant digits, thousands apart, a dash for no figure.

    >>> cost_text(12345.6), cost_text(1.23456), cost_text(None)
    ('12,346', '1.23', '-')
    """
    if figure is None:
        return "-"
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def caption(comparison: Comparison, *, deviation: bool = True) -> str:
    """What the marks mean and what they rest on, as one line."""
    queries = f"{comparison.num_queries:,} queries"
    if comparison.num_groups != comparison.num_queries:
        queries += f" in {comparison.num_groups:,} groups resampled whole"
    sentences = [f"Bold: best. {queries}."]
    tests = sum(cell.difference is not None for cell in comparison.cells.values())
    if tests:
        sentences.append(
            f"▲ better, ▼ worse than {comparison.baseline}: paired randomisation test at "
            f"{100 * (1 - comparison.level):.3g} %, Holm's correction over {tests} test{'s' * (tests > 1)}."
        )
    seeds = sorted(set(comparison.num_seeds.values()))
    if seeds[-1] > 1:
        spread = " ± standard deviation over seeds" * deviation
        sentences.append(f"Mean over {' or '.join(map(str, seeds))} seeds{spread}.")
    return " ".join(sentences)


def markdown_table(comparison: Comparison) -> str:
    """GitHub Markdown: title, table, caption."""
    columns = (*comparison.measures, *comparison.cost_columns)
    header = ["system", *map(_escape, columns)]
    lines = [_line(header), _line(["---"] + ["---:"] * len(columns))]
    for system in comparison.systems:
        cells = [
            f"**{text}**" if system in comparison.best(measure) else text
            for measure in comparison.measures
            for text in [cell_text(comparison.cells[system, measure], decimals=comparison.decimals)]
        ]
        figures = [cost_text(comparison.costs.get(system, {}).get(name)) for name in comparison.cost_columns]
        lines.append(_line([_escape(system), *cells, *figures]))
    title = [f"**{_escape(comparison.title)}**", ""] if comparison.title else []
    return "\n".join([*title, *lines, "", _escape(caption(comparison)), ""])


def print_table(comparison: Comparison, console: Console | None = None) -> None:
    """The same table in a terminal, marks in colour; columns that do not fit continue below."""
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    if comparison.title:
        console.print(Text(comparison.title, style="bold"))
    columns = _columns(comparison)
    names = max(len(name) for name in ("system", *comparison.systems))
    while columns:
        widths = [max(text.cell_len for text in column) + 3 for column in columns]
        fitting = sum(total <= console.width - names - 4 for total in accumulate(widths))
        console.print(_block(comparison.systems, columns[: max(1, fitting)]))
        columns = columns[max(1, fitting) :]
    console.print(Text(caption(comparison, deviation=False), style="dim"))


def _columns(comparison: Comparison) -> list[list[Text]]:
    """Heading and one text per system, for each measure and each cost figure."""
    from rich.text import Text

    columns = []
    for measure in comparison.measures:
        best = comparison.best(measure)
        cells = [(system, comparison.cells[system, measure]) for system in comparison.systems]
        texts = [
            Text(
                cell_text(cell, deviation=False, decimals=comparison.decimals),
                f"{'bold' if system in best else ''} {COLOURS[cell.mark]}".strip(),
            )
            for system, cell in cells
        ]
        columns.append([Text(measure), *texts])
    for name in comparison.cost_columns:
        figures = [comparison.costs.get(system, {}).get(name) for system in comparison.systems]
        columns.append([Text(name), *(Text(cost_text(figure), "dim") for figure in figures)])
    return columns


def _block(systems: Sequence[str], columns: Sequence[Sequence[Text]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    table.add_column("system", no_wrap=True)
    for column in columns:
        table.add_column(column[0], justify="right", no_wrap=True)
    for row, system in enumerate(systems, start=1):
        table.add_row(Text(system), *(column[row] for column in columns))
    return table


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    for symbol in ("\\", "|", "*", "<", "`"):
        text = text.replace(symbol, f"\\{symbol}")
    return " ".join(text.split())

"""The canvas leaves global settings alone, writes whole files, and labels axes in plain numbers."""

import matplotlib
import pytest
from matplotlib.figure import Figure

from retrograd.evaluation.canvas import STYLE, footnote, label, plain_decades, save, style


def test_the_style_holds_inside_and_nowhere_else(tmp_path):
    before = dict(matplotlib.rcParams)
    with style():
        assert matplotlib.rcParams["font.size"] == STYLE["font.size"]
        figure = Figure(figsize=(3, 2), layout="constrained")
        label(figure.subplots(), "here", (0.5, 0.5), (3, 3))
        footnote(figure, "small print " * 30)
        save(figure, tmp_path / "one.png")
        save(figure, tmp_path / "two.png")
    assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("limits", "factor", "shown"),
    [((1, 60), 1, {"1", "2", "5", "10", "20", "50"}), ((0.0001, 1), 100, {"0.01", "0.1", "1", "10", "100"})],
)
def test_decades_are_plain_numbers(limits, factor, shown):
    figure = Figure()
    panel = figure.subplots()
    panel.set_yscale("log")
    panel.set_ylim(*limits)
    plain_decades(panel.yaxis, factor=factor)
    figure.canvas.draw()
    assert shown <= {text.get_text() for text in panel.yaxis.get_majorticklabels()}

"""Plots are PNG files that hold what they show, leave global plotting state alone and repeat."""

import json
import struct

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from retrograd.evaluation.compare import compare
from retrograd.evaluation.plots import plot_training
from retrograd.evaluation.significance import Resampling
from tests.evaluation.comparisons import SYSTEMS


@pytest.fixture
def drawn(monkeypatch):
    """Every figure that is saved, to look at after the fact."""
    figures = []
    save = Figure.savefig

    def remember(self, *arguments, **options):
        figures.append(self)
        return save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", remember)
    return figures


def texts(figure):
    return {text.get_text() for text in figure.findobj(Text)}


def size(path):
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:])


def test_a_comparison_shows_every_mean_with_its_mark(tmp_path, drawn):
    comparison = compare(SYSTEMS, baseline="base", title="data dev", resampling=Resampling(draws=200))
    before = dict(matplotlib.rcParams)
    comparison.plot(tmp_path / "one.png")
    comparison.plot(tmp_path / "two.png")
    assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert min(size(tmp_path / "one.png")) > 300
    shown = texts(drawn[0])
    assert {"data dev", "nDCG@10", "R@100", *SYSTEMS} <= shown
    for cell in comparison.cells.values():
        mark = {"better": " ▲", "worse": " ▼", "": ""}[cell.mark]
        assert f"{cell.interval.mean:.3f}{mark}" in shown


@pytest.mark.parametrize("num_measures", [1, 5])
def test_any_number_of_measures_and_a_single_query_can_be_drawn(tmp_path, num_measures):
    given = {f"P@{cutoff}": {"q": 0.5} for cutoff in range(1, num_measures + 1)}
    systems = {name: type(SYSTEMS["low"])(given) for name in ("base", "other")}
    compare(systems, baseline="base", resampling=Resampling(draws=10)).plot(tmp_path / "plot.png")
    assert min(size(tmp_path / "plot.png")) > 100


def line(stage, step, loss):
    return {
        "stage": stage,
        "step": step,
        "loss": loss,
        "terms": {"sequence": loss},
        "learning_rate": 1e-3 / step,
    }


def test_training_shows_its_terms_stages_and_best_measure(tmp_path, drawn):
    lines = [line(stage, step, 9.0 / step) for stage in ("first", "second") for step in range(1, 30)]
    lines += [
        {"stage": "second", "step": step, "measure": "R@10", "value": step / 40} for step in (10, 30, 20)
    ]
    (tmp_path / "m").write_text("\n".join(map(json.dumps, lines)))
    plot_training(tmp_path / "m", tmp_path / "plot.png")
    assert {"first", "second", "sequence", "Validation R@10", "Learning rate", "0.750"} <= texts(drawn[0])
    assert len(drawn[0].axes) == 3
    assert min(size(tmp_path / "plot.png")) > 300


@pytest.mark.parametrize("losses", [[float("nan")], [0.0, 0.0], [-1.0, float("inf"), 2.0]])
def test_a_sick_or_tiny_run_can_still_be_drawn(tmp_path, drawn, losses):
    lines = [{"stage": 0, "step": at, "loss": loss} for at, loss in enumerate(losses)]
    (tmp_path / "m").write_text("\n".join(map(json.dumps, lines)))
    plot_training(tmp_path / "m", tmp_path / "plot.png")
    assert len(drawn[0].axes) == 1

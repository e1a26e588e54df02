"""Figures show the systems they are of, hold for every subject, and repeat byte for byte."""

import json
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.plots import code_usage_figure, gradient_figure, plot_diagnosis
from retrograd.evaluation.diagnostics.report import diagnose
from retrograd.evaluation.diagnostics.subject import subject_of_run
from retrograd.types import Ranking
from tests.evaluation.diagnostics.subjects import SETTINGS, audience, lists, whole_diagnosis


@pytest.fixture
def drawn(monkeypatch):
    """File name -> the texts in each figure that is saved."""
    texts = []
    save = Figure.savefig

    def remember(self, *arguments, **options):
        texts.append(" | ".join(text.get_text() for text in self.findobj(Text)))
        return save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", remember)
    return texts


def test_a_whole_diagnosis_has_every_figure_and_the_same_bytes_twice(tmp_path, drawn):
    found, before = whole_diagnosis(tmp_path), dict(matplotlib.rcParams)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (plot_diagnosis(found, folder, tmp_path / "metrics.jsonl") for folder in folders)
    assert dict(matplotlib.rcParams) == before
    assert [file.name for file in one] == [
        "hubness.png", "popularity.png", "codes.png", "norms.png", "gradients.png",
    ]  # fmt: skip
    for left, right in zip(one, two, strict=True):
        assert left.read_bytes().startswith(b"\x89PNG")
        assert left.read_bytes() == right.read_bytes()
    hubs, popularity, codes, norms, gradients = drawn[:5]
    assert f"whole: {found.hubness['lists'].never:.0%} never shown" in hubs
    assert "bm25: 92% never shown" in hubs
    assert "random lists" in hubs
    assert "7 queries" in popularity
    assert f"worth {found.codes.report.levels[0].perplexity:.0f}" in codes
    assert f"Spearman {found.norms[1].spearman:+.2f}" in norms
    assert "whole: after warm-up median" in gradients


def test_a_run_and_an_empty_run_can_be_drawn(tmp_path):
    for ranking in (lists([[0, 1, 2]]), Ranking(("q0",), ((),))):
        found = diagnose(subject_of_run("run", ranking), audience(), settings=SETTINGS)
        assert [file.name for file in plot_diagnosis(found, tmp_path)] == ["hubness.png", "popularity.png"]


def test_dead_codes_and_dead_levels_can_be_drawn(tmp_path):
    found = whole_diagnosis(tmp_path)
    usage = (np.array([40, 0, 0, 0]), np.full(8, 5))
    code_usage_figure(replace(found, codes=replace(found.codes, usage=usage)), tmp_path / "codes.png")
    assert (tmp_path / "codes.png").stat().st_size > 5000


def test_what_has_no_ids_cannot_be_drawn(tmp_path):
    with pytest.raises(InputError, match="has no ids"):
        code_usage_figure(replace(whole_diagnosis(tmp_path), codes=None), tmp_path / "codes.png")


def log(path, norms):
    lines = [{"stage": 0, "step": at, "loss": 1.0, "gradient_norm": norm} for at, norm in enumerate(norms, 1)]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_runs_stand_in_one_gradient_figure_with_their_figures(tmp_path, drawn):
    logs = {
        name: log(tmp_path / name, [9.0, *[norm] * 20]) for name, norm in {"soft": 0.5, "hard": 2.0}.items()
    }
    gradient_figure(logs, tmp_path / "g.png")
    assert "soft: after warm-up median 0.500, largest 0.500" in drawn[0]
    assert "hard: after warm-up median 2, largest 2" in drawn[0]


def test_logs_without_gradients_and_no_logs_are_refused(tmp_path):
    (tmp_path / "m").write_text('{"stage": 0, "step": 1, "loss": 1.0}\n')
    with pytest.raises(InputError, match="holds no gradient norm"):
        gradient_figure({"run": tmp_path / "m"}, tmp_path / "g.png")
    with pytest.raises(InputError, match="no run to draw"):
        gradient_figure({}, tmp_path / "g.png")


@pytest.mark.parametrize("norms", [[0.0, 0.0], [1e-30, 1e30], [1.0]])
def test_odd_norms_can_be_drawn(tmp_path, norms):
    gradient_figure({"run": log(tmp_path / "m", norms)}, tmp_path / "g.png")
    assert (tmp_path / "g.png").exists()

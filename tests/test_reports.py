"""Reports of the grids say what the cells say: nothing is averaged away, nothing missing is made up."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import report
from tests.house.tree import ROOT

CLAIM = "scifact dev"
QUERIES = [f"q{n}" for n in range(12)]


def run(values, **more):
    """One seed whose every measure has these values, a query each."""
    per_query = dict(zip(QUERIES, map(float, values), strict=True))
    names = ("nDCG@10", "Success@10", "R@100")
    return {
        "per_query": dict.fromkeys(names, per_query),
        "mean": dict.fromkeys(names, float(np.mean(values))),
        "vectors_scored": 3.0,
        "cpu_seconds": 1.0,
        "keys": 5,
        "documents": 10,
        "seed": 0,
        "collection": "scifact",
        **more,
    }


@pytest.fixture
def geometric_report(script):
    """The report of the grids of the index."""
    return script("geometric_report")


def test_a_difference_is_the_mean_over_queries_of_seed_averages():
    ours, theirs = [run([1] * 12), run([0] * 12)], [run([0.25] * 12)]
    interval, p = report.paired(ours, theirs)
    assert interval.mean == (1 + 0) / 2 - 0.25
    assert interval.low == interval.high == interval.mean
    assert p < 0.01


def test_a_side_without_runs_has_no_difference():
    assert report.paired([], [run([1] * 12)]) is None
    assert report.adjusted({"a": None}) == {"a": "not run"}


def test_holm_never_lowers_a_p_value_and_ignores_what_was_not_run():
    one, two = (
        report.paired([run([1] * 12)], [run([0] * 12)]),
        report.paired([run([1] * 12)], [run([1] * 12)]),
    )
    texts = report.adjusted({"one": one, "two": two, "none": None})
    assert float(texts["one"].partition("p=")[2]) == pytest.approx(2 * one[1], rel=0.01)
    assert texts["two"].endswith("p=1")
    assert texts["none"] == "not run"


def test_a_row_without_any_run_is_left_out_and_a_gap_is_named():
    cells = {(CLAIM, "a"): [run([1] * 12)], (CLAIM, "b"): [run([0] * 12)]}
    table = report.paired_table([("", "a", "b"), ("x", "a", "c")], [CLAIM, "cranfield dev+test"], cells)
    assert "`a` - `b` | +1.000" in table
    assert "not run" in table
    assert "`c`" not in table
    assert report.paired_table([("", "a", "c")], [CLAIM], cells) == "Not run."


def test_quality_spreads_over_seeds_and_draws_queries_of_their_mean():
    mixed = [float(n % 2) for n in range(12)]
    opposite = [1 - value for value in mixed]
    assert report.quality([run(mixed), run(opposite)]) == "0.500 ± 0.000 [0.500, 0.500]"
    assert report.quality([run([0.25] * 12)]) == "0.250 [0.250, 0.250]"
    assert report.quality([]) == "not run"


def test_the_page_of_operators_says_what_its_files_say(operators):
    assert (ROOT / operators.PAGE).read_text() == operators.page()


def test_results_on_parts_of_the_queries_become_one(operators):
    parts = [{"per_query": {"R@10": {"1h-a": 1.0}}}, {"per_query": {"R@10": {"2h-a": 0.5, "1h-b": 0.0}}}]
    assert operators.of_queries(parts)["mean"] == {"R@10": 0.5}
    assert operators.of_queries(parts, "1h")["per_query"] == {"R@10": {"1h-a": 1.0, "1h-b": 0.0}}


def test_the_best_rows_are_in_order_and_end_where_answers_do(operators):
    scores = np.array([[1.0, 3.0, 3.0, -np.inf], [-np.inf, -np.inf, 0.0, -np.inf]])
    assert operators.best_rows(scores, 3).tolist() == [[1, 2, 0], [2, -1, -1]]


def test_a_table_with_a_short_row_is_refused():
    with pytest.raises(AssertionError, match="1 texts under 2 headings"):
        report.markdown(["a", "b"], [["1"]])


def test_cells_are_read_in_the_order_of_their_seeds(tmp_path):
    for seed in (1, 0):
        (tmp_path / f"long.scifact.gumbel.{seed}.json").write_text(json.dumps({"seed": seed}))
    (tmp_path / "ablation.scifact.gumbel.0.json").write_text("{}")
    assert [cell["seed"] for cell in report.read_files(tmp_path, "long")] == [0, 1]


def test_an_empty_grid_gives_a_page_without_figures_of_its_own(geometric_report):
    text = "\n".join([*geometric_report.ablation_part({}), *geometric_report.systems_part({})])
    assert "Not run." in text
    measured = text.replace(geometric_report.published_table(), "")
    assert "±" not in measured
    assert "[" not in measured


def test_the_cell_compared_with_stands_without_a_difference(geometric_report):
    ways = {"as it comes": {(CLAIM, "gumbel"): [run([1] * 12)], (CLAIM, "ste"): [run([0.5] * 12)]}}
    table = geometric_report.cells_table(CLAIM, ("gumbel", "ste", "detached"), ways, "gumbel")
    assert "| `gumbel` | 1 | 1.000 | 1.000 | - |" in table
    assert "| `ste` | 1 | 0.500 | 0.500 | -0.500 [-0.500, -0.500]" in table
    assert "Not run: `detached`." in table


def test_what_a_search_keeps_is_its_share_of_comparing_everything(geometric_report):
    ways = {
        "look-ahead": {(CLAIM, "s"): [run([0.5] * 12)]},
        "exhaustive cosine": {(CLAIM, "s"): [run([1] * 12)]},
    }
    assert "0.500 (keeps 0.50, scores 30.0%)" in geometric_report.search_table(["s"], [CLAIM], ways)


def test_every_published_difference_is_to_the_full_method(geometric_report):
    assert "full | `gumbel` | 0.5651 | 0.7752" in geometric_report.published_table()
    assert f"{0.5242 - 0.7752:+.3f}" in geometric_report.pattern_table({})


def test_an_audit_averages_seeds_before_it_draws_queries(geometric_report):
    from retrograd.evaluation.diagnostics.popularity import QUINTILES

    ids = tuple("abcdef")
    popularity = dict(zip(ids, (32.0, 16.0, 8.0, 4.0, 2.0, 0.0), strict=True))
    catalogue = SimpleNamespace(ids=ids, popularity=popularity, quintiles=QUINTILES.assign(ids, popularity))
    qrels = {"q0": {"a": 1}, "q1": {"a": 1}, "q2": {"f": 1}}
    seeds = [{"top": {"q0": ["a"], "q1": ["b"], "q2": []}}, {"top": {"q0": ["a"], "q1": ["a"], "q2": []}}]
    found = geometric_report.audit(seeds, qrels, catalogue)
    head, never = found.slices
    assert head.hit_rate.mean == (1 + 0.5) / 2
    assert (never.name, never.hit_rate.mean) == ("none", 0.0)
    assert found.list_popularity == ((32 + 16) / 2 + 32) / 2
    hubs = geometric_report.hubs(seeds, catalogue)
    assert [one.largest for one in hubs] == [1, 2]
    assert math.isclose(hubs[0].gini, 1 - 2 / 6)

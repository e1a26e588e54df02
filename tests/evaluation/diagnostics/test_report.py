"""A diagnosis takes what is there, says what is not, and becomes JSON that anybody can read."""

import json
from dataclasses import replace

import numpy as np
import pytest

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.hubness import occurrences_in
from retrograd.evaluation.diagnostics.report import diagnose
from retrograd.evaluation.diagnostics.subject import subject_of_run
from retrograd.types import Hit, Ranking
from tests.evaluation.diagnostics.subjects import (
    IDS,
    NUM_DOCUMENTS,
    NUM_QUERIES,
    SETTINGS,
    audience,
    lists,
    whole_diagnosis,
    whole_subject,
)


def test_everything_that_is_there_is_looked_at(tmp_path):
    found = whole_diagnosis(tmp_path)
    assert set(found.hubness) == {"lists", "bm25 lists", "vectors", "codes of level 1"}
    assert set(found.isotropy) == {"documents", "queries"}
    assert set(found.popularity) == {"whole", "bm25"}
    assert set(found.agreement) == {"temperature 1", "temperature 0.1"}
    assert len(found.norms) == len(found.codes.report.levels) == 2
    assert found.gradients[0].points > 0
    assert found.capacity.by_codes.mean > 0.5
    assert 0 < found.alignment < 1
    assert found.left_out == ()
    assert (found.num_documents, found.num_queries, found.k) == (NUM_DOCUMENTS, NUM_QUERIES, 3)


def test_lists_of_exact_search_have_the_hubs_of_the_vectors(tmp_path):
    found = whole_diagnosis(tmp_path).hubness
    assert found["lists"].counts.tolist() == found["vectors"].counts.tolist()
    assert found["bm25 lists"].never == 1 - 3 / NUM_DOCUMENTS


def test_a_run_is_its_lists_and_says_that_it_is_no_more():
    subject = subject_of_run("run", lists(np.arange(3 * NUM_QUERIES).reshape(-1, 3) % NUM_DOCUMENTS))
    found = diagnose(subject, audience(popularity=None, popularity_from="nobody counted"), settings=SETTINGS)
    assert set(found.hubness) == {"lists"}
    assert (found.isotropy, found.codes, found.capacity, found.popularity) == ({}, None, None, {})
    assert any("a run file holds lists only" in line for line in found.left_out)
    assert "popularity: nobody counted" in found.left_out


@pytest.mark.parametrize("missing", ["space", "table", "codes", "code_space", "relaxation", "metrics"])
def test_each_part_may_be_missing_alone(tmp_path, missing):
    subject = replace(whole_subject(tmp_path), **{missing: None})
    json.dumps(diagnose(subject, audience(), settings=SETTINGS).to_json(), allow_nan=False)


def test_a_document_without_an_id_has_no_capacity_and_it_is_said(tmp_path):
    whole = whole_subject(tmp_path)
    keys = whole.table.padded[whole.table.pairs[1:, 0]]
    table = type(whole.table).from_keys(keys, whole.table.pairs[1:, 1], IDS, level_sizes=(8, 8))
    found = diagnose(replace(whole, table=table), audience(), settings=SETTINGS)
    assert found.capacity is None
    assert "code capacity: some document has no whole id" in found.left_out
    assert any("have no key" in alarm for alarm in found.alarms)


def test_queries_without_an_answer_count_as_lists(tmp_path):
    some = lists([[0, 1, 2]])
    found = diagnose(subject_of_run("run", some), audience(), settings=SETTINGS).hubness["lists"]
    assert found.num_lists == NUM_QUERIES
    assert occurrences_in(some, IDS, 3).sum() == found.counts.sum() == 3


def test_json_has_no_arrays_no_nan_and_repeats(tmp_path):
    one, two = (json.dumps(whole_diagnosis(tmp_path).to_json(), allow_nan=False) for _ in range(2))
    assert one == two
    read = json.loads(one)
    assert "counts" not in read["hubness"]["lists"]
    assert read["norms"][0].keys() == {"level", "used", "spearman", "norm_spread"}
    assert read["agreement"]["temperature 1"]["levels"][0]["level"] == 1


def test_a_single_query_has_figures_without_intervals():
    one = audience(qrels={"q0": {"d0": 1}})
    found = diagnose(subject_of_run("run", lists([[0, 1, 2]])), one, settings=SETTINGS)
    assert found.to_json()["popularity"]["run"]["slices"][0]["hit_rate"] == {
        "mean": 1,
        "low": None,
        "high": None,
    }


def test_answers_to_other_queries_are_refused():
    other = Ranking(("x",), ((Hit("d0", 0.0),),))
    with pytest.raises(InputError, match="not one query"):
        diagnose(subject_of_run("run", other), audience(), settings=SETTINGS)

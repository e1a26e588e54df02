"""Alarms ring for what is bad and keep quiet otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from retrograd.evaluation.diagnostics.agreement import Agreement
from retrograd.evaluation.diagnostics.alarms import alarms_of
from retrograd.evaluation.diagnostics.report import diagnose
from retrograd.evaluation.diagnostics.subject import subject_of_run
from retrograd.evaluation.significance import Interval
from tests.evaluation.diagnostics.subjects import (
    CODES,
    IDS,
    NUM_DOCUMENTS,
    NUM_QUERIES,
    SETTINGS,
    Codes,
    audience,
    lists,
    whole_diagnosis,
    whole_subject,
)


def alarms(subject):
    return " / ".join(diagnose(subject, audience(), settings=SETTINGS).alarms)


def test_lists_that_share_out_what_is_wanted_ring_nothing():
    even = np.arange(3 * NUM_QUERIES).reshape(-1, 3) % NUM_DOCUMENTS
    assert alarms(subject_of_run("run", lists(even))) == ""


def test_one_document_everywhere_is_said():
    assert "one document stands in 25 of 25 lists" in alarms(
        subject_of_run("run", lists(np.tile([0, 1, 2], (NUM_QUERIES, 1))))
    )


def test_answers_more_popular_than_what_is_wanted_are_said():
    skewed = audience(popularity={"d0": 100.0} | dict.fromkeys(IDS[1:], 1.0))
    everywhere = subject_of_run("run", lists(np.tile([0, 1, 2], (NUM_QUERIES, 1))))
    found = diagnose(everywhere, skewed, settings=SETTINGS)
    # answers: (100 + 1 + 1) / 3 = 34; wanted: (100 + 24) / 25 = 4.96
    assert any("answers are 6.9 times as popular" in alarm for alarm in found.alarms)


def test_a_cone_of_documents_is_said(tmp_path):
    whole = whole_subject(tmp_path)
    space = replace(whole.space, documents=whole.space.documents + 20)
    assert "the vectors of documents crowd into a cone" in alarms(replace(whole, space=space))


def test_codes_that_carry_nothing_are_said(tmp_path):
    whole = whole_subject(tmp_path)
    blind = Codes(tuple(np.ones_like(book) for book in whole.codes.codebooks))
    assert "the ids keep" in alarms(replace(whole, codes=blind))


def test_a_collapsed_codebook_is_said(tmp_path):
    whole = whole_subject(tmp_path)
    keys = np.zeros((NUM_DOCUMENTS, 2), int)
    table = type(whole.table).from_keys(keys, range(NUM_DOCUMENTS), IDS, level_sizes=(10 * CODES,) * 2)
    books = tuple(np.tile(book, (10, 1)) for book in whole.codes.codebooks)
    found = alarms(replace(whole, table=table, codes=Codes(books), relaxation=None))
    assert "codebook collapse: level 1 has 80 codes but is worth 1.0" in found


def test_long_frequent_codes_are_said(tmp_path):
    whole = whole_subject(tmp_path)
    uses = np.bincount(whole.table.padded[whole.table.pairs[:, 0], 0], minlength=CODES)
    book = whole.codes.codebooks[0] / np.linalg.norm(whole.codes.codebooks[0], axis=1, keepdims=True)
    books = (book * (1 + uses)[:, None], whole.codes.codebooks[1])
    found = diagnose(replace(whole, codes=Codes(books)), audience(popularity=None), settings=SETTINGS).alarms
    assert any("level 1: the frequent codes are the long ones" in alarm for alarm in found)


def test_training_that_sees_other_codes_than_the_index_is_said(tmp_path):
    found = whole_diagnosis(tmp_path)
    level = replace(found.agreement["temperature 1"].levels[1], soft_is_hard=0.2)
    lines = alarms_of(replace(found, agreement={"hot": Agreement((level,), 0.2, 1.0)}))
    assert any("hot: at level 2 the index gives only 20% of the documents" in line for line in lines)


@pytest.mark.parametrize(("largest", "rings"), [(10.0, False), (100.0, True)])
def test_a_gradient_far_above_the_mean_is_said(tmp_path, largest, rings):
    found = whole_diagnosis(tmp_path)
    stage = replace(found.gradients[0], median=1.0, largest=largest)
    lines = alarms_of(replace(found, gradients=(stage,)))
    assert any("gradient norm of 100" in line for line in lines) == rings


def test_ids_that_keep_most_of_the_measure_ring_nothing(tmp_path):
    found = whole_diagnosis(tmp_path)
    good = replace(found.capacity, by_codes=Interval(0.8, 0.7, 0.9), by_vectors=Interval(1.0, 0.9, 1.0))
    assert not any("the ids keep" in line for line in alarms_of(replace(found, capacity=good)))

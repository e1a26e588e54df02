"""A solved row finds its document and leaves the others theirs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.dataset import Dataset
from retrograd.data.extractive import Extractive
from retrograd.models.encoder_decoder import OUTPUT_ROW
from retrograd.models.inference import without_dropout
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.recipes import recipe
from retrograd.system import System
from retrograd.training import own_queries
from retrograd.training.fit import fit
from retrograd.types import Corpus, Document
from retrograd.updates.insert import insert
from retrograd.updates.solve_row import RowMargins, Surroundings, solve_row, solve_rows
from tests.small_systems import small

HELD, DOCUMENTS = 10, 300


def mixtures(seed=0):
    """Documents about a handful of words each, out of words that they all share."""
    draw = np.random.default_rng(seed)
    words = np.array([a + b + c for a in "bdfglmnprs" for b in "aeiou" for c in ("ndo", "lar", "mit", "sko")])
    for number in range(DOCUMENTS):
        about = draw.choice(words, 8, replace=False)
        text = draw.permutation(np.concatenate([np.repeat(about, 4), draw.choice(words, 10)]))
        yield Document(f"d{number}", " ".join(text), " ".join(about[:3]))


def learnt_atomic():
    """One token per document, trained long enough on pseudo-queries to know its documents."""
    atomic, queries = recipe("dsi_atomic"), recipe("dsi_qg").stages[0]
    encoder = replace(atomic.model.encoder, encoder=TfidfSvd(dimensions=128), width=64, noise=0.1)
    stage = replace(queries, min_steps=200, max_steps=200, batch_size=128)
    return replace(atomic, model=replace(atomic.model, encoder=encoder), stages=(stage,))


@pytest.fixture(scope="module")
def dataset():
    return Dataset(Corpus(mixtures()), name="mixtures")


@pytest.fixture(scope="module")
def held(dataset):
    return list(dataset.corpus)[:: DOCUMENTS // HELD]


@pytest.fixture(scope="module")
def fitted(dataset, held, tmp_path_factory):
    without = dataset.without({document.id for document in held})
    return fit(learnt_atomic(), without, tmp_path_factory.mktemp("atomic") / "s")


def asked(documents, background, seed):
    texts = Extractive().generate(Corpus(documents), 8, seed, background)
    return [(document.id, text) for document, group in zip(documents, texts, strict=True) for text in group]


def first_answers(system, questions):
    return [hits[0].document for hits in system.search([text for _, text in questions], k=1).hits]


def hit_rate(system, questions):
    right = zip(first_answers(system, questions), questions, strict=True)
    return np.mean([found == wanted for found, (wanted, _) in right])


def problem(seed, documents=30, queries=5, width=40):
    """Rows and states in general position, wide enough that everything can be kept."""
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((documents, width))
    states = rows[: documents // 2] + 0.1 * draw.standard_normal((documents // 2, width))
    scores = np.einsum("sd,sd->s", states, rows[: documents // 2])
    return draw.standard_normal((queries, width)), Surroundings(rows, states, scores)


@given(st.integers(0, 10_000))
def test_margins_hold_where_they_can(seed):
    queries, around = problem(seed)
    margins = RowMargins(margin=1.5, distance=0.5, ridge=1e-7)
    row = solve_row(queries, around, margins)
    assert (queries @ row >= (queries @ around.rows.T).max(axis=1) + 1.5 - 1e-3).all()
    assert (around.states @ row <= around.scores - 0.5 + 1e-3).all()


@given(st.integers(0, 10_000))
def test_no_small_step_does_better(seed):
    queries, around = problem(seed, documents=60, width=12)  # too narrow: some margins must give way
    margins = RowMargins()

    def loss(row):
        lead = (queries @ around.rows.T).max(axis=1) + margins.margin - queries @ row
        over = around.states @ row - (around.scores - margins.distance)
        return (
            margins.ridge * np.square(row - around.rows.mean(axis=0)).sum()
            + margins.balance * np.square(np.maximum(lead, 0)).mean()
            + (1 - margins.balance) * np.square(np.maximum(over, 0)).sum()
        )

    row = solve_row(queries, around, margins)
    draw = np.random.default_rng(seed)
    assert row.dtype == np.float64
    assert all(
        loss(row) <= loss(row + size * draw.standard_normal(len(row))) + 1e-9
        for size in (1e-1, 1e-3, 1e-5)
        for _ in range(5)
    )


def test_balance_decides_where_margins_contradict():
    state = np.array([[1.0, 0.0]])  # a state of another document is the new one's own query
    around = Surroundings(np.array([[3.0, 0.0], [0.0, 0.0]]), state, np.array([3.0]))
    leads = [solve_row(state, around, RowMargins(balance=b)) @ state[0] - 3.0 for b in (0.1, 0.5, 0.9)]
    assert leads == sorted(leads)
    assert leads[0] < 0 < leads[-1]


def test_a_document_without_a_query_gets_the_mean_row():
    _, around = problem(0)
    np.testing.assert_array_equal(solve_row(np.zeros((0, 40)), around), around.rows.mean(axis=0))


def test_wrong_margins_are_refused():
    for wrong in ({"margin": -1.0}, {"distance": -1.0}, {"balance": 1.0}, {"ridge": 0.0}, {"steps": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RowMargins(**wrong)


def test_a_solved_row_finds_its_document_where_a_fresh_one_does_not(fitted, held, monkeypatch):
    questions = asked(held, fitted.corpus, seed=7)  # other texts than the rows were solved with
    solved = hit_rate(insert(fitted, held), questions)
    monkeypatch.setattr("retrograd.updates.place.solve_rows", lambda *_, **__: {})
    assert hit_rate(insert(fitted, held), questions) < 0.1
    assert solved > 0.7


def test_each_addition_leaves_other_documents_their_queries(fitted, held):
    questions = asked(list(fitted.corpus), fitted.corpus, seed=7)
    before = first_answers(fitted, questions)
    changed = [
        np.mean(
            [a != b for a, b in zip(before, first_answers(insert(fitted, [one]), questions), strict=True)]
        )
        for one in held
    ]
    assert np.mean(changed) < 0.01


def test_a_row_depends_on_its_own_document_only(fitted, held):
    together = solve_rows(fitted, Corpus(held))
    backwards = solve_rows(fitted, Corpus(held[::-1]))
    for document in held:
        alone = solve_rows(fitted, Corpus([document]))[document.id][OUTPUT_ROW]
        assert alone.dtype == np.float32
        np.testing.assert_array_equal(together[document.id][OUTPUT_ROW], backwards[document.id][OUTPUT_ROW])
        np.testing.assert_allclose(
            together[document.id][OUTPUT_ROW], alone, atol=1e-4
        )  # another batch of the encoder


def test_the_same_document_gets_the_same_bytes(fitted, held, tmp_path):
    fitted.save(tmp_path / "again")
    one, again = (solve_rows(system, Corpus(held)) for system in (fitted, System.load(tmp_path / "again")))
    assert all(one[id][OUTPUT_ROW].tobytes() == again[id][OUTPUT_ROW].tobytes() for id in one)


def test_a_document_need_not_outdo_one_that_is_gone(fitted):
    old = fitted.corpus[3]
    twin = Document("twin", old.text, old.title)  # the same document under another id
    row, against = (
        solve_rows(fitted, Corpus([twin]), gone=gone)["twin"][OUTPUT_ROW] for gone in ([old.id], [])
    )
    rows = fitted.model.output_rows(0).detach().numpy()
    states = own_queries.first_states(fitted.model, [text for _, text in asked([old], fitted.corpus, seed=7)])
    assert ((states @ row) > (states @ np.delete(rows, 3, axis=0).T).max(axis=1)).mean() > 0.7
    assert np.linalg.norm(row - rows.mean(axis=0)) < np.linalg.norm(against - rows.mean(axis=0))


def test_own_queries_are_saved_with_the_system_and_made_again_without(fitted):
    kept = {name: fitted.parts.arrays.pop(name) for name in (own_queries.STATES, own_queries.DOCUMENTS)}
    made = own_queries.own_queries(fitted.recipe, fitted.parts)
    np.testing.assert_array_equal(made[own_queries.DOCUMENTS], kept[own_queries.DOCUMENTS])
    np.testing.assert_allclose(made[own_queries.STATES], kept[own_queries.STATES], atol=1e-5)


def test_systems_without_rows_learn_nothing(dataset, tmp_path):
    for name in ("bm25", "dsi_semantic"):
        system = fit(small(recipe(name)), dataset, tmp_path / name)
        assert solve_rows(system, Corpus([Document("new", "rain")])) == {}
        assert own_queries.own_queries(system.recipe, system.parts) == {}


def test_rows_survive_saving_and_loading(fitted, held, tmp_path):
    grown = insert(fitted, held)
    grown.save(tmp_path / "grown")
    questions = asked(held, fitted.corpus, seed=7)
    assert hit_rate(System.load(tmp_path / "grown"), questions) == hit_rate(grown, questions)


def test_tied_tables_are_solved_in_the_units_they_are_read(dataset, held, tmp_path):
    chosen = learnt_atomic()
    tied = replace(chosen, model=replace(chosen.model, tied=True))
    system = fit(tied, dataset.without({document.id for document in held}), tmp_path / "tied")
    texts = [dataset.corpus[1].text]
    inputs = system.model.encoder.collate(system.model.encoder.prepare(texts), np.arange(1))
    states = own_queries.first_states(system.model, texts)
    with torch.no_grad(), without_dropout(system.model):
        logits, _ = system.model.step(system.model.start(system.model.encode(inputs)))
        np.testing.assert_allclose(states @ system.model.output_rows(0).numpy().T, logits.numpy(), atol=1e-4)
    assert hit_rate(insert(system, held), asked(held, system.corpus, seed=7)) > 0.5

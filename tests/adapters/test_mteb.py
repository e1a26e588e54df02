"""MTEB runs its tasks on fitted systems, on recipes and on encoders, and measures the library's rankings."""

import numpy as np
import pytest

from retrograd.adapters.mteb import EncoderModel, SearchModel
from retrograd.data.runs import strictly_falling
from retrograd.errors import InputError
from retrograd.evaluation.measures import evaluate
from retrograd.recipes import recipe
from tests.adapters.systems import CORPUS, QUERIES, Changing, answers, fitted, without
from tests.small_systems import small

ROWS = [{"id": d.id, "text": d.text, "title": d.title} for d in CORPUS]
ASKED = [{"id": q.id, "text": q.text} for q in QUERIES]
QRELS = {"q1": {"d16": 1}, "q2": {"d5": 1, CORPUS[4].id: 2}, "q5": {CORPUS[3].id: 1}}


def told(**more):
    """What MTEB says beside the rows."""
    return {
        "task_metadata": None,
        "hf_split": "test",
        "hf_subset": "default",
        "encode_kwargs": {},
        "num_proc": None,
        **more,
    }


def ranked(found):
    """Document ids per query, by score."""
    return [sorted(found[q.id], key=found[q.id].get, reverse=True) for q in QUERIES]


@pytest.mark.parametrize("name", ["dense", "bm25", "hybrid", "ultron_pq"])
def test_rankings_of_a_fitted_system_are_the_librarys_own(name):
    model = SearchModel.of(fitted(name))
    model.index(ROWS, **told())
    found = model.search(ASKED, top_k=10, **told())
    ranking = fitted(name).search(QUERIES, k=10)
    assert ranked(found) == answers(ranking)
    for query, hits in ranking:
        assert list(found[query].values()) == [float(score) for score in strictly_falling(hits)]


def test_a_recipe_is_fitted_on_the_task():
    model = SearchModel.fitting(small(recipe("dense")))
    model.index(ROWS, **told())
    assert model.system.corpus.ids == CORPUS.ids
    assert ranked(model.search(ASKED, top_k=10, **told())) == answers(fitted("dense").search(QUERIES, k=10))
    model.index(ROWS[:7], **told())
    assert {d for some in ranked(model.search(ASKED, top_k=99, **told())) for d in some} == set(
        CORPUS.ids[:7]
    )


@pytest.mark.parametrize("name", ["dense", "bm25"])
def test_candidates_of_a_reranking_task_are_ranked_among_themselves(name):
    model = SearchModel.of(fitted(name))
    model.index(ROWS, **told())
    candidates = {q.id: [CORPUS.ids[row] for row in (3, 9, 16, 20)] + ["unknown"] for q in QUERIES[:2]}
    found = model.search(ASKED[:3], top_k=3, top_ranked=candidates, **told())
    everything = fitted(name).search(QUERIES[:2], k=len(CORPUS))
    for query, hits in everything:
        among = [hit.document for hit in hits if hit.document in candidates[query]][:3]
        assert sorted(found[query], key=found[query].get, reverse=True)[: len(among)] == among
    assert found["q3"] == {}


def test_fewer_are_returned_where_fewer_are_wanted():
    model = SearchModel.of(fitted("dense"), at_most=4)
    model.index(ROWS, **told())
    assert {len(hits) for hits in model.search(ASKED, top_k=1000, **told()).values()} == {4}
    assert model.search([], top_k=10, **told()) == {}


def test_an_instruction_goes_behind_the_query():
    model = SearchModel.of(fitted("dense"))
    model.index(ROWS, **told())
    asked = [{"id": "q", "text": "depth", "instruction": "of an image"}]
    found = model.search(asked, top_k=5, **told())
    assert list(found["q"]) == answers(fitted("dense").search(["depth of an image"], k=5))[0]


def test_another_tasks_documents_are_refused():
    model = SearchModel.of(fitted("dense"))
    with pytest.raises(InputError, match=r"index\(\) must be called"):
        model.search(ASKED, top_k=10, **told())
    other = [*ROWS[:-1], {"id": CORPUS.ids[-1], "text": "other words"}]
    for rows, wrong in ((ROWS[:-1], 1), (other, 1), ([{"id": "x", "text": "y"}], 41)):
        with pytest.raises(InputError, match=f"^{wrong} documents differ between the task"):
            model.index(rows, **told())
    with pytest.raises(InputError, match="no text under 'text'"):
        model.index([{"id": "a", "image": b""}], **told())


def test_a_live_system_answers_with_its_present_documents():
    live = Changing(fitted("dense"))
    model = SearchModel.of(live)
    model.index(ROWS, **told())
    live.system = without(live.system, "0")
    assert "0" not in model.search(ASKED, top_k=99, **told())["q1"]


def test_an_encoder_knows_queries_from_documents():
    model = EncoderModel(fitted("dual_encoder"))
    batches = [{"text": ["depth", "image"]}, {"text": ["film"]}]
    texts = ["depth", "image", "film"]
    own = fitted("dual_encoder").model
    np.testing.assert_array_equal(
        model.encode(batches, prompt_type="query", **told()), own.query_vectors(texts)
    )
    np.testing.assert_array_equal(model.encode(batches, **told()), own.document_vectors(texts))
    with pytest.raises(InputError, match="no document vectors"):
        EncoderModel(fitted("bm25"))


@pytest.fixture(scope="module")
def task():
    """A retrieval task of MTEB over the small collection, with no download in it."""
    mteb = pytest.importorskip("mteb", reason="mteb is not installed (extra mteb)")

    class Small(mteb.abstasks.AbsTaskRetrieval):
        metadata = mteb.TaskMetadata(
            name="Small",
            description="forty documents",
            dataset={"path": "none", "revision": "1"},
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, *args, **kwargs):
            self.queries = {"test": {q.id: q.text for q in QUERIES}}
            self.corpus = {"test": {d.id: {"title": d.title, "text": d.text} for d in CORPUS}}
            self.relevant_docs = {"test": QRELS}
            self.data_loaded = True

    return Small()


@pytest.mark.parametrize("of", ["system", "recipe", "encoder"])
def test_mteb_measures_what_the_library_measures(task, of):
    import mteb

    made = {
        "system": lambda: SearchModel.of(fitted("dense")),
        "recipe": lambda: SearchModel.fitting(small(recipe("dense"))),
        "encoder": lambda: EncoderModel(fitted("dense")),
    }
    model = made[of]()
    kind = mteb.models.EncoderProtocol if of == "encoder" else mteb.models.SearchProtocol
    assert isinstance(model, kind)
    assert model.mteb_model_meta.name == "retrograd/dense"
    result = mteb.evaluate(model, task, cache=None, co2_tracker=False, show_progress_bar=False)
    (measured,) = result.task_results[0].scores["test"]
    asked = [query for query in QUERIES if query.id in QRELS]
    own = evaluate(fitted("dense").search(asked, k=len(CORPUS)), QRELS, measures=("nDCG@10", "R@10")).mean
    assert measured["ndcg_at_10"] == pytest.approx(own["nDCG@10"], abs=1e-4)
    assert measured["recall_at_10"] == pytest.approx(own["R@10"], abs=1e-4)


def test_results_of_different_systems_are_told_apart():
    pytest.importorskip("mteb", reason="mteb is not installed (extra mteb)")
    systems = [fitted("dense"), without(fitted("dense"), "0"), fitted("dual_encoder")]
    revisions = [SearchModel.of(system).mteb_model_meta.revision for system in systems]
    recipes = [
        SearchModel.fitting(recipe(n), seed=s).mteb_model_meta.revision
        for n, s in (("dense", 0), ("dense", 1), ("bm25", 0))
    ]
    assert len({*revisions, *recipes}) == 6
    assert SearchModel.of(fitted("dense")).mteb_model_meta.revision == revisions[0]

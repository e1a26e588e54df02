"""A subject is collected from what a system can do; what it cannot is written down."""

import numpy as np
import pytest

import retrograd
from retrograd.evaluation.diagnostics.agreement import Relaxation
from retrograd.evaluation.diagnostics.report import Audience, Settings, diagnose
from retrograd.evaluation.diagnostics.subject import (
    CodeModel,
    search_in_parts,
    subject_of,
    subject_of_run,
)
from retrograd.recipes import RECIPES
from retrograd.types import Query, Ranking
from tests.evaluation.diagnostics.subjects import Codes
from tests.small_systems import small


@pytest.fixture(scope="module")
def dataset(tiny_data):
    return retrograd.load_dataset(tiny_data)


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("bm25", set(), {"isotropy", "ids", "gradients"}),
        ("dense", {"space"}, {"ids", "gradients"}),
        ("hybrid", {"space"}, {"ids", "gradients"}),
        ("dual_encoder", {"space", "metrics"}, {"ids"}),
        ("dsi_semantic", {"table", "metrics"}, {"isotropy", "code capacity and norms"}),
        ("ultron_pq", {"table", "codes", "code_space", "metrics"}, {"isotropy"}),
        ("dgi", {"space", "table", "codes", "code_space", "relaxation", "metrics"}, set()),
    ],
)
def test_each_kind_of_recipe_is_looked_at_as_far_as_it_goes(dataset, tmp_path, name, has, lacks):
    system = retrograd.fit(small(RECIPES[name]()), dataset, tmp_path / name)
    queries, qrels = dataset.split("dev_seen")
    subject = subject_of(system, name, queries, 5, seed=0)
    parts = ("space", "table", "codes", "code_space", "relaxation", "metrics")
    assert {part for part in parts if getattr(subject, part) is not None} == has
    assert all(any(line.startswith(what) for line in subject.lacks) for what in lacks)
    assert subject.ranking == system.search(queries, k=5)
    audience = Audience(document_ids=system.corpus.ids, qrels=qrels, popularity=dataset.popularity)
    found = diagnose(subject, audience, settings=Settings(k=5, draws=50))
    assert (found.capacity is not None) == ("code_space" in has)
    assert bool(found.isotropy) == ("space" in has)


def test_a_model_with_codes_is_asked_for_them_and_for_its_scale():
    torch = pytest.importorskip("torch")
    from retrograd.evaluation.diagnostics import subject as module
    from retrograd.quantizers.soft_residual import Scoring, SoftResidual

    class Model(Codes):
        def __init__(self, books):
            super().__init__(books)
            config = SoftResidual(scoring=Scoring(scale="per_level", initial_scale=20.0, cosine=False))
            self.quantizer = config.build(books)

    model = Model([np.eye(3, dtype=np.float32)] * 2)
    with torch.no_grad():
        model.quantizer.scores.log_scale[1] = np.log(5.0)
    assert isinstance(model, CodeModel)
    found = module._relaxation(model)
    assert found == Relaxation(scale=(pytest.approx(20), pytest.approx(5)), cosine=False)
    assert module._relaxation(Codes([])) is None
    model.quantizer = SoftResidual(gradient="ste").build([np.eye(3, dtype=np.float32)] * 2)
    assert module._relaxation(model) is None, "codes that were never soft have no relaxation"


def test_searching_in_parts_changes_no_answer(dataset, tmp_path):
    system = retrograd.fit(small(RECIPES["bm25"]()), dataset, tmp_path / "s")
    queries = [Query(f"x{n}", text) for n in range(150) for text in ("depth of an image",)]
    assert search_in_parts(system.searcher, queries, 3, "test") == system.search(queries, k=3)
    assert search_in_parts(system.searcher, [], 3, "test") == Ranking((), ())


def test_a_run_lacks_everything_but_lists():
    subject = subject_of_run("run", Ranking((), ()))
    assert (subject.space, subject.table, subject.codes, subject.metrics) == (None, None, None, None)
    assert len(subject.lacks) == 1

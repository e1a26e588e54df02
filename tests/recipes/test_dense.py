"""The frozen baseline is the plain thing: every text through the network alone, one matrix product."""

import numpy as np
import pytest

from retrograd.data.dataset import load_dataset
from retrograd.data.sample import sample_path
from retrograd.errors import ArtifactError
from retrograd.models.pretrained import WEIGHTS_SHA256, find_files
from retrograd.recipes import recipe
from retrograd.training.fit import fit


def test_dense_ranks_like_a_direct_network_and_a_matrix_product(tmp_path):
    parity = pytest.importorskip("benchmarks.parity", reason="the reference needs the development packages")
    try:
        find_files("auto", WEIGHTS_SHA256)
    except ArtifactError as error:
        pytest.skip(f"no MiniLM weights here: {error}")
    dataset = load_dataset(sample_path("apibench"))
    dataset = dataset.subset(dataset.corpus.ids[::8])
    queries = list(dataset.queries.values())[::40]
    ranking = fit(recipe("dense"), dataset, tmp_path / "dense").search(queries, 100)
    places, unexplained = parity.ranking_differences(dataset, queries, ranking)
    assert unexplained == 0
    assert places <= 2, "only neighbours closer than rounding may change places"


def test_the_comparison_would_notice_a_wrong_ranking(monkeypatch, tmp_path, tiny_data):
    parity = pytest.importorskip("benchmarks.parity", reason="the reference needs the development packages")
    dataset = load_dataset(tiny_data)
    queries = list(dataset.queries.values())[:5]
    ranking = fit(recipe("bm25"), dataset, tmp_path / "bm25").search(queries, 10)
    draw = np.random.default_rng(0)
    monkeypatch.setattr(parity, "reference_vectors", lambda texts: draw.normal(size=(len(texts), 4)))
    places, unexplained = parity.ranking_differences(dataset, queries, ranking)
    assert places > 0
    assert unexplained > 0

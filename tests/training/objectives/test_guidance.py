"""A teacher's lists through the index: mass lands on the right nodes, and both learners follow it."""

import numpy as np
import pytest
import torch

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.dual_encoder import DualEncoder
from retrograd.models.geometric_decoder import LevelNetworks
from retrograd.models.geometric_index import GeometricIndex
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.quantizers.codebooks import codebooks_to_state
from retrograd.training.batches import Batch
from retrograd.training.objectives.guidance import GuidedIndexing

D = 4
VECTORS = np.random.default_rng(1).standard_normal((9, D)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    books = tuple(rng.standard_normal((size, D)).astype(np.float32) for size in (3, 3))
    table = DocidTable.from_keys([[0, 0]], [0], ["a"], level_sizes=(3, 3), state=codebooks_to_state(books))
    space = DualEncoder(encoder=TfidfSvd(dimensions=D), dropout=0.0)
    config = GeometricIndex(space=space, decoder=LevelNetworks(hidden=16), heads="copied", router=8)
    return config.build(
        config.fit(["red fox", "green bird sings", "lazy dog", "blue whale", "old owl"]), table
    )


def batch(lists, scores):
    rows = torch.tensor(lists)
    vectors = torch.from_numpy(VECTORS)[: len(rows)]
    return Batch({"vectors": vectors}, rows[:, 0], lists=rows, list_scores=torch.tensor(scores))


def begun(model, objective=None):
    (objective or GuidedIndexing()).begin(model, lambda: VECTORS, 0)
    return model


def test_the_routing_loss_is_the_cross_entropy_of_the_mass_on_each_level(model):
    begun(model)
    given = batch([[4, 7, 2], [1, 0, -1]], [[2.0, 1.0, 0.0], [0.5, 0.5, 9.0]])
    terms = GuidedIndexing(next_code=0.0)(model, given)
    assert set(terms) == {"routing"}
    mass = [np.exp([2.0, 1.0, 0.0]), np.exp([0.5, 0.5])]
    expected = 0.0
    for level, centroids in enumerate(model.nodes.centroids):
        logits = 20 * given.inputs["vectors"].numpy() @ centroids.numpy().T
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        for query, (listed, weight) in enumerate(zip(([4, 7, 2], [1, 0]), mass, strict=True)):
            nodes = model.nodes.of_document[:, level].numpy()[listed]
            expected -= (weight / weight.sum() * log_p[query][nodes]).sum() / 2
    assert terms["routing"].item() == pytest.approx(expected, rel=1e-4)


def test_the_next_code_is_judged_by_all_documents_that_share_the_way(model):
    begun(model)
    certain = batch([[4], [1]], [[0.0], [0.0]])
    found = GuidedIndexing(routing=0.0)(model, certain)["next_code"].item()
    codes = model.nodes.codes[certain.lists[:, 0]]
    memory = model.encode(certain.inputs)
    scores = model.code_scores(memory, model.quantizer.lookup(codes).cumsum(dim=1))
    losses = [torch.nn.functional.cross_entropy(s, codes[:, at]).item() for at, s in enumerate(scores)]
    assert found == pytest.approx(sum(losses), rel=1e-5)


def test_learning_moves_mass_to_where_the_teacher_put_it(model):
    begun(model).train()
    given = batch([[8, 3], [5, 6], [0, 2]], [[3.0, 1.0], [2.0, 2.0], [1.0, 0.0]])
    learning = [
        weight for name, weight in model.named_parameters() if not name.startswith(("space", "quantizer"))
    ]
    optimiser = torch.optim.Adam(learning, lr=1e-2)
    totals = []
    for step in range(40):
        torch.manual_seed(step)
        terms = GuidedIndexing()(model, given)
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
        totals.append({name: term.item() for name, term in terms.items()})
    assert all(totals[-1][name] < totals[0][name] for name in ("routing", "next_code"))


def test_codes_stay_unless_they_are_to_restart(model):
    before = model.codebooks
    begun(model, GuidedIndexing(restart=False))
    assert all(np.array_equal(old, new) for old, new in zip(before, model.codebooks, strict=True))
    begun(model, GuidedIndexing(restart=True))
    assert not np.array_equal(before[0], model.codebooks[0])
    assert np.array_equal(model.nodes.codes.numpy(), model.document_codes(VECTORS))


def test_examples_without_lists_are_refused(model):
    with pytest.raises(InputError, match="TeacherLists"):
        GuidedIndexing()(begun(model), Batch({"vectors": torch.zeros(1, D)}, torch.tensor([0])))
    with pytest.raises(ValueError, match="temperature"):
        GuidedIndexing(temperature=0.0)

"""The joint objective against plain float64 arithmetic, its schedules, and what a fixed index leaves out."""

from math import exp

import numpy as np
import pytest
import torch

from retrograd.docid_table import DocidTable
from retrograd.models.dual_encoder import DualEncoder
from retrograd.models.geometric_decoder import LevelNetworks
from retrograd.models.geometric_index import GeometricIndex
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.quantizers.codebooks import codebooks_to_state
from retrograd.training.batches import Batch
from retrograd.training.objectives.indexing import JointIndexing

D, SIZES = 4, (5, 3)
TEXTS = ["red fox", "green bird sings", "lazy dog runs", "blue whale", "old owl"]


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    books = tuple(rng.standard_normal((size, D)).astype(np.float32) for size in SIZES)
    table = DocidTable.from_keys([[0, 0]], [0], ["a"], level_sizes=SIZES, state=codebooks_to_state(books))
    space = DualEncoder(encoder=TfidfSvd(dimensions=D), dropout=0.0)
    config = GeometricIndex(space=space, decoder=LevelNetworks(hidden=6))
    built = config.build(config.fit(TEXTS), table, 0)
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in built.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return built.double()


def batch(rows, progress=0.0, keys=None, relevant=None):
    vectors = torch.tensor(np.random.default_rng(1).standard_normal((5, D)))
    return Batch(
        {"vectors": vectors[: len(rows)] + 1},
        torch.tensor(rows),
        keys=keys,
        relevant=relevant,
        document_inputs=lambda wanted: {"vectors": vectors[wanted]},
        progress=progress,
    )


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def reference(model, batch):
    """Equations 6, 7, 10 and 16 to 20 without noise, in numpy."""
    q, z = (
        tower.detach().numpy()
        for tower in (
            model.embed_queries(batch.inputs),
            model.embed_documents(batch.document_inputs(batch.documents)),
        )
    )
    books = [book.detach().numpy() for book in model.quantizer.codebooks]
    gamma_q = exp(float(model.quantizer.scores.log_scale.detach()))
    gamma_d = exp(float(model.scores.log_scale.detach()))
    tau = JointIndexing().schedule(batch.progress)[0]
    residual, total, inputs = z.copy(), np.zeros_like(z), [q]
    ntp = local = diversity = 0.0
    for level, book in enumerate(books):
        scores = gamma_q * unit(residual) @ unit(book).T
        p = np.exp(scores / tau - (scores / tau).max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        code = scores.argmax(1)
        network = model.body.levels[level]
        hidden = network(torch.tensor(np.concatenate([inputs[-1], q], axis=1))).detach().numpy() + q - total
        logits = gamma_d * unit(hidden) @ unit(book).T
        ntp -= (logits - np.log(np.exp(logits).sum(1, keepdims=True)))[np.arange(len(q)), code].mean()
        local += 1.25 * ((residual - book[code]) ** 2).sum(1).mean()
        usage = p.mean(0)
        diversity += (usage * np.log(usage + 1e-8)).sum()
        residual = residual - p @ book
        total = total + p @ book
        inputs.append(q + total)
    cosines = unit(q) @ unit(z).T / 0.05
    contrast = -(np.diag(cosines) - np.log(np.exp(cosines).sum(1))).mean()
    angle = (1 - (unit(z) * unit(total)).sum(1)).mean()
    return {
        "next_code": ntp,
        "reconstruction": angle,
        "commitment": local,
        "contrastive": contrast,
        "diversity": diversity,
    }


@pytest.mark.parametrize("progress", [0.0, 0.6])
def test_every_term_is_its_formula(model, progress):
    given = batch([3, 0, 4], progress)
    terms = JointIndexing(noise=0.0)(model, given)
    expected = reference(model, given)
    assert set(terms) == set(expected)
    for name, term in terms.items():
        assert term.item() == pytest.approx(expected[name], rel=1e-6), name  # losses add up in float32


def test_weights_scale_terms_and_zero_leaves_them_out(model):
    given = batch([3, 0, 4])
    plain = JointIndexing(noise=0.0)(model, given)
    weighted = JointIndexing(noise=0.0, next_code=2.0, diversity=0.0)(model, given)
    assert weighted["next_code"].item() == pytest.approx(2 * plain["next_code"].item())
    assert "diversity" not in weighted


def test_a_document_asked_for_twice_is_its_own_negative_unless_masked(model):
    given = batch([3, 3, 3])
    literal = JointIndexing()(model, given)["contrastive"].item()
    masked = JointIndexing(mask_duplicates=True)(model, given)["contrastive"].item()
    assert masked == pytest.approx(0.0, abs=1e-9)
    assert literal == pytest.approx(np.log(3), rel=1e-6)


def test_temperature_falls_exponentially_and_noise_as_told():
    objective = JointIndexing(noise_decay="linear")
    assert objective.schedule(0.0) == (1.0, 1.0)
    temperature, noise = objective.schedule(0.5)
    assert (temperature, noise) == (pytest.approx(0.1**0.5), 0.5)
    assert JointIndexing(noise_decay="cosine").schedule(0.5)[1] == pytest.approx(0.5)
    assert JointIndexing().schedule(0.9)[1] == 1.0


def test_fixed_ids_are_learnt_as_they_stand(model):
    keys = torch.tensor([[0, 1], [4, 2], [2, 0]])
    terms = JointIndexing(targets="table")(model, batch([3, 0, 4], keys=keys))
    assert set(terms) == {"contrastive", "next_code"}


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="noise_decay"):
        JointIndexing(noise_decay="sudden")
    with pytest.raises(ValueError, match="targets"):
        JointIndexing(targets="dreams")
    with pytest.raises(ValueError, match="temperatures"):
        JointIndexing(temperature_end=0.0)

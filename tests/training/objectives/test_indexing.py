"""The joint objective against plain float64 arithmetic, its schedules, and what a fixed index leaves out."""

from math import exp

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
from retrograd.quantizers.learned_tokens import LearnedTokens
from retrograd.quantizers.soft_residual import SoftResidual
from retrograd.training.batches import Batch
from retrograd.training.objectives.indexing import JointIndexing

D, SIZES = 4, (5, 3)
TEXTS = ["red fox", "green bird sings", "lazy dog runs", "blue whale", "old owl"]


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path))
    return index()


def index(**choices):
    rng = np.random.default_rng(0)
    books = tuple(rng.standard_normal((size, D)).astype(np.float32) for size in SIZES)
    table = DocidTable.from_keys([[0, 0]], [0], ["a"], level_sizes=SIZES, state=codebooks_to_state(books))
    space = DualEncoder(encoder=TfidfSvd(dimensions=D), dropout=0.0)
    config = GeometricIndex(space=space, decoder=LevelNetworks(hidden=6), **choices)
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


def test_a_learnt_temperature_is_the_inverse_of_the_spaces_scale(model):
    with torch.no_grad():
        model.space.log_scale.fill_(np.log(20.0))
    for contrast in ("vector", "parts"):
        learnt = JointIndexing(contrastive_temperature=0.0, noise=0.0, contrast=contrast)
        fixed = JointIndexing(contrastive_temperature=0.05, noise=0.0, contrast=contrast)
        found, expected = (one(model, batch([3, 0, 4]))["contrastive"] for one in (learnt, fixed))
        assert found.item() == pytest.approx(expected.item())
        model.space.log_scale.grad = None
        found.backward()
        assert model.space.log_scale.grad.abs() > 0


@pytest.mark.parametrize("quantizer", [SoftResidual(), LearnedTokens()], ids=["soft", "tokens"])
@pytest.mark.parametrize("mask", [False, True])
def test_parts_are_set_against_the_request_sum_by_sum(model, quantizer, mask):
    del model  # its cache
    model, given = index(quantizer=quantizer), batch([3, 0, 3])
    objective = JointIndexing(contrast="parts", noise=0.0, mask_duplicates=mask)
    found = objective(model, given)["contrastive"].item()
    queries = model.embed_queries(given.inputs).detach().numpy()
    documents = model.embed_documents(given.document_inputs(given.documents))
    parts = model.quantise(documents, temperature=1.0, noise=0.0).parts.detach().numpy()
    expected = 0.0
    for level in range(len(SIZES)):
        sums = unit(parts[:, : level + 1].sum(axis=1))
        scores = np.exp(queries @ sums.T / 0.05)
        if mask:  # rows 0 and 2 ask for the same document: it stands among the candidates once
            scores[:, 2] = 0
        expected -= np.log(scores[range(3), [0, 1, 0 if mask else 2]] / scores.sum(1)).mean()
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_objective_of_learnt_tokens_reaches_all_they_are_made_of(model):
    del model
    model = index(quantizer=LearnedTokens()).train()
    objective = JointIndexing(contrast="parts", reconstruction=0.0, diversity=0.0)
    terms = objective(model, batch([3, 0, 4]))
    assert set(terms) == {"contrastive", "next_code", "commitment"}
    torch.stack(list(terms.values())).sum().backward()
    for weight in (*model.quantizer.mixes, *model.quantizer.maps.parameters()):
        assert weight.grad.abs().max() > 0
    assert model.space.towers.document_head.change[-1].weight.grad.abs().max() > 0


def test_popularity_is_given_to_the_loss_so_that_the_scores_need_not_learn_it(model):
    del model
    model, keys = index(usage_decay=0.75).train(), torch.tensor([[0, 1], [0, 2], [2, 0]])
    given = batch([3, 0, 4], keys=keys)
    objective = JointIndexing(targets="table", popularity=0.5)
    found = objective(model, given)["next_code"].item()
    prefixes = model.quantizer.lookup(keys).cumsum(dim=1)
    scores = [level.detach().numpy() for level in model.code_scores(model.encode(given.inputs), prefixes)]
    expected = 0.0
    for level, size in enumerate(SIZES):
        counts = np.bincount(keys[:, level].numpy(), minlength=size)
        shares = 0.75 / size + 0.25 * counts / 3
        logits = scores[level] + 0.5 * np.log(shares + 1e-8)
        chosen = logits[range(3), keys[:, level].numpy()]
        expected += (np.log(np.exp(logits).sum(1)) - chosen).mean()
        np.testing.assert_allclose(model.wanted.eval()([])[level], shares, rtol=1e-6)
    assert found == pytest.approx(expected, rel=1e-6)


def test_running_usage_has_its_own_value_and_the_gradient_of_the_batch(model):
    del model
    model, given = index(usage_decay=0.75).train(), batch([3, 0, 4])
    objective = JointIndexing(noise=0.0, usage="running")
    vectors = model.embed_documents(given.document_inputs(torch.unique(given.documents)))
    usage = model.quantise(vectors, temperature=1.0, noise=0.0).usage
    expected, slopes = 0.0, []
    for size, now in zip(SIZES, usage, strict=True):
        mean = 0.75 / size + 0.25 * now.detach()
        expected += float((mean * (mean + 1e-8).log()).sum())
        slopes.append((mean + 1e-8).log() + mean / (mean + 1e-8))
    weights = list(model.quantizer.codebooks)
    by_hand = torch.autograd.grad(sum((s * u).sum() for s, u in zip(slopes, usage, strict=True)), weights)
    found = objective(model, given)["diversity"]
    assert found.item() == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(torch.autograd.grad(found, weights), by_hand, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("wish", [{"popularity": 1.0}, {"usage": "running"}])
def test_settings_that_need_running_shares_say_so(model, wish):
    with pytest.raises(InputError, match="usage_decay"):
        JointIndexing(**wish)(model, batch([3, 0, 4]))


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
    with pytest.raises(ValueError, match="contrast"):
        JointIndexing(contrast="whole")
    with pytest.raises(ValueError, match="fixed index"):
        JointIndexing(targets="table", contrast="parts")

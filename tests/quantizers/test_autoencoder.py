"""Residual codes of an autoencoder: what it learns, dead codes, and its loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from retrograd.errors import ArtifactError, InputError
from retrograd.quantizers.autoencoder import AutoencoderQuantizer, ResidualAutoencoder, _Learner

RNG = np.random.default_rng(0)
PLANE = (RNG.normal(size=(300, 2)) @ RNG.normal(size=(2, 12)) * 5 + 7).astype(np.float32)
"""Vectors of two degrees of freedom, neither centred nor scaled."""

SMALL = ResidualAutoencoder(hidden=(32,), width=4, epochs=300, learning_rate=5e-3)


def lost(quantizer, vectors):
    error = np.square(quantizer.decode(quantizer.encode(vectors)) - vectors).sum(axis=1).mean()
    return error / vectors.var(axis=0).sum()


def test_it_learns_to_reconstruct_what_few_codes_can_say():
    fitted = SMALL.fit(PLANE, 3, 16, seed=0)
    brief = ResidualAutoencoder(hidden=(32,), width=4, epochs=1).fit(PLANE, 3, 16, seed=0)
    assert lost(fitted, PLANE) < 0.05
    assert lost(fitted, PLANE) < lost(brief, PLANE) / 5


def test_units_of_the_vectors_do_not_matter():
    factors = np.geomspace(1e-2, 1e2, 12).astype(np.float32)
    brief = replace(SMALL, epochs=5)  # longer, and rounding grows
    one, two = (brief.fit(vectors, 2, 8, seed=0) for vectors in (PLANE, PLANE * factors))
    same = (one.encode(PLANE) == two.encode(PLANE * factors)).mean()
    assert same > 0.95


def test_codes_that_nothing_is_assigned_to_start_again_at_what_is_left():
    torch.manual_seed(0)
    learner = _Learner(SMALL, 12)
    inputs = torch.randn(40, 12)
    learner.start(inputs, (4, 4), seed=0)
    with torch.no_grad():
        learner.codebooks[0][1] = 1e6
    before = learner.codebooks[0].detach().clone()
    used = [torch.tensor([True, False, True, True]), torch.ones(4, dtype=torch.bool)]
    learner.restart(inputs, used)
    after = learner.codebooks[0].detach()
    assert torch.equal(after[used[0]], before[used[0]])
    with torch.no_grad():
        latent = learner.encoder(inputs)
    assert (latent == after[1]).all(dim=1).any()


def test_all_codes_are_in_use_where_there_is_enough_to_say():
    noise = np.random.default_rng(1).normal(size=(600, 12)).astype(np.float32)
    codes = SMALL.fit(noise, 2, 16, seed=0).encode(noise)
    assert [len(np.unique(level)) for level in codes.T] == [16, 16]


def test_the_loss_is_that_of_the_paper():
    """Squared error, and per level the codebook term and .25 of the commitment, each a mean over vectors."""
    torch.manual_seed(0)
    learner, inputs = _Learner(SMALL, 12), torch.randn(9, 12)
    learner.start(inputs, (3, 2), seed=0)
    _, pulled, codes = learner(inputs)
    residual, expected = learner.encoder(inputs), 0.0
    for book, code in zip(learner.codebooks, codes, strict=True):
        gap = ((residual - book[code]) ** 2).sum(dim=1)
        assert torch.equal(code, torch.cdist(residual, book).argmin(dim=1))
        expected += (1 + 0.25) * gap.mean()
        residual = residual - book[code]
    torch.testing.assert_close(pulled, expected)


def test_the_decoder_gradient_reaches_the_encoder_straight_through():
    learner, inputs = _Learner(SMALL, 12), torch.randn(9, 12)
    learner.start(inputs, (3, 2), seed=0)
    reconstruction, _, _ = learner(inputs)
    gradient = torch.autograd.grad(reconstruction.sum(), learner.encoder[0].weight)[0]
    assert gradient.abs().sum() > 0


def test_a_state_without_its_networks_is_refused():
    state = SMALL.fit(PLANE[:20], 1, 4, seed=0).state()
    for name in ("encoder.0", "spread"):
        with pytest.raises(ArtifactError, match="networks are missing"):
            AutoencoderQuantizer.from_state({k: v for k, v in state.items() if not k.startswith(name[:7])})


@pytest.mark.parametrize(
    "settings", [{"width": 0}, {"hidden": (8, 0)}, {"reset_every": -1}, {"learning_rate": 0.0}, {"epochs": 0}]
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(InputError):
        ResidualAutoencoder(**settings)


def told(quantizer, vectors, companions):
    """Mean rank, as a share, of a vector's own companion by inner product with what its codes stand for."""
    centred = companions - companions.mean(axis=0)
    scores = quantizer.inner.decode(quantizer.encode(vectors)) @ centred.T
    return (scores > scores.diagonal()[:, None]).mean()


COMPANIONS = np.random.default_rng(5).normal(size=(300, 4)).astype(np.float32)


def test_aligned_codes_tell_which_companion_belongs_to_a_vector():
    rest = np.random.default_rng(6).normal(size=(300, 8)).astype(np.float32)
    vectors = np.concatenate([COMPANIONS, rest], axis=1)
    plain = SMALL.fit(vectors, 2, 16, seed=0)
    aligned = replace(SMALL, alignment=20.0).fit(vectors, 2, 16, seed=0, companions=COMPANIONS)
    assert told(aligned, vectors, COMPANIONS) < 0.1
    assert told(plain, vectors, COMPANIONS) > 0.3


def test_mean_and_scale_of_companions_do_not_matter():
    brief = replace(SMALL, epochs=5, alignment=1.0)
    one = brief.fit(PLANE, 2, 8, seed=0, companions=COMPANIONS)
    two = brief.fit(PLANE, 2, 8, seed=0, companions=8 * COMPANIONS + 1)
    assert (one.encode(PLANE) == two.encode(PLANE)).mean() > 0.95


def test_vectors_without_a_companion_are_told_nothing():
    torch.manual_seed(0)
    learner, quantised = _Learner(SMALL, 12), torch.randn(5, 4)
    companions = torch.randn(5, 4)
    companions[[1, 3]] = 0
    scores = (quantised @ companions.T)[[0, 2, 4]][:, [0, 2, 4]].double()
    expected = -scores.log_softmax(dim=1).diagonal().mean()
    assert learner.aligned(quantised, companions).item() == pytest.approx(expected.item(), abs=1e-5)
    assert learner.aligned(quantised, torch.zeros(5, 4)).item() == 0


@pytest.mark.parametrize("companions", [None, COMPANIONS[:, :3], COMPANIONS[:9]])
def test_companions_that_are_missing_or_do_not_fit_are_refused(companions):
    with pytest.raises(InputError, match="alignment needs companions of shape"):
        replace(SMALL, alignment=1.0).fit(PLANE, 2, 8, seed=0, companions=companions)


def test_friends_are_other_codes_of_the_same_cluster():
    torch.manual_seed(0)
    learner = _Learner(replace(SMALL, clusters=2), 12)
    book = torch.cat([torch.randn(3, 4) + 9, torch.randn(3, 4) - 9])
    learner.codebooks.append(torch.nn.Parameter(book))
    learner.regroup((0,))
    (groups,) = learner.groups
    assert groups.unique(return_counts=True)[1].tolist() == [3, 3]
    assert len(groups[:3].unique()) == 1
    learner.groups = [torch.tensor([0, 0, 1, 2, 2, 2])]
    expected = torch.log(sum(torch.exp(book[0] @ book[other] - book[0] @ book[1]) for other in range(1, 6)))
    torch.testing.assert_close(learner.spread([torch.tensor([0, 2])]), expected)  # the third is alone


def test_with_diversity_codes_tell_others_of_their_cluster_better():
    noise = np.random.default_rng(1).normal(size=(300, 12)).astype(np.float32)
    costs = []
    for weight in (0.0, 3.0):
        chosen = replace(SMALL, epochs=60, diversity=weight, clusters=4)
        learner = _Learner(chosen, 12)
        book = chosen.fit(noise, 1, 16, seed=0).codebooks[0]
        learner.codebooks.append(torch.nn.Parameter(torch.from_numpy(book)))
        learner.regroup((0,))
        torch.manual_seed(0)
        costs.append(learner.spread([torch.arange(16).repeat(50)]).item())
    assert costs[1] < costs[0] - 0.1

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

import numpy as np
import pytest
import torch

from retrograd.models.text_encoder import TfidfSvd
from retrograd.models.token_states import TokenStates
from tests.models.tiny_bert import TEXTS


def memory_of(module, rows):
    return module(module.collate(module.prepare(TEXTS), np.array(rows)))


def test_frozen_and_trainable_start_with_the_same_memory(tiny):
    frozen = TokenStates(encoder=tiny, width=6, max_tokens=12).build({}, seed=3).eval()
    trained = TokenStates(encoder=tiny, width=6, max_tokens=12, trainable=True).build({}, seed=3).eval()
    one, two = memory_of(frozen, [5, 1, 2]), memory_of(trained, [5, 1, 2])
    assert one.states.shape == (3, 1 + 12, 6)
    assert torch.equal(one.where, two.where)
    torch.testing.assert_close(one.states[one.where], two.states[two.where], atol=1e-2, rtol=0)
    assert one.where.sum(1).tolist() == [13, 1 + 10, 1 + 2]
    assert frozen.fingerprint == trained.fingerprint


@pytest.mark.parametrize("trainable", [False, True])
def test_padding_changes_nothing(tiny, trainable):
    module = TokenStates(encoder=tiny, width=6, trainable=trainable).build({}).eval()
    alone, padded = memory_of(module, [0]), memory_of(module, [0, 5])
    torch.testing.assert_close(padded.states[0][padded.where[0]], alone.states[0], atol=1e-4, rtol=0)


def test_only_what_learns_is_saved(tiny):
    frozen = TokenStates(encoder=tiny).build({})
    assert set(frozen.state_dict()) == {"project.linear.weight", "project.norm.weight"}
    assert frozen.prepare(TEXTS).values.dtype == np.float16
    trained = TokenStates(encoder=tiny, trainable=True).build({})
    memory_of(trained, [0, 1]).states.sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in trained.bert.parameters())


def test_an_encoder_without_tokens_is_refused():
    with pytest.raises(TypeError, match="TfidfSvd has no token states"):
        TokenStates(encoder=TfidfSvd())


@pytest.mark.parametrize("wrong", [{"width": 0}, {"dropout": 1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TokenStates(**wrong)

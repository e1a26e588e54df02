import numpy as np
import torch

from retrograd.models.trainable_bert import TrainableBert
from tests.models.tiny_bert import TEXTS


def test_the_copy_starts_equal_and_learns_alone(tiny):
    encoder = tiny.build({})
    before = encoder.encode_query(TEXTS)
    bert = TrainableBert(encoder, dropout=0.0)
    batch = bert.collate(bert.prepare(TEXTS), np.array([1, 0]))
    states = bert(batch)
    wanted, where = encoder.token_states(TEXTS).padded(np.array([1, 0]))
    torch.testing.assert_close(states[where], wanted[where].float(), atol=5e-3, rtol=0)
    states.sum().backward()
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter -= parameter.grad if parameter.grad is not None else 0
    np.testing.assert_array_equal(encoder.encode_query(TEXTS), before)


def test_dropout_acts_in_training_only(tiny):
    bert = TrainableBert(tiny.build({}), dropout=0.5)
    batch = bert.collate(bert.prepare(TEXTS), np.array([0]))
    assert not torch.equal(bert.train()(batch), bert(batch))
    assert torch.equal(bert.eval()(batch), bert(batch))

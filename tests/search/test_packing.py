"""Packed weights follow the model: a change is seen, and without one nothing is packed again."""

import pytest
import torch

from retrograd.constraints import CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.models.encoder_decoder import EncoderDecoder
from retrograd.models.token_input import TokenInput
from retrograd.native import find
from retrograd.search.beam import beam_search
from retrograd.search.engine import search_keys
from retrograd.search.packing import native_decoder, native_encoder, native_trie
from tests.catalogues import random_inputs, random_model

pytestmark = pytest.mark.skipif(isinstance(find(), str), reason=f"no compiled core: {find()}")
TABLE = DocidTable.from_keys([[0, 1], [1, 0], [1, 2]], [0, 1, 2], ["a", "b", "c"], level_sizes=(4, 4))


def test_a_changed_weight_is_seen_and_an_unchanged_one_is_not_packed_again():
    model, trie, inputs = random_model(TABLE, 0), CsrTrie.from_table(TABLE), random_inputs(2, 0)
    before = search_keys(model, inputs, trie, width=3, engine="native")
    assert native_decoder(model) is native_decoder(model)
    assert native_trie(trie) is native_trie(trie)
    changes = [
        lambda: model.output.mul_(2),
        lambda: model.decoder.feed_forward[1].wide.add_(0.5),
        lambda: model.decoder.positions.weight.add_(torch.randn(model.decoder.positions.weight.shape)),
        lambda: model.load_state_dict(random_model(TABLE, 1).state_dict()),
        lambda: model.resize((5, 6)),
    ]
    for change in changes:
        with torch.no_grad():
            change()
        after = search_keys(model, inputs, trie, width=3, engine="native")
        torch.testing.assert_close(
            after.scores, beam_search(model, inputs, trie, width=3).scores, atol=1e-4, rtol=1e-4
        )
        assert not torch.allclose(after.scores, before.scores, atol=1e-6)
        before = after


def test_an_encoder_of_tokens_is_packed_too_and_answers_the_same():
    config = EncoderDecoder(encoder=TokenInput(width=16, layers=2, heads=2, vocab_size=60), layers=1, heads=2)
    model = config.build(config.fit(["red boat", "blue house"] * 9), TABLE).eval()
    trie, encoder = CsrTrie.from_table(TABLE), model.encoder
    prepared = model.prepare(["red", "a blue boat and a house", ""])
    inputs = model.collate(prepared, torch.arange(3).numpy())
    for _ in range(2):
        found, expected = (
            search_keys(model, inputs, trie, width=3, engine=engine) for engine in ("native", "torch")
        )
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=1e-4)
        packed = native_encoder(encoder)
        assert native_encoder(encoder) is packed
        with torch.no_grad():
            encoder.embedding.mul_(0.5)
            encoder.stack.attention[1].qkv.add_(0.1)
        assert native_encoder(encoder) is not packed

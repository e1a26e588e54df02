"""A T5 folder gives the same logits in our blocks as in the library that wrote it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from retrograd.docid_table import DocidTable
from retrograd.errors import ArtifactError
from retrograd.models.encoder_decoder import EncoderDecoder
from retrograd.models.hf import T5Input, export_t5, load_t5

transformers = pytest.importorskip("transformers")

KINDS = ("relu", "gated-gelu")
TEXTS = ["w2 w3 w4 w5", "w6", "w7 w8"]
KEYS = torch.tensor([[5, 6, 7], [8, 9, 10], [11, 59, 2]])


def write_t5(folder: Path, kind: str) -> object:
    """A random T5 of the given feed-forward kind, saved with a whitespace tokenizer."""
    torch.manual_seed(0)
    network = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=60,
            d_model=16,
            d_kv=6,
            d_ff=32,
            num_layers=2,
            num_decoder_layers=3,
            num_heads=4,
            feed_forward_proj=kind,
            tie_word_embeddings=kind == "relu",
            decoder_start_token_id=0,
        )
    ).eval()
    if kind == "gated-gelu":
        network.lm_head.weight = torch.nn.Parameter(torch.randn(60, 16))
    network.save_pretrained(folder)
    words = {"<pad>": 0, "</s>": 1} | {f"w{i}": i for i in range(2, 60)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    return network


def their_logits(network: object, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    begin = torch.zeros(len(KEYS), 1, dtype=torch.int64)
    return network(  # type: ignore[operator]
        input_ids=batch["tokens"],
        attention_mask=batch["where"].long(),
        decoder_input_ids=torch.cat([begin, KEYS[:, :-1]], 1),
    ).logits


@pytest.mark.parametrize("kind", KINDS)
def test_logits_match_the_library_that_wrote_the_folder(tmp_path, kind):
    network = write_t5(tmp_path, kind)
    model = load_t5(tmp_path, depth=3).eval()
    batch = model.encoder.collate(model.encoder.prepare(TEXTS), np.arange(3))
    torch.testing.assert_close(model.logits(batch, KEYS), their_logits(network, batch), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_exported_loads_there_with_the_same_logits(tmp_path, kind):
    write_t5(tmp_path / "one", kind)
    model = load_t5(tmp_path / "one", depth=3).eval()
    with torch.no_grad():  # as after training
        for parameter in model.decoder.parameters():
            parameter += 0.01
    export_t5(model, tmp_path / "two")
    network = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path / "two").eval()
    batch = model.encoder.collate(model.encoder.prepare(TEXTS), np.arange(3))
    torch.testing.assert_close(model.logits(batch, KEYS), their_logits(network, batch), atol=1e-4, rtol=1e-4)
    again = load_t5(tmp_path / "two", depth=3).eval()
    torch.testing.assert_close(again.logits(batch, KEYS), model.logits(batch, KEYS))


def test_a_pretrained_encoder_serves_our_decoder_and_outlives_its_folder(tmp_path):
    write_t5(tmp_path / "t5", "relu")
    config = EncoderDecoder(encoder=T5Input(folder=str(tmp_path / "t5")), layers=1, heads=2)
    table = DocidTable.from_keys([[0, 1], [1, 0]], [0, 1], ["a", "b"], level_sizes=(2, 2))
    state = config.fit(TEXTS)
    model = config.build(state, table).eval()
    (tmp_path / "t5").rename(tmp_path / "gone")
    copy = config.build(state, table).eval()
    copy.load_state_dict(model.state_dict())
    batch = model.encoder.collate(model.encoder.prepare(TEXTS), np.arange(3))
    keys = torch.tensor([[0, 1]] * 3)
    assert torch.equal(copy.logits(batch, keys), model.logits(batch, keys))


def test_a_folder_that_is_no_t5_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_t5(tmp_path, depth=1)
    write_t5(tmp_path, "relu")
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(ArtifactError, match="safetensors"):
        load_t5(tmp_path, depth=1)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ArtifactError, match="T5"):
        load_t5(tmp_path, depth=1)


def test_a_model_no_t5_can_hold_is_not_exported(tmp_path):
    write_t5(tmp_path, "relu")
    model = load_t5(tmp_path, depth=2)
    with torch.no_grad():
        model.encoder.embedding += 1
    with pytest.raises(ValueError, match="tables differ"):
        export_t5(model, tmp_path / "out")

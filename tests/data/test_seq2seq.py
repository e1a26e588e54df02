"""A sequence-to-sequence generator: local, safe, and deterministic per document."""

from pathlib import Path

import pytest
import torch

from retrograd.data.seq2seq import Seq2SeqGenerator
from retrograd.errors import InputError
from retrograd.types import Corpus, Document

transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
tokenizers = pytest.importorskip("tokenizers")

CORPUS = Corpus([Document("a", "wing flow heat"), Document("b", "", "lift"), Document("c", "drag of a wing")])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random T5 of a few thousand weights with a word tokenizer."""
    path = tmp_path_factory.mktemp("t5")
    words = ["<pad>", "</s>", "<unk>", "wing", "flow", "heat", "lift", "drag", "of", "a"]
    inner = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>")
    )
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(words),
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
    )
    transformers.T5ForConditionalGeneration(config).save_pretrained(path, safe_serialization=True)
    return path


def test_each_document_gets_its_number_of_texts_and_none_is_empty(folder: Path) -> None:
    groups = Seq2SeqGenerator(folder=str(folder), max_new_tokens=6).generate(CORPUS, 5, seed=0)
    assert [len(group) for group in groups] == [5, 5, 5]
    assert all(text.strip() for group in groups for text in group)


def test_texts_depend_on_seed_and_document_alone(folder: Path) -> None:
    generator = Seq2SeqGenerator(folder=str(folder), max_new_tokens=6)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    groups = generator.generate(CORPUS, 5, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert generator.generate(Corpus(CORPUS[2:]), 5, seed=0) == groups[2:]
    assert generator.generate(CORPUS, 5, seed=1) != groups


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no sequence-to-sequence model"):
        Seq2SeqGenerator(folder=str(tmp_path)).generate(CORPUS, 1, seed=0)
    with pytest.raises(InputError, match="no such folder"):
        Seq2SeqGenerator(folder="some/model").generate(CORPUS, 1, seed=0)


def test_pickled_weights_are_not_read(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.name != "model.safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    with pytest.raises(InputError, match="holds no sequence-to-sequence model"):
        Seq2SeqGenerator(folder=str(tmp_path)).generate(CORPUS, 1, seed=0)

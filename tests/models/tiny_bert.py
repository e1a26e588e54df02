"""A BERT of a few kilobytes with random weights, so that most tests need no pretrained ones."""

import json
from pathlib import Path

import torch

from retrograd.artifacts import sha256_file
from retrograd.models.text_encoder import MiniLM

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = (*SPECIAL, "the", "a", "red", "green", "fox", "bird", "sings", "runs", "over", "lazy", "dog", "##s")
TEXTS = [
    "the red fox runs",
    "a green bird sings over the lazy dog",
    "",
    "dog",
    "unheard words \ud800 only",
    "the fox " * 50,
    "a red bird",
]


def write_tiny_bert(folder: Path) -> MiniLM:
    """Write the three files and return the config that reads them."""
    from safetensors.torch import save_file
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.modeling_bert import BertModel

    sizes = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "max_position_embeddings": 64}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = BertModel(
            BertConfig(**sizes, initializer_range=0.5)
        )  # pooler included, as in the real file
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **sizes}))
    tokenizer = Tokenizer(WordPiece({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(lowercase=True), BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    weights_sha256 = sha256_file(folder / "model.safetensors")
    return MiniLM(source=str(folder), max_tokens=32, weights_sha256=weights_sha256)

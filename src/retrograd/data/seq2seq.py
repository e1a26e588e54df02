"""Pseudo-queries from a trained sequence-to-sequence model in a local Hugging Face folder.

Any docT5query-like model (Nogueira and Lin 2019, "From doc2query to docTTTTTquery"). Nothing is downloaded,
no code of the folder runs, weights are read from safetensors only. Needs the extra `hf`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from retrograd.errors import InputError
from retrograd.progress import track
from retrograd.types import Corpus, Document


@dataclass(frozen=True, kw_only=True)
class Seq2SeqGenerator:
    """Sample queries from a model."""

    folder: str
    """Folder with `config.json`, `model.safetensors` and the tokenizer."""

    prompt: str = ""
    """Put before each document, as the model was trained (some want `Generate question: `)."""

    max_input_tokens: int = 384
    max_new_tokens: int = 32
    top_k: int = 10
    """Each token is sampled from so many likeliest ones."""

    def __post_init__(self) -> None:
        if min(self.max_input_tokens, self.max_new_tokens, self.top_k) < 1:
            raise ValueError("max_input_tokens, max_new_tokens and top_k must be at least 1")

    def generate(
        self, corpus: Corpus, per_document: int, seed: int, background: Corpus | None = None
    ) -> list[list[str]]:
        """`per_document` texts for each document, none empty, repeated in turn where samples coincide.

        A document is sampled alone and from its own seed, so that its texts depend on nothing else. One
        for which the model only produces empty texts gets its title or first words; one without a word
        gets none.

        Raises:
            InputError: the extra is missing, or the folder holds no model that may be loaded.
        """
        del background  # the network knows which terms are common
        if per_document < 1:
            raise ValueError(f"per_document={per_document} must be at least 1")
        tokenizer, model = self._load()
        return [
            _filled(self._sample(tokenizer, model, document, per_document, seed), document, per_document)
            for document in track(corpus, "pseudo-queries")
        ]

    def _load(self) -> tuple[Any, Any]:
        try:
            from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
        except ImportError:
            reason = "transformers is not installed; run `pip install 'retrograd[hf]'`"
            raise InputError(reason) from None
        if not Path(self.folder).is_dir():
            raise InputError("no such folder; name a local Hugging Face model folder", path=self.folder)
        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder, **safe)
            model = AutoModelForSeq2SeqLM.from_pretrained(self.folder, use_safetensors=True, **safe)
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = str(error).strip().split("\n")[0][:200]
            raise InputError(f"holds no sequence-to-sequence model: {reason}", path=self.folder) from None
        return tokenizer, model.eval()

    def _sample(self, tokenizer: Any, model: Any, document: Document, number: int, seed: int) -> list[str]:
        import torch

        text = f"{self.prompt}{document.contents}"
        inputs = tokenizer(text, truncation=True, max_length=self.max_input_tokens, return_tensors="pt")
        name = f"{seed}\0{document.id}".encode("utf-8", "surrogatepass")
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(int.from_bytes(hashlib.sha256(name).digest()[:7], "big"))
            tokens = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                do_sample=True,
                top_k=self.top_k,
                num_return_sequences=number,
                max_new_tokens=self.max_new_tokens,
            )
        return [" ".join(query.split()) for query in tokenizer.batch_decode(tokens, skip_special_tokens=True)]


def _filled(sampled: Sequence[str], document: Document, number: int) -> list[str]:
    start = document.title.strip() or " ".join(document.text.split()[:16])
    texts = [text for text in dict.fromkeys(sampled) if text] or ([start] if start else [])
    return list(islice(cycle(texts), number)) if texts else []

"""The compiled core: encoders and decoders of the T5 kind, beam search over a trie, and nearest
centres, in C.

Knows numpy arrays; never torch, documents or files of ours. It is optional: where the library was
not built, `library.find` says why, and search runs in torch.
"""

from __future__ import annotations

from retrograd.native.decoder import DecoderShape, DecoderWeights, Found, NativeDecoder, check_precision
from retrograd.native.encoder import EncoderShape, EncoderWeights, NativeEncoder
from retrograd.native.library import PRECISIONS, Library, find
from retrograd.native.nearest import nearest_centres
from retrograd.native.trie import NativeTrie

__all__ = [
    "PRECISIONS",
    "DecoderShape",
    "DecoderWeights",
    "EncoderShape",
    "EncoderWeights",
    "Found",
    "Library",
    "NativeDecoder",
    "NativeEncoder",
    "NativeTrie",
    "check_precision",
    "find",
    "nearest_centres",
]

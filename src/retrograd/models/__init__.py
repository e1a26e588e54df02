"""Networks and encoders: inputs to token scores or to vectors. They never see documents' ids or tries."""

from __future__ import annotations

from retrograd.models.code_and_text import TextCodeTransformer
from retrograd.models.code_sequences import CodeTransformer
from retrograd.models.code_translation import CodeTranslator
from retrograd.models.dual_encoder import DualEncoder, FrozenVectors
from retrograd.models.encoder_decoder import EncoderDecoder
from retrograd.models.geometric_decoder import CausalTransformer, LevelNetworks
from retrograd.models.geometric_index import GeometricIndex
from retrograd.models.hf import T5Input
from retrograd.models.id_tree import IdTreeTransformer
from retrograd.models.lexical_channel import LexicalChannel
from retrograd.models.parallel_codes import ParallelCodeTransformer
from retrograd.models.request_transformer import RequestTransformer
from retrograd.models.sequential import ItemTransformer
from retrograd.models.text_encoder import MiniLM
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.models.token_input import TokenInput
from retrograd.models.token_states import TokenStates
from retrograd.models.vector_input import VectorInput
from retrograd.quantizers.learned_tokens import LearnedTokens
from retrograd.quantizers.soft_residual import Scoring, SoftResidual

CONFIGS: tuple[type, ...] = (
    CausalTransformer,
    CodeTransformer,
    CodeTranslator,
    DualEncoder,
    EncoderDecoder,
    FrozenVectors,
    GeometricIndex,
    IdTreeTransformer,
    ItemTransformer,
    LearnedTokens,
    LevelNetworks,
    LexicalChannel,
    MiniLM,
    ParallelCodeTransformer,
    RequestTransformer,
    Scoring,
    SoftResidual,
    T5Input,
    TextCodeTransformer,
    TfidfSvd,
    TokenInput,
    TokenStates,
    VectorInput,
)
"""What a saved recipe may name."""

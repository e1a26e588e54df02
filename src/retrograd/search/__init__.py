"""Model plus structure to `Ranking`: every way of answering, and ways of joining two of them."""

from __future__ import annotations

from retrograd.search.code_sequences import CodeSequenceScores
from retrograd.search.combine import Fuse, Rerank
from retrograd.search.counting import ItemKNN, Popular, TransitionKNN
from retrograd.search.decoding_policies import AnnealedSampling, BestFirst, DiverseBeam
from retrograd.search.experts import ProductOfExperts
from retrograd.search.generate_and_rank import GenerateAndRank
from retrograd.search.generative import Beam, ScoreAll
from retrograd.search.geometric import GeometricBeam, GeometricScoreAll
from retrograd.search.history import WithHistory
from retrograd.search.id_tree import IdTreeScores
from retrograd.search.lexical import Lexical
from retrograd.search.memo import ClickMemo
from retrograd.search.nearest import Nearest
from retrograd.search.nearest_to_history import NearestToHistory
from retrograd.search.parallel_codes import ParallelCodeScores
from retrograd.search.query_memory import QueryMemory
from retrograd.search.reconstruction import CodeReconstruction
from retrograd.search.requests import RequestScores
from retrograd.search.sequential import SequenceModelScores
from retrograd.search.tree_search import TreeSearch

CONFIGS: tuple[type, ...] = (
    AnnealedSampling,
    Beam,
    BestFirst,
    ClickMemo,
    CodeSequenceScores,
    CodeReconstruction,
    DiverseBeam,
    Fuse,
    GenerateAndRank,
    GeometricBeam,
    GeometricScoreAll,
    IdTreeScores,
    ItemKNN,
    Lexical,
    Nearest,
    NearestToHistory,
    ParallelCodeScores,
    Popular,
    ProductOfExperts,
    QueryMemory,
    RequestScores,
    Rerank,
    ScoreAll,
    SequenceModelScores,
    TransitionKNN,
    TreeSearch,
    WithHistory,
)
"""What a saved recipe may name."""

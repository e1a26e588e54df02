"""Index and retriever in one differentiable whole: documents are quantised by the network that finds them.

A space (towers for requests and documents), a residual quantiser of document vectors, and a decoder
that starts at the request vector, adds up the codes chosen so far and scores the next one against
the very codebook that quantises. Wang et al., "Differentiable Geometric Indexing for End-to-End
Generative Retrieval", 2026 (arXiv 2603.10409), sections 3 and 4. Knows neither losses nor tries.
Shapes: B rows of a batch, n documents, d dimensions, m levels, K codes of a level, R rows of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.models.dual_encoder import DualEncoder, DualEncoderModel
from retrograd.models.geometric_decoder import LevelNetworks, StepState, start_from_zero
from retrograd.models.inputs import Memory, Role
from retrograd.models.routing import Nodes, Router
from retrograd.models.running_shares import RunningShares
from retrograd.quantizers.codebooks import codebooks_from_state
from retrograd.quantizers.learned_tokens import LearnedTokens
from retrograd.quantizers.soft_residual import CodeScores, Scoring, SoftCodes, SoftResidual
from retrograd.types import State

HEADS = ("tied", "fresh", "copied")
INPUTS = ("cumulative", "codes")
SKIPS = ("remaining", "none")


@dataclass(frozen=True, kw_only=True)
class GeometricIndex:
    """The choices of a differentiable index."""

    space: DualEncoder = field(default_factory=DualEncoder)
    """Request and document towers."""

    quantizer: SoftResidual | LearnedTokens = field(default_factory=SoftResidual)
    """What gives document vectors their codes."""

    decoder: Any = field(default_factory=LevelNetworks)
    """`LevelNetworks` or `CausalTransformer`."""

    heads: str = "tied"
    """`tied`: a level's head is its codebook (equation 9), no new parameters; `fresh`: its own random
    table; `copied`: its own table, started at the codebook."""

    scoring: Scoring = field(default_factory=Scoring)
    """How the decoder's output is compared with the heads (equation 10)."""

    inputs: str = "cumulative"
    """What a level reads: request vector plus the codes so far (`cumulative`), or the last code only,
    after a learnt start (`codes`)."""

    skip: str = "remaining"
    """`remaining`: the request vector less the codes so far is the decoder's first answer, to which the
    network adds, starting at zero; `none`: the network alone. Measured: without it a short training
    never finds the level below the first."""

    router: int = -1
    """Inner width of the heads that turn the query for each level, for a look-ahead by `routed` cosines
    (see `models.routing`): 0 makes them linear, -1 leaves them out."""

    shared_scale: bool = False
    """True: decoder and quantiser score with one scale, the quantiser's."""

    usage_decay: float = 0.0
    """Decay of the running shares of the codes that are wanted and used in training, which some settings
    of the objectives read; about 1 / (1 - decay) steps count. 0 keeps none."""

    def __post_init__(self) -> None:
        for name, choices in (("heads", HEADS), ("inputs", INPUTS), ("skip", SKIPS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)!r}; choose one of {', '.join(choices)}")
        if self.shared_scale and self.scoring != self.quantizer.scoring:
            raise ValueError("shared_scale needs the same scoring in quantizer and model")
        if not 0 <= self.usage_decay < 1:
            raise ValueError(f"usage_decay={self.usage_decay} must be in [0, 1)")

    def fit(self, texts: Sequence[str]) -> State:
        """What the towers learn of the collection."""
        return self.space.fit(texts)

    def build(self, state: State, table: DocidTable | None, seed: int = 0) -> GeometricIndexModel:
        """The network; its codes start where the docid scheme left them.

        Raises:
            ValueError: no table, or one whose scheme has no codebooks.
        """
        if table is None or not table.state:
            raise ValueError(
                "a geometric index needs a docid scheme with codebooks, such as docids.LearnedCodes"
            )
        space = self.space.build(state, seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return GeometricIndexModel(self, space, _starting_codes(table, space.dimensions, seed))


def _starting_codes(table: DocidTable, dimensions: int, seed: int) -> tuple[np.ndarray, ...]:
    """The scheme's codebooks; directions at random where its vectors are not of this space."""
    books = codebooks_from_state(table.state)
    if books[0].shape[1] == dimensions:
        return books
    rng = np.random.default_rng([seed, dimensions])
    return tuple(
        (rng.standard_normal((len(book), dimensions)) / dimensions**0.5).astype(np.float32) for book in books
    )


class GeometricCache(NamedTuple):
    """What a search step reads."""

    body: StepState
    query: Tensor
    """(R, d) request vector of each row."""

    codes: Tensor
    """(R, d) sum of the code vectors chosen so far."""

    @property
    def rows(self) -> int:
        """R."""
        return len(self.query)


class GeometricIndexModel(nn.Module):
    """The network. It makes vectors like a dual encoder and writes ids like a decoder.

    Args:
        codebooks: (K, d) starting codes of each level.
    """

    def __init__(
        self, config: GeometricIndex, space: DualEncoderModel, codebooks: Sequence[np.ndarray]
    ) -> None:
        super().__init__()
        self.config, self.space = config, space
        self.dimensions, self.fingerprint = space.dimensions, space.fingerprint
        self.quantizer = config.quantizer.build(codebooks)
        self.level_sizes = self.quantizer.level_sizes
        self.body = config.decoder.build(space.dimensions, self.depth)
        if config.skip == "remaining":
            start_from_zero(self.body.last_layers())
        if not config.shared_scale:
            self.scores = CodeScores(config.scoring, self.depth, space.dimensions)
        self.begin = nn.Parameter(torch.randn(space.dimensions) * space.dimensions**-0.5)
        if config.router >= 0:
            self.router = Router(self.depth, space.dimensions, config.router)
            self.route = self.router.turn
        self.nodes: Nodes | None = None
        """Where documents stood when a stage began; for objectives that follow lists through the index."""
        starts = [self.quantizer.codebook(level).detach() for level in range(self.depth)]
        self.own_heads = nn.ParameterList() if config.heads == "tied" else _untied(config.heads, starts)
        self.wanted, self.used = (
            RunningShares(self.level_sizes, config.usage_decay) if config.usage_decay else None
            for _ in range(2)
        )

    # the space: what makes vectors

    @property
    def encoder(self) -> GeometricIndexModel:
        """What reads the texts of requests: the model itself."""
        return self

    @property
    def scale(self) -> Tensor:
        """() the space's learnt factor on cosines."""
        return self.space.scale

    def prepare(self, texts: Sequence[str], role: Role = "query") -> Any:
        """All texts once, without gradient."""
        return self.space.prepare(texts, role)

    def collate(self, prepared: Any, rows: np.ndarray) -> dict[str, Tensor]:
        """The tensors of some rows (B,)."""
        return self.space.collate(prepared, rows)

    def embed_queries(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, d) unit request vectors, differentiable."""
        return self.space.embed_queries(batch)

    def embed_documents(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, d) unit document vectors, differentiable."""
        return self.space.embed_documents(batch)

    def vectors_of_prepared(self, prepared: Any, role: Role) -> np.ndarray:
        """(n, d) float32, unit rows, of what `prepare` returned."""
        return self.space.vectors_of_prepared(prepared, role)

    def query_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows."""
        return self.space.query_vectors(texts)

    def document_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32, unit rows."""
        return self.space.document_vectors(texts)

    # the index: what makes ids

    @property
    def codebooks(self) -> tuple[np.ndarray, ...]:
        """A copy of the (K, d) code vectors of each level, as they are summed."""
        return tuple(
            self.quantizer.vectors(level).detach().cpu().numpy().copy() for level in range(self.depth)
        )

    def quantise(self, documents: Tensor, *, temperature: float, noise: float) -> SoftCodes:
        """Document vectors (n, d) to codes, differentiably; see `quantizers.soft_residual`."""
        codes: SoftCodes = self.quantizer(documents, temperature=temperature, noise=noise)
        return codes

    def document_codes(self, vectors: np.ndarray) -> np.ndarray:
        """(n, d) float32 document vectors -> (n, m) int64 codes, as the index stores them."""
        points = torch.from_numpy(np.ascontiguousarray(vectors, np.float32)).to(self.begin.device)
        parts = [self.quantizer.assign(points[at : at + 8192]) for at in range(0, len(points), 8192)]
        codes: np.ndarray = torch.cat(parts).cpu().numpy()
        return codes

    @torch.no_grad()
    def reconstruct(self, codes: np.ndarray) -> np.ndarray:
        """(n, m) int64 codes -> (n, d) float32: the sum of their code vectors."""
        looked_up = self.quantizer.lookup(torch.from_numpy(np.asarray(codes, np.int64)).to(self.begin.device))
        total: np.ndarray = looked_up.sum(dim=1).cpu().numpy()
        return total

    def place_documents(self, vectors: np.ndarray) -> None:
        """Remember the nodes of (n, d) document vectors as they are now."""
        self.nodes = Nodes.of_codes(self.document_codes(vectors), vectors).to(self.begin.device)

    def restart_codes(self, vectors: np.ndarray, seed: int) -> None:
        """Start the codes again as clusters of (n, d) document vectors of the present space."""
        books = self.quantizer.clusters(vectors, seed)
        sizes = tuple(len(book) for book in books)
        if sizes != self.level_sizes:  # fewer distinct residuals than codes: the rest stays where it is
            books = tuple(
                np.concatenate([new, old[len(new) :]]) for new, old in zip(books, self.codebooks, strict=True)
            )
        self.quantizer.restart(books)
        for head, book in zip(self.own_heads if self.config.heads == "copied" else (), books, strict=False):
            head.data.copy_(torch.from_numpy(book))

    # the decoder: what writes ids

    @property
    def depth(self) -> int:
        """m."""
        return len(self.level_sizes)

    def head(self, level: int) -> Tensor:
        """(K, d): what the decoder's output of a level is compared with."""
        table: Tensor = self.own_heads[level] if len(self.own_heads) else self.quantizer.codebook(level)
        return table

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        """A collated batch of requests: the vector in slot 0, then the token states if there are any."""
        query, tokens = self.space.embed_with_tokens(inputs)
        first = Memory(query.unsqueeze(1), torch.ones(len(query), 1, dtype=torch.bool, device=query.device))
        if tokens is None:
            return first
        states = torch.cat([first.states, F.normalize(tokens.states, dim=-1)], dim=1)
        return Memory(states, torch.cat([first.where, tokens.where], dim=1))

    def code_scores(self, memory: Memory, prefixes: Tensor) -> list[Tensor]:
        """Teacher-forced scores of every code of every level.

        Args:
            memory: of B requests.
            prefixes: (B, m, d) sum of the code vectors up to each level; the last is not read.

        Returns: per level (B, K) float.
        """
        query = memory.states[:, 0]
        before = F.pad(prefixes[:, :-1], (0, 0, 1, 0))
        last = torch.cat([before[:, :1], before[:, 1:] - before[:, :-1]], dim=1)
        hidden = self.body(self._inputs(query.unsqueeze(1), before, last), query, memory)
        if self.config.skip == "remaining":
            hidden = hidden + query.unsqueeze(1) - before
        return [self._scores(hidden[:, level], level) for level in range(self.depth)]

    def _scores(self, hidden: Tensor, level: int) -> Tensor:
        scorer = self.quantizer.scores if self.config.shared_scale else self.scores
        scores: Tensor = scorer(hidden, self.head(level), level)
        return scores

    def _inputs(self, query: Tensor, before: Tensor, last: Tensor) -> Tensor:
        if self.config.inputs == "cumulative":
            return query + before
        return torch.cat([self.begin.expand_as(last[:, :1]), last[:, 1:]], dim=1)

    def start(self, memory: Memory) -> GeometricCache:
        """The cache of B empty prefixes."""
        query = memory.states[:, 0]
        return GeometricCache(self.body.start(memory, self.depth), query, torch.zeros_like(query))

    def step(
        self, cache: GeometricCache, token: Tensor | None = None, parent: Tensor | None = None
    ) -> tuple[Tensor, GeometricCache]:
        """Scores of the next level's codes after one more code; see `EncoderDecoderModel.step`."""
        level, query, codes = cache.body.level, cache.query, cache.codes
        if parent is not None:
            query, codes = query.index_select(0, parent), codes.index_select(0, parent)
        last = codes
        if token is not None:
            last = F.embedding(token, self.quantizer.vectors(level - 1))
            codes = codes + last
        cumulative = self.config.inputs == "cumulative"
        inputs = query + codes if cumulative else last if level else self.begin.expand_as(query)
        hidden, body = self.body.step(cache.body, inputs, query, parent)
        if self.config.skip == "remaining":
            hidden = hidden + query - codes
        return self._scores(hidden, level), GeometricCache(body, query, codes)


def _untied(heads: str, codebooks: Sequence[Tensor]) -> nn.ParameterList:
    if heads == "copied":
        return nn.ParameterList(nn.Parameter(book.clone()) for book in codebooks)
    return nn.ParameterList(
        nn.Parameter(torch.randn_like(book) * book.shape[1] ** -0.5) for book in codebooks
    )

"""Residual codes of what an autoencoder makes of a vector: codebooks and both networks learnt together.

Zeghidour et al., "SoundStream", 2021 (arXiv:2107.03312), with the loss of Rajput et al., 2023
(arXiv:2305.05065), equation 3; two more terms, of Wang et al., 2024 (arXiv:2405.07314), may draw what is
quantised towards other vectors of the same things and spread the codes. Once fitted it is plain arrays. Knows
vectors and codes only.
Shapes: n vectors, d dimensions, z latent dimensions, m levels, K codes of a level, b vectors of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from retrograd.errors import ArtifactError, InputError
from retrograd.losses.contrastive import in_batch_contrastive
from retrograd.losses.quantisation import code_diversity
from retrograd.ops.straight_through import straight_through
from retrograd.progress import Progress
from retrograd.quantizers.balance import balanced_codes, balanced_groups
from retrograd.quantizers.codebooks import check_width
from retrograd.quantizers.kmeans import as_points
from retrograd.quantizers.residual import ResidualQuantizer, codes_per_level
from retrograd.types import State

_START_ROWS = 1 << 14
"""Vectors that the codes are started from, at most."""

_SETTLING = 0.8
"""After this share of the steps no code is moved any more, so that all have time to settle."""


@dataclass(frozen=True, kw_only=True)
class ResidualAutoencoder:
    """How autoencoder and codebooks are fitted."""

    hidden: tuple[int, ...] = (512, 256, 128)
    """Inner widths of the encoder; the decoder has them in reverse. () makes both one matrix."""

    width: int = 32
    """z: dimensions of the codes."""

    epochs: int = 150
    batch_size: int = 1024
    learning_rate: float = 1e-3
    """Of AdamW, falling linearly to 0."""

    commitment: float = 0.25
    """Weight of pulling vectors to their codes, beside pulling codes to their vectors."""

    reset_every: int = 50
    """Steps after which codes that nothing was assigned to start again at a vector; 0 leaves them."""

    balance: bool = False
    """True: while learning, the last level assigns by equal shares (`quantizers.balance`), and codes of all
    levels start where such shares put them."""

    alignment: float = 0.0
    """Weight of telling by inner products, in a batch, which companion belongs to which quantised latent
    vector: nats, beside squared errors of standardised vectors. 0 looks at no companion."""

    diversity: float = 0.0
    """Weight of drawing each code to one of its cluster and away from all others, in nats per level."""

    clusters: int = 10
    """Of the codes of each level, of about equal size, made anew in every epoch; where `diversity` counts."""

    quantizer: ClassVar[str] = "residual_autoencoder"

    def __post_init__(self) -> None:
        if min(self.width, self.epochs, self.batch_size, self.clusters, *self.hidden) < 1:
            raise InputError("width, epochs, batch_size, clusters and every hidden width must be at least 1")
        weights = self.commitment, self.alignment, self.diversity
        if min(self.reset_every, *weights) < 0 or not self.learning_rate > 0:
            raise InputError(
                "reset_every, commitment, alignment and diversity must not be negative, and learning_rate "
                "must be positive"
            )

    def fit(
        self,
        vectors: np.ndarray,
        levels: int,
        codes: int | Sequence[int],
        *,
        seed: int,
        companions: np.ndarray | None = None,
    ) -> AutoencoderQuantizer:
        """Learn both networks and the codebooks; codes start at k-means clusters of latent vectors.

        Args:
            vectors: (n, d) finite, n >= 1.
            levels: m, at least 1.
            codes: per level, one number for all or one for each; fewer where fewer distinct residuals
                exist when they start.
            companions: (n, z) what each vector is aligned with, rows of 0 where there is nothing. Their
                mean and their scale do not matter.

        Raises:
            InputError: no level, not a number for each, vectors that are not finite, or companions that
                are missing or do not fit.
        """
        counts = codes_per_level(levels, codes)
        points = as_points(vectors)
        mean, spread = points.mean(axis=0), points.std(axis=0)
        inputs = torch.from_numpy((points - mean) / np.where(spread > 0, spread, 1))
        beside = self._beside(companions, len(points)) if self.alignment else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            learner = _Learner(self, points.shape[1])
            learner.start(inputs, counts, seed)
            learner.train()
            _optimise(learner, inputs, beside)
        return AutoencoderQuantizer(
            inner=ResidualQuantizer(tuple(_array(book) for book in learner.codebooks)),
            encoder=_arrays(learner.encoder),
            decoder=_arrays(learner.decoder),
            mean=mean,
            spread=spread,
        )

    def _beside(self, companions: np.ndarray | None, count: int) -> Tensor:
        """(n, z) companions in units of their own, of mean 0; rows of 0 stay."""
        if companions is None or companions.shape != (count, self.width):
            shape = None if companions is None else companions.shape
            raise InputError(
                f"alignment needs companions of shape ({count}, {self.width}), not {shape}; give the docids "
                "companions of the quantiser's width, or set alignment=0"
            )
        found = as_points(companions)
        known = found.any(axis=1)
        centred = found[known] - found[known].mean(axis=0) if known.any() else found[known]
        scale = np.sqrt(np.square(centred).mean()) if centred.size else 0.0
        found[known] = centred / (scale or 1.0)
        return torch.from_numpy(found)


@dataclass(frozen=True, eq=False)
class AutoencoderQuantizer:
    """Two small networks with residual codebooks between them."""

    inner: ResidualQuantizer
    """Codebooks (K, z)."""

    encoder: tuple[np.ndarray, ...]
    """Weights (in, out) and biases (out,) in turn; ReLU between layers."""

    decoder: tuple[np.ndarray, ...]
    mean: np.ndarray
    """(d,) float32, taken from vectors before they are read."""

    spread: np.ndarray
    """(d,) float32 standard deviations they are divided by; 0 where the vectors do not differ."""

    @classmethod
    def fit(
        cls, vectors: np.ndarray, levels: int, codes: int | Sequence[int], *, seed: int
    ) -> AutoencoderQuantizer:
        """`ResidualAutoencoder.fit` with its defaults."""
        return ResidualAutoencoder().fit(vectors, levels, codes, seed=seed)

    @property
    def codebooks(self) -> tuple[np.ndarray, ...]:
        """(K, z) per level: codes of latent vectors."""
        return self.inner.codebooks

    def latent(self, vectors: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, z) float32: what is quantised."""
        points = check_width(vectors, len(self.mean))
        return _through(self.encoder, (points - self.mean) / np.where(self.spread > 0, self.spread, 1))

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, m) int64 codes."""
        return self.inner.encode(self.latent(vectors))

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """(n, m) codes -> (n, d) float32: the sum of their vectors through the decoder."""
        vectors: np.ndarray = _through(self.decoder, self.inner.decode(codes)) * self.spread + self.mean
        return vectors

    def last_distances(self, vectors: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, K) squared distances of the last latent residual to the codes of the last level."""
        return self.inner.last_distances(self.latent(vectors))

    def state(self) -> State:
        """Plain arrays from which `from_state` builds the same quantiser."""
        networks = {"encoder": self.encoder, "decoder": self.decoder}
        arrays = {f"{name}.{at}": array for name, own in networks.items() for at, array in enumerate(own)}
        return self.inner.state() | arrays | {"mean": self.mean, "spread": self.spread}

    @classmethod
    def from_state(cls, state: State) -> AutoencoderQuantizer:
        """Undo `state`.

        Raises:
            ArtifactError: something is missing.
        """
        inner = ResidualQuantizer.from_state(state)
        encoder, decoder = (_in_order(state, name) for name in ("encoder", "decoder"))
        if not encoder or not decoder or "mean" not in state or "spread" not in state:
            raise ArtifactError("the quantiser's networks are missing; fit the docids again")
        return cls(inner, encoder, decoder, state["mean"], state["spread"])


class _Learner(nn.Module):
    """The same while it learns."""

    def __init__(self, config: ResidualAutoencoder, dimensions: int) -> None:
        super().__init__()
        widths = (dimensions, *config.hidden, config.width)
        self.config = config
        self.encoder, self.decoder = _network(widths), _network(widths[::-1])
        self.codebooks = nn.ParameterList()
        self.groups: list[Tensor] = []

    def start(self, inputs: Tensor, counts: Sequence[int], seed: int) -> None:
        """Codes at clusters of what the untrained encoder makes of (n, d) inputs."""
        rows = torch.randperm(len(inputs))[:_START_ROWS]
        with torch.no_grad():
            latent = self.encoder(inputs[rows]).numpy()
        balance = self.config.balance
        books = ResidualQuantizer.fit(latent, len(counts), counts, seed=seed, balance=balance).codebooks
        self.codebooks.extend(nn.Parameter(torch.from_numpy(book)) for book in books)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(b, d) -> (b, d) reconstruction, () commitment, and per level (b,) codes."""
        quantised, pulled, codes = self.quantise(inputs)
        return self.decoder(quantised), pulled, codes

    def quantise(self, inputs: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """(b, d) -> (b, z) sums of codes, with the gradient of what they stand for, () commitment, and per
        level (b,) codes."""
        latent = self.encoder(inputs)
        residual, assigned, codes, pulled = latent, [], [], latent.new_zeros(())
        for level, book in enumerate(self.codebooks):
            last = level + 1 == len(self.codebooks)
            with torch.no_grad():
                distances = torch.cdist(residual, book).square()
                code = balanced_codes(distances) if last and self.config.balance else distances.argmin(dim=1)
            codes.append(code)
            assigned.append(book[code])
            to_vectors = (residual.detach() - assigned[-1]).square().sum(dim=1).mean()
            residual = residual - assigned[-1].detach()
            pulled = pulled + to_vectors + self.config.commitment * residual.square().sum(dim=1).mean()
        return straight_through(torch.stack(assigned).sum(dim=0), latent), pulled, codes

    def aligned(self, quantised: Tensor, companions: Tensor) -> Tensor:
        """() nats to tell the companion of each of (b, z) vectors; rows of 0 are no companions."""
        known = companions.any(dim=1)
        scores = quantised[known] @ companions[known].T
        return in_batch_contrastive(scores, torch.arange(len(scores)))

    def regroup(self, seed: tuple[int, ...]) -> None:
        """Cluster the codes of each level anew."""
        books = [_array(book) for book in self.codebooks]
        count = self.config.clusters
        self.groups = [
            torch.from_numpy(balanced_groups(book, count, seed=(*seed, level)))
            for level, book in enumerate(books)
        ]

    def spread(self, codes: Sequence[Tensor]) -> Tensor:
        """() nats, summed over the levels, to tell another code of the cluster of each of (b,) codes."""
        found = []
        for book, groups, own in zip(self.codebooks, self.groups, codes, strict=True):
            same = (groups == groups[own].unsqueeze(1)).scatter(1, own.unsqueeze(1), False)
            friends = (torch.rand(same.shape) * same).argmax(dim=1)
            found.append(code_diversity(book, own, friends.masked_fill(~same.any(dim=1), -1)))
        return torch.stack(found).sum()

    @torch.no_grad()
    def restart(self, inputs: Tensor, used: Sequence[Tensor]) -> None:
        """Put codes that are not `used` at what the levels before leave of some inputs.

        Args:
            inputs: (b, d).
            used: per level (K,) bool.
        """
        residual = self.encoder(inputs[torch.randperm(len(inputs))])
        for book, where in zip(self.codebooks, used, strict=True):
            dead = (~where).nonzero().squeeze(1)[: len(residual)]
            book[dead] = residual[: len(dead)]
            residual = residual - book[torch.cdist(residual, book).argmin(dim=1)]


def _optimise(learner: _Learner, inputs: Tensor, companions: Tensor | None) -> None:
    """Fit a learner that was started.

    Args:
        inputs: (n, d).
        companions: (n, z), or None where nothing is aligned.
    """
    config = learner.config
    batches = -(-len(inputs) // config.batch_size)
    steps = config.epochs * batches
    optimizer = torch.optim.AdamW(learner.parameters(), lr=config.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    used = [torch.zeros(len(book), dtype=torch.bool) for book in learner.codebooks]
    with Progress(steps, "autoencoder") as progress:
        for step in range(steps):
            if step % batches == 0:
                order = torch.randperm(len(inputs)).chunk(batches)
                if config.diversity:
                    learner.regroup((step,))
            rows = order[step % batches % len(order)]
            batch = inputs[rows]
            quantised, pulled, codes = learner.quantise(batch)
            missed = (learner.decoder(quantised) - batch).square().sum(dim=1).mean()
            loss = missed + pulled
            if companions is not None:
                loss = loss + config.alignment * learner.aligned(quantised, companions[rows])
            if config.diversity:
                loss = loss + config.diversity * learner.spread(codes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            for where, code in zip(used, codes, strict=True):
                where[code] = True
            if config.reset_every and (step + 1) % config.reset_every == 0:
                if step < _SETTLING * steps:
                    learner.restart(batch, used)
                for where in used:
                    where.zero_()
            progress.advance(reconstruction=missed.item() / inputs.shape[1])


def _network(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().numpy())


def _arrays(network: nn.Sequential) -> tuple[np.ndarray, ...]:
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    return tuple(_array(part) for layer in linear for part in (layer.weight.T, layer.bias))


def _through(arrays: Sequence[np.ndarray], vectors: np.ndarray) -> np.ndarray:
    for at in range(0, len(arrays), 2):
        vectors = (np.maximum(vectors, 0.0) if at else vectors) @ arrays[at] + arrays[at + 1]
    return vectors


def _in_order(state: State, name: str) -> tuple[np.ndarray, ...]:
    count = sum(key.startswith(f"{name}.") for key in state)
    return tuple(state[f"{name}.{at}"] for at in range(count) if f"{name}.{at}" in state)

"""Codes that learn: a vector stays a few bytes, and what the bytes stand for is learnt from a ranking loss.

Queries are never rounded: a query is compared with what codes stand for, by one table of inner products a
level. The export gives the same scores. Knows vectors and codes; neither documents, labels nor losses.
Shapes: n vectors, B queries, d dimensions, m levels, K codes of a level, w dimensions a level sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from retrograd.errors import InputError
from retrograd.ops.labels import Label
from retrograd.ops.select import HOW, select
from retrograd.ops.temperature import Temperature
from retrograd.quantizers.product import ProductQuantizer
from retrograd.quantizers.residual import ResidualQuantizer
from retrograd.quantizers.rotation import Rotation, optimised_rotation

KINDS = ("product", "rotated_product", "residual")
"""A code for each piece of a vector; the same after a rotation that learns; or a code for what is left."""

FIXED = "fixed"
ASSIGNMENTS = (FIXED, *HOW)
"""`fixed`: codes are those of the start, and only what they stand for learns (Zhan et al. 2021, "Jointly
Optimizing Query Encoder and Product Quantization", arXiv:2108.00644). The others weigh the codes of a level
by their nearness, as `ops.select` does, so that gradients reach the choice as well."""

_ROWS_AT_ONCE = 1 << 16
"""Vectors that are given codes at once: 64 MB of float32 for 256 codes."""


class TrainableQuantizer(nn.Module):
    """m codebooks, and a rotation where the kind has one, all of which learn.

    Jegou et al. 2011 (product codes), Ge et al. 2013 (rotation), Juang and Gray 1982 (residual codes); soft
    codes as in Agustsson et al. 2017 ("Soft-to-Hard Vector Quantization", arXiv:1704.00648), equation 3.

    Args:
        codebooks: m float tensors (K, w); the w of product codes add up to d, those of residual codes are d.
        kind: one of `KINDS`.
        rotation: (d, d) orthogonal, for `rotated_product`; None: the identity.
        assignment: one of `ASSIGNMENTS`, how `forward` makes codes.

    Raises:
        ValueError: an unknown kind or assignment, no codebook, widths that do not fit, or a rotation that is
            not orthogonal or of no use.

    >>> quantizer = TrainableQuantizer.start(torch.eye(4), levels=2, codes=3)
    >>> quantizer.scores(torch.ones(1, 4), quantizer.assign(torch.eye(4))).shape
    torch.Size([1, 4])
    """

    def __init__(
        self,
        codebooks: Sequence[Tensor],
        *,
        kind: str = "product",
        rotation: Tensor | None = None,
        assignment: str = FIXED,
    ) -> None:
        super().__init__()
        _check(codebooks, kind, rotation, assignment)
        self.kind, self.assignment = kind, assignment
        self.codebooks = nn.ParameterList(nn.Parameter(book.detach().clone()) for book in codebooks)
        for level, book in enumerate(codebooks):
            self.register_buffer(f"start_{level}", book.detach().clone())
        self.rotation: Rotation | None = None
        if kind == "rotated_product":
            self.rotation = Rotation(
                torch.eye(self.dimensions).to(codebooks[0]) if rotation is None else rotation
            )

    @classmethod
    def start(
        cls,
        vectors: Tensor,
        levels: int,
        codes: int = 256,
        *,
        kind: str = "rotated_product",
        assignment: str = FIXED,
        seed: int = 0,
    ) -> TrainableQuantizer:
        """The untrained quantiser that suits some vectors: k-means, after the best rotation if it has one.

        Args:
            vectors: (n, d) finite, n >= 1.
            levels: m; a byte each with 256 codes.
            codes: K; fewer where fewer distinct pieces exist.
            kind, assignment: as for the class.
            seed: the same one gives the same codebooks.

        Raises:
            InputError: vectors that cannot be clustered, levels below 1 or more than dimensions.
        """
        points, rotation = vectors.detach().float().cpu().numpy(), None
        fitted: ProductQuantizer | ResidualQuantizer
        if kind == "residual":
            fitted = ResidualQuantizer.fit(points, levels, codes, seed=seed)
        elif kind == "rotated_product":
            rotation = optimised_rotation(points, levels, codes, seed=seed)
            fitted = ProductQuantizer.fit(points @ rotation.T, levels, codes, seed=seed)
        else:
            fitted = ProductQuantizer.fit(points, levels, codes, seed=seed)
        return cls(
            [torch.from_numpy(book).to(vectors) for book in fitted.codebooks],
            kind=kind,
            rotation=None if rotation is None else torch.from_numpy(rotation).to(vectors),
            assignment=assignment,
        )

    @property
    def dimensions(self) -> int:
        """d."""
        widths = [book.shape[1] for book in self.codebooks]
        return widths[0] if self.kind == "residual" else sum(widths)

    @property
    def bits(self) -> int:
        """Of one code of the widest level."""
        return max(1, (max(map(len, self.codebooks)) - 1).bit_length())

    @property
    def bytes_per_vector(self) -> int:
        """Of a vector's codes, packed; the codebooks are shared by all."""
        return -(-self.bits * len(self.codebooks) // 8)

    @property
    def label(self) -> Label:
        """Of the gradient of scores as they are served: exact in what fixed or hard codes stand for.

        Relaxed codes are not those that are served, so they are biased.
        """
        return Label.EXACT if self.assignment in (FIXED, "hard") else Label.BIASED

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.kind} codes of {self.bytes_per_vector} bytes for {self.dimensions} dimensions"

    def forward(
        self,
        vectors: Tensor,
        *,
        temperature: float | Tensor | Temperature = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """What the codes of some vectors stand for, with the gradient that `assignment` names.

        Args:
            vectors: (n, d) float.
            temperature: above 0, in units of squared distance; towards 0 every assignment becomes `hard`.
            generator: draws the noise of `gumbel_topk`.

        Returns: (n, d); of `fixed` and `hard` codes exactly `decode(assign(vectors))`.
        """
        if self.assignment == FIXED:
            return self.decode(self.assign(vectors))
        tau = temperature() if isinstance(temperature, Temperature) else temperature
        if not isinstance(tau, Tensor) and not tau > 0:
            raise ValueError(f"temperature={tau} must be above 0")
        k = 1 if HOW[self.assignment].chooses_k else None

        def weighed(piece: Tensor, book: Tensor) -> Tensor:
            logits = _nearness(piece, book) / tau
            return select(logits, how=self.assignment, k=k, generator=generator) @ book

        return self._joined(self._levels(self._turned(vectors), list(self.codebooks), weighed))

    @torch.no_grad()
    def assign(self, vectors: Tensor) -> Tensor:
        """(n, d) -> (n, m) int64 codes: the nearest, level by level.

        Of `fixed` codes the nearest at the start, whatever has been learnt since.
        """
        fixed = self.assignment == FIXED
        books = [
            getattr(self, f"start_{level}") if fixed else book for level, book in enumerate(self.codebooks)
        ]
        if fixed and self.rotation is not None:
            points = vectors @ self.rotation.start.mT
        else:
            points = self._turned(vectors)
        return torch.cat([self._nearest(some, books) for some in points.split(_ROWS_AT_ONCE)])  # type: ignore[no-untyped-call]

    def _nearest(self, points: Tensor, books: Sequence[Tensor]) -> Tensor:
        codes: list[Tensor] = []

        def nearest(piece: Tensor, book: Tensor) -> Tensor:
            codes.append(_nearness(piece, book).argmax(-1))
            return book[codes[-1]]

        self._levels(points, books, nearest)
        return torch.stack(codes, -1)

    def decode(self, codes: Tensor) -> Tensor:
        """(n, m) codes -> (n, d) what they stand for, with gradient in codebooks and rotation."""
        pairs = zip(codes.unbind(-1), self.codebooks, strict=True)
        return self._joined([F.embedding(code, book) for code, book in pairs])

    def tables(self, queries: Tensor) -> list[Tensor]:
        """(B, d) -> per level (B, K) inner products of a query with what each code stands for."""
        turned = self._turned(queries)
        return [piece @ book.mT for piece, book in zip(self._pieces(turned), self.codebooks, strict=True)]

    def scores(self, queries: Tensor, codes: Tensor) -> Tensor:
        """Inner products of (B, d) queries and what (n, m) codes stand for, by look-up: (B, n)."""
        total = queries.new_zeros(len(queries), len(codes))
        for table, code in zip(self.tables(queries), codes.unbind(-1), strict=True):
            total = total + table[:, code]
        return total

    @torch.no_grad()
    def to_faiss(self, codes: Tensor) -> Any:
        """A faiss index of (n, m) codes whose inner products are `scores`, up to rounding in float32.

        Product codes give an `IndexPQ`, rotated ones the same behind a linear map, residual ones an
        `IndexResidualQuantizer` that sums look-up tables. What faiss itself adds later gets the nearest
        codes as they are now, which for `fixed` codes are not quite those of `assign`.

        Raises:
            InputError: faiss is not installed, or pieces are not equally wide, which faiss does not know.
        """
        faiss, bits, levels = _faiss(), self.bits, len(self.codebooks)
        books = np.concatenate([_filled(book, 1 << bits).ravel() for book in self.codebooks])
        if self.kind == "residual":
            by_tables = faiss.AdditiveQuantizer.ST_LUT_nonorm
            index = faiss.IndexResidualQuantizer(
                self.dimensions, levels, bits, faiss.METRIC_INNER_PRODUCT, by_tables
            )
            index.rq.max_beam_size = 1
            index.rq.is_trained = True
            faiss.copy_array_to_vector(books, index.rq.codebooks)
        else:
            widths = {book.shape[1] for book in self.codebooks}
            if len(widths) > 1:
                raise InputError(
                    f"faiss needs pieces of one width, these have {sorted(widths)}; levels must divide "
                    f"{self.dimensions} dimensions"
                )
            index = faiss.IndexPQ(self.dimensions, levels, bits, faiss.METRIC_INNER_PRODUCT)
            faiss.copy_array_to_vector(books, index.pq.centroids)
        index.is_trained = True
        index.add_sa_codes(faiss.pack_bitstrings(codes.cpu().numpy().astype(np.int32), bits))
        return index if self.rotation is None else _behind_rotation(faiss, self.rotation(), index)

    def _turned(self, vectors: Tensor) -> Tensor:
        return vectors if self.rotation is None else vectors @ self.rotation().mT

    def _pieces(self, points: Tensor) -> Sequence[Tensor]:
        """Per level (..., w), of what no level has changed."""
        if self.kind == "residual":
            return [points] * len(self.codebooks)
        return torch.split(points, [book.shape[1] for book in self.codebooks], -1)

    def _levels(
        self, points: Tensor, books: Sequence[Tensor], make: Callable[[Tensor, Tensor], Tensor]
    ) -> list[Tensor]:
        """Per level what `make(piece, book)` gives, residual levels being given what is left."""
        parts: list[Tensor] = []
        for piece, book in zip(self._pieces(points), books, strict=True):
            left = piece - torch.stack(parts).sum(0) if self.kind == "residual" and parts else piece
            parts.append(make(left, book))
        return parts

    def _joined(self, parts: list[Tensor]) -> Tensor:
        if self.kind == "residual":
            return torch.stack(parts).sum(0)
        whole = torch.cat(parts, -1)
        return whole if self.rotation is None else whole @ self.rotation()


def _nearness(piece: Tensor, book: Tensor) -> Tensor:
    """(n, w) and (K, w) -> (n, K) minus squared distances, but for the norm of the piece."""
    return 2 * piece @ book.mT - book.square().sum(-1)


def _check(codebooks: Sequence[Tensor], kind: str, rotation: Tensor | None, assignment: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}; choose one of {', '.join(KINDS)}")
    if assignment not in ASSIGNMENTS:
        raise ValueError(f"assignment={assignment!r}; choose one of {', '.join(ASSIGNMENTS)}")
    if rotation is not None and kind != "rotated_product":
        raise ValueError(f"kind={kind!r} has no rotation; leave it out or choose 'rotated_product'")
    shapes = [tuple(book.shape) for book in codebooks]
    same = len({shape[-1] for shape in shapes}) == 1 or kind != "residual"
    if not shapes or not same or any(len(shape) != 2 or 0 in shape for shape in shapes):
        raise ValueError(f"codebooks of shapes {shapes} are no {kind} codes: (codes, width) of each level")


def _filled(book: Tensor, size: int) -> np.ndarray:
    """(size, w) float32: a codebook and copies of its last code, which name nothing new."""
    codes = book.detach().float().cpu().numpy()
    return np.pad(codes, ((0, size - len(codes)), (0, 0)), mode="edge")


def _behind_rotation(faiss: Any, rotation: Tensor, index: Any) -> Any:
    """The index of turned vectors as one of the vectors themselves."""
    turn = faiss.LinearTransform(len(rotation), len(rotation), False)
    faiss.copy_array_to_vector(rotation.float().cpu().numpy().ravel(), turn.A)
    turn.is_trained = True
    turn.set_is_orthonormal()
    return faiss.IndexPreTransform(turn, index)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise InputError("the export needs faiss: pip install 'retrograd[faiss]'") from None
    return faiss

"""Beam search over legal docids: encode once, expand only the children that exist, keep the best.

The pure loop: it joins a sequence model to a constraint and knows no documents. Beams of a query
stand in the lexicographic order of their prefixes at every level, so "the first of equals" is the
tie rule everywhere. Shapes: B queries, w beams of a query (grows up to the width), R decoder rows,
E legal next tokens of all rows together, V tokens of a level, L levels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from retrograd.constraints import Children, Constraint
from retrograd.models.inputs import Memory

NORMALISE = ("level", "children", "none")

Prior = Callable[[Tensor, Tensor], Tensor]
"""What prefixes are worth beside their score: queries (E,) int64 and the states after each of their
candidates (E, ...) -> (E,) float. Asked of the candidates of a level only."""

_Judge = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Scores (E,), queries and states -> what decides which beams stay."""


class Groups(NamedTuple):
    """Queries whose beams are chosen with an eye on each other."""

    size: int
    """So many consecutive queries belong together."""

    choose: Callable[[Tensor, Tensor, int], Tensor]
    """Values and tokens of the candidates, both (B, M), and how many stay -> (B, count) positions,
    ascending. Padding is worth -inf; a beam that is done already has token -1."""


BLOCK_ROWS = 400
"""Decoder rows that are searched together on a processor, about: what passes from one matrix product
to the next then stays in its cache."""


@dataclass(frozen=True)
class BeamResult:
    """The best keys of each query, best first; equal scores in the order of the keys.

    The tensors are made in inference mode: clone one before autograd may see it.
    """

    keys: Tensor
    """(B, w) int64 rows of the docid table, -1 behind the last answer."""

    scores: Tensor
    """(B, w) float: sum of the steps; -inf where there is no answer."""

    paths: Tensor
    """(B, w, L) int64 tokens, -1 behind the end of a key."""

    steps: Tensor
    """(B, w, L) float: log-probability of each token, 0 behind the end of a key."""

    exact: Tensor | None = None
    """(B,) bool: whether no better key exists, for certain; None where nobody looked."""


@dataclass(frozen=True)
class _Level:
    """How the beams of one level continue those before; each (B, w)."""

    parent: Tensor
    token: Tensor
    step: Tensor


@dataclass
class _Beams:
    """The frontier of all queries. A beam is open (grows), done (a complete key) or dead."""

    score: Tensor
    """(B, w) float, -inf where dead."""

    state: Tensor
    """(B * w, ...) constraint states."""

    is_open: Tensor
    """(B, w) bool."""

    layout: _Layout | None = None
    """None while every beam is open: decoder row = flat beam."""

    levels: list[_Level] = field(default_factory=list)


@dataclass(frozen=True)
class _Layout:
    """Which beams the decoder rows stand for when some beams no longer grow."""

    slot: Tensor
    """(n,) int64: flat beams that are open, ascending."""

    row: Tensor
    """(n,) int64: their decoder rows, ascending."""

    row_of: Tensor
    """(B * w,) int64: decoder row of each flat beam, 0 where it has none."""


@torch.inference_mode()
def beam_search(
    model: Any,
    inputs: dict[str, Tensor],
    constraint: Constraint,
    *,
    width: int,
    normalise: str = "level",
    prior: Tensor | Prior | None = None,
    decoder_weight: float = 1.0,
    keep: int = 0,
    groups: Groups | None = None,
) -> BeamResult:
    """The best complete keys under a model. Exact when `width` is at least the number of keys.

    Args:
        model: a `models.encoder_decoder.EncoderDecoderModel` or the like, in eval mode.
        inputs: collated batch of B queries.
        width: beams kept per query; a complete key keeps its place as long as its score does.
        normalise: a step's log-probability is over the `level`'s vocabulary, over the legal
            `children` only, or the raw logit (`none`).
        prior: added to a prefix's score to decide which beams stay, by the constraint's state: (B,
            states) float, or a function that is asked of the candidates only. The reported scores
            are free of it (Zeng et al. 2024, arXiv 2404.14600, section 3.3). -inf rules a prefix out.
        decoder_weight: factor on the score in the same decision; at 0 the prior decides alone. The
            reported scores are free of it.
        keep: complete keys kept at the last level where more than `width`: they cost no step.
        groups: who chooses the beams instead of "the best `width`", for several queries at once.
    """
    check_normalise(normalise)
    if width < 1:
        raise ValueError(f"width={width} must be at least 1")
    widths = (*[width] * (model.depth - 1), max(width, keep))
    memory = model.encode(inputs)
    batch = len(memory.states)
    together = 1 if groups is None else groups.size
    at_once = together * max(1, BLOCK_ROWS // (width * together))
    size = at_once if memory.states.device.type == "cpu" else batch
    results = []
    for first in range(0, batch, size):
        some = slice(first, first + size)
        part = Memory(memory.states[some], memory.where[some])
        judge = _judge_of(prior, decoder_weight, first)
        results.append(_search_block(model, part, constraint, widths, normalise, judge, groups))
    return results[0] if len(results) == 1 else joined(results)


def joined(results: list[BeamResult]) -> BeamResult:
    """The results of blocks of queries one below the other; narrower ones are filled up."""
    widest = max(result.keys.shape[1] for result in results)

    def column(name: str, empty: float) -> Tensor:
        parts = [getattr(result, name) for result in results]
        sides = [(0, 0) * (part.dim() - 2) + (0, widest - part.shape[1]) for part in parts]
        return torch.cat([F.pad(part, side, value=empty) for part, side in zip(parts, sides, strict=True)])

    return BeamResult(
        column("keys", -1), column("scores", -torch.inf), column("paths", -1), column("steps", 0)
    )


def _judge_of(prior: Tensor | Prior | None, decoder_weight: float, first: int) -> _Judge | None:
    """What decides among the candidates of a block that starts at query `first`; None if the score does."""
    if prior is None and decoder_weight == 1:
        return None

    def judge(score: Tensor, query: Tensor, state: Tensor) -> Tensor:
        weighted = decoder_weight * score
        if prior is None:
            return weighted
        if isinstance(prior, Tensor):
            return weighted + prior[query + first, state if state.dim() == 1 else state[:, 0]]
        return weighted + prior(query + first, state)

    return judge


def _search_block(
    model: Any,
    memory: Memory,
    constraint: Constraint,
    widths: tuple[int, ...],
    normalise: str,
    judge: _Judge | None,
    groups: Groups | None,
) -> BeamResult:
    """`beam_search` of queries that are encoded already; one width per level."""
    cache = model.start(memory)
    batch = cache.rows
    logits, cache = model.step(cache)
    beams = _empty_prefixes(constraint, logits, batch)
    for level in range(model.depth):
        _expand(beams, logits, constraint, widths[level], normalise, judge, groups)
        if level + 1 == model.depth or not beams.is_open.any():
            break
        logits, cache = _grow(model, cache, beams)
    return _finish(beams, constraint, model.depth)


def check_normalise(normalise: str) -> None:
    """ValueError unless it is one of `NORMALISE`."""
    if normalise not in NORMALISE:
        raise ValueError(f"normalise={normalise!r}; choose one of {', '.join(NORMALISE)}")


def child_scores(logits: Tensor, row: Tensor | None, children: Children, normalise: str) -> Tensor:
    """Log-probability (or raw logit) of each legal next token: (E,) float.

    Args:
        logits: (R, V) of the level.
        row: (n,) int64: which row of `logits` each row of `children` reads; None if the same.
    """
    of = children.row if row is None else row.index_select(0, children.row)
    # index_select throughout: on a processor it is 2 to 4 times as fast as indexing
    picked = logits.view(-1).index_select(0, (of * logits.shape[1]).add_(children.token))
    if normalise == "none":
        return picked
    if normalise == "level":
        return picked.sub_(_log_mass(logits).index_select(0, of))
    count = torch.bincount(of, minlength=len(logits))
    picked -= torch.segment_reduce(picked, "max", lengths=count).index_select(0, of)
    mass = torch.segment_reduce(picked.exp(), "sum", lengths=count)
    return picked.sub_(mass.log().index_select(0, of))


def _log_mass(logits: Tensor) -> Tensor:
    """`logsumexp` of each row, (R, V) -> (R,), without its search for the maximum where that is safe."""
    mass = logits.exp().sum(dim=1).log_()
    # an outcome this far from the ends of the range of a float has lost nothing to them
    return mass if mass.abs().max() < 60 else logits.logsumexp(dim=1)


def first_best(values: Tensor, count: int) -> Tensor:
    """Positions of the `count` largest values of each row, ascending; of equals the first.

    `values`: (B, M) with M >= count. Returns (B, count) int64.

    >>> first_best(torch.tensor([[1.0, 3.0, 1.0, 1.0]]), 2).tolist()
    [[0, 1]]
    """
    best, at = values.topk(min(count + 1, values.shape[1]), dim=1)
    if best.shape[1] > count and (best[:, count - 1] == best[:, count]).any():
        at = values.sort(dim=1, descending=True, stable=True).indices  # top-k breaks ties as it likes
    return at[:, :count].sort(dim=1).values


def _empty_prefixes(constraint: Constraint, logits: Tensor, batch: int) -> _Beams:
    return _Beams(
        score=logits.new_zeros(batch, 1),
        state=constraint.start(batch),
        is_open=torch.ones(batch, 1, dtype=torch.bool, device=logits.device),
    )


def _candidates(
    beams: _Beams, logits: Tensor, constraint: Constraint, normalise: str
) -> tuple[Tensor, Children, Tensor]:
    """All ways to continue: flat beam (E,), sorted; the children; their steps (E,).

    A done beam continues as itself, by token -1 at no cost, in its place among the others.
    """
    layout = beams.layout
    if layout is None:
        children = constraint.children(beams.state)
        return children.row, children, child_scores(logits, None, children, normalise)
    children = constraint.children(beams.state.index_select(0, layout.slot))
    step = child_scores(logits, layout.row, children, normalise)
    beam = layout.slot.index_select(0, children.row)
    done = (~beams.is_open & (beams.score > -torch.inf)).flatten().nonzero().squeeze(1)
    if not len(done):
        return beam, children, step
    beam, order = torch.cat([beam, done]).sort(stable=True)
    token = torch.cat([children.token, torch.full_like(done, -1)]).index_select(0, order)
    state = torch.cat([children.state, beams.state.index_select(0, done)]).index_select(0, order)
    step = torch.cat([step, step.new_zeros(len(done))]).index_select(0, order)
    return beam, Children(beam, token, state), step


def _expand(
    beams: _Beams,
    logits: Tensor,
    constraint: Constraint,
    width: int,
    normalise: str,
    judge: _Judge | None,
    groups: Groups | None,
) -> None:
    """One level: score every candidate, keep the best `width` of each query."""
    batch, wide = beams.score.shape
    beam, children, step = _candidates(beams, logits, constraint, normalise)
    score = beams.score.view(-1).index_select(0, beam).add_(step)
    value = score if judge is None else judge(score, beam // wide, children.state)
    chosen, alive = _select(value, beam, batch, wide, width, children.token, groups)
    flat = chosen.view(-1)
    parent, token, step, score = (
        column.index_select(0, flat).view_as(chosen) for column in (beam, children.token, step, score)
    )
    beams.levels.append(_Level(parent, token, step))
    beams.state = children.state.index_select(0, flat)
    beams.score = score if alive is None else score.masked_fill_(~alive, -torch.inf)
    is_open = ~constraint.is_end(beams.state).view_as(chosen)
    beams.is_open = is_open if alive is None else is_open & alive


def _select(
    value: Tensor, beam: Tensor, batch: int, wide: int, width: int, token: Tensor, groups: Groups | None
) -> tuple[Tensor, Tensor | None]:
    """The candidates of each query that stay, in candidate order.

    Returns: (B, w') int64 candidates; (B, w') bool, False where a query has fewer, or None where
    all are real.
    """
    if batch == 1:
        padded, first = value.unsqueeze(0), beam.new_zeros(1)
    else:
        padded, first = padded_rows(value, beam, batch, wide)
    count = min(width, padded.shape[1])
    if groups is None:
        at = first_best(padded, count)
    else:
        place = torch.arange(padded.shape[1], device=first.device) + first.unsqueeze(1)
        at = groups.choose(padded, token[place.clamp_(max=len(token) - 1)], count)
    best = padded.gather(1, at)
    alive = best > -torch.inf
    chosen = at.add_(first.unsqueeze(1))
    if alive.all():
        return chosen, None
    return chosen.clamp_(max=max(len(value) - 1, 0)), alive


def padded_rows(value: Tensor, beam: Tensor, batch: int, wide: int) -> tuple[Tensor, Tensor]:
    """Candidates (E,) as one row per query, -inf behind the last; and where each query starts (B,)."""
    bounds = torch.searchsorted(beam, torch.arange(batch + 1, device=beam.device) * wide)
    count = bounds.diff()
    longest = int(count.max())
    if longest == int(count.min()):
        return value.view(batch, longest), bounds[:-1]
    padded = value.new_full((batch, longest), -torch.inf)
    padded.masked_scatter_(torch.arange(longest, device=beam.device) < count.unsqueeze(1), value)
    return padded, bounds[:-1]


def _grow(model: Any, cache: Any, beams: _Beams) -> tuple[Tensor, Any]:
    """Feed the last token of every open beam; queries with fewer open beams are padded."""
    batch, wide = beams.score.shape
    before, previous = beams.levels[-1], beams.layout
    parent = before.parent.view(-1)
    if previous is not None:
        parent = previous.row_of.index_select(0, parent)
    if beams.is_open.all():
        beams.layout = None
        logits, cache = model.step(cache, before.token.view(-1), parent)
        return logits, cache
    rows = int(beams.is_open.sum(dim=1).max())
    place = beams.is_open.sort(dim=1, descending=True, stable=True).indices[:, :rows]
    flat = (torch.arange(batch, device=place.device).unsqueeze(1) * wide + place).flatten()
    row = beams.is_open.view(-1).index_select(0, flat).nonzero().squeeze(1)
    slot = flat.index_select(0, row)
    row_of = torch.zeros(batch * wide, dtype=torch.int64, device=place.device).index_copy_(0, slot, row)
    beams.layout = _Layout(slot, row, row_of)
    token = before.token.view(-1).index_select(0, flat).clamp_(min=0)
    logits, cache = model.step(cache, token, parent.index_select(0, flat))
    return logits, cache


def _finish(beams: _Beams, constraint: Constraint, depth: int) -> BeamResult:
    """Complete keys, best first, with the way that led to each."""
    batch, wide = beams.score.shape
    done = ~beams.is_open & (beams.score > -torch.inf)
    score = beams.score.masked_fill(~done, -torch.inf)
    score, slot = score.sort(dim=1, descending=True, stable=True)
    answered = score > -torch.inf
    at = (slot + torch.arange(batch, device=slot.device).unsqueeze(1) * wide).flatten()
    keys = constraint.key(beams.state.index_select(0, at)).view(batch, wide).masked_fill_(~answered, -1)
    paths = torch.full((batch, wide, depth), -1, dtype=torch.int64, device=slot.device)
    steps = score.new_zeros(batch, wide, depth)
    for index in reversed(range(len(beams.levels))):
        level = beams.levels[index]
        paths[:, :, index] = level.token.view(-1).index_select(0, at).view(batch, wide)
        steps[:, :, index] = level.step.view(-1).index_select(0, at).view(batch, wide)
        at = level.parent.view(-1).index_select(0, at)
    if not answered.all():
        paths.masked_fill_(~answered.unsqueeze(2), -1)
        steps.masked_fill_(~answered.unsqueeze(2), 0.0)
    return BeamResult(keys, score, paths, steps)

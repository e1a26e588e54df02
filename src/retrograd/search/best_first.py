"""Best-first search over a trie: the open prefix with the highest bound grows next, until no bound is left
that could beat the k-th key found.

A log-probability only falls as a prefix grows, so a prefix's score bounds every key below it, and what is
found when all bounds are lower is the exact top k (Hart, Nilsson and Raphael 1968). Walks each query alone;
prefixes of all depths grow in one step. Knows no documents.
Shapes: B queries, N trie nodes, L levels, m open prefixes of one query, E children.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from retrograd.constraints import AllowList, CsrTrie, trie_of
from retrograd.models.inputs import Memory
from retrograd.search.beam import BeamResult, Prior, check_normalise, child_scores, first_best, joined
from retrograd.search.score_all import spelt


@torch.inference_mode()
def best_first(
    model: Any,
    inputs: dict[str, Tensor],
    constraint: CsrTrie | AllowList,
    *,
    count: int,
    expansions: int = 32,
    most_steps: int = 100,
    normalise: str = "level",
    prior: Tensor | Prior | None = None,
    hint: Tensor | None = None,
) -> BeamResult:
    """The `count` best keys, with `exact` True where no better one exists; equal scores in the order of keys.

    Args:
        model: as in `beam.beam_search`.
        inputs: collated batch of B queries.
        count: keys wanted, at least 1.
        expansions: prefixes of a query that grow in one step.
        most_steps: steps of a query at most, the first not counted. When they are used up, the best keys
            so far are answered and `exact` is False.
        normalise: as in `beam.beam_search`. Raw logits (`none`) may rise as a prefix grows, so they need
            a `prior`.
        prior: at least the best score that a prefix can still gain, by trie node: (B, N) float, or a
            function as in `beam.Prior`. The closer to the truth, the fewer steps; one that is too low
            makes `exact` void. Ignored where a key ends, but -inf rules a prefix or key out.
        hint: (B, w) keys that are probably good, such as a beam's, -1 for none. All prefixes of them
            grow in the first step, so that even without further steps no answer is worse than they are.

    Raises:
        ValueError: a number that is too small, or raw logits without a prior.
    """
    check_normalise(normalise)
    if min(count, expansions) < 1 or most_steps < 0:
        raise ValueError(f"count={count} and expansions={expansions} must be at least 1, {most_steps=} 0")
    if normalise == "none" and prior is None:
        raise ValueError("raw logits bound nothing: give a prior, or normalise by 'level' or 'children'")
    memory = model.encode(inputs)
    trie = trie_of(constraint)
    results, exact = [], []
    for query in range(len(memory.states)):
        one = Memory(memory.states[query : query + 1], memory.where[query : query + 1])
        walk = _Walk(model, one, constraint, trie, normalise)
        frontier = _Frontier(walk, count, _asked_of(prior, query))
        exact.append(frontier.search(_prefixes(trie, hint, query), expansions, most_steps))
        node = frontier.found.unsqueeze(0)
        results.append(spelt(walk.step.unsqueeze(0), trie, node, walk.score[node]))
    return replace(joined(results), exact=torch.tensor(exact, device=memory.states.device))


def _asked_of(prior: Tensor | Prior | None, query: int) -> Prior:
    """The prior of one query, whatever query it is asked for."""
    if prior is None:
        return lambda _, node: torch.zeros(len(node), device=node.device)
    if isinstance(prior, Tensor):
        return lambda _, node: prior[query, node]
    return lambda _, node: prior(torch.full_like(node, query), node)


def _prefixes(trie: CsrTrie, hint: Tensor | None, query: int) -> Tensor:
    """The root and all inner nodes that lead to the hinted keys, ascending."""
    node = trie.start(1)
    if hint is not None:
        node = torch.cat([node, trie.node_of_key[hint[query][hint[query] >= 0]]])
    every = _with_ancestors(trie, node)
    return every[~trie.is_end(every)]


def _with_ancestors(trie: CsrTrie, node: Tensor) -> Tensor:
    """(n,) nodes and everything above them, ascending, so the least deep first."""
    lineage = [node]
    while bool(lineage[-1].any()):
        lineage.append(trie.parent[lineage[-1]])
    every: Tensor = torch.unique(torch.cat(lineage))
    return every


class _Walk:
    """One query's decoder: what prefixes score, and how they go on."""

    def __init__(
        self, model: Any, memory: Memory, constraint: CsrTrie | AllowList, trie: CsrTrie, normalise: str
    ) -> None:
        self._model, self._normalise = model, normalise
        self.constraint, self.trie = constraint, trie
        self._root = model.step(model.start(memory))
        self.step = self._root[0].new_zeros(trie.num_nodes)
        """(N,) log-probability of the last token of each prefix reached."""
        self.score = self.step.clone()
        """(N,) the sum of these down to a prefix."""

    def children(self, node: Tensor) -> Tensor:
        """Prefixes one token longer, (E,) int64, scored; `node` (n,) ascending inner nodes.

        The decoder reads each prefix from its start: its caches hold one depth, the nodes have many.
        """
        logits, cache = self._root
        every, above, reached = _with_ancestors(self.trie, node), node, []
        for depth in range(self._model.depth):
            first, after = self.trie.level_start[depth : depth + 2]
            rows = every[(every >= first) & (every < after)]
            if not len(rows):
                break
            if depth:
                parent = torch.searchsorted(above, self.trie.parent[rows])
                logits, cache = self._model.step(cache, self.trie.token[rows].long(), parent)
            grown = torch.isin(rows, node).nonzero().squeeze(1)
            children = self.constraint.children(rows[grown])
            if len(children.state):
                step = child_scores(logits, grown, children, self._normalise)
                if self._normalise != "none":
                    step.clamp_(max=0)  # rounding must not lift a prefix over its bound
                self.step[children.state] = step
                self.score[children.state] = self.score[rows[grown][children.row]] + step
                reached.append(children.state)
            above = rows
        return torch.cat([node[:0], *reached])


class _Frontier:
    """One query's open prefixes and the best keys so far."""

    def __init__(self, walk: _Walk, count: int, prior: Prior) -> None:
        self._walk, self._count, self._prior = walk, count, prior
        self._open = walk.trie.start(0)
        self._bound = walk.score[:0]
        self.found = self._open
        """(up to `count`,) leaves, best first."""

    def search(self, node: Tensor, expansions: int, most_steps: int) -> bool:
        """Grow `node`, then the best open prefixes; whether nothing better is left."""
        self._grow(node)
        for _ in range(most_steps):
            if not len(self._open):
                break
            best = first_best(self._bound.unsqueeze(0), min(expansions, len(self._open)))[0]
            node = self._open[best].sort().values
            rest = torch.ones_like(self._open, dtype=torch.bool).index_fill_(0, best, False)
            self._open, self._bound = self._open[rest], self._bound[rest]
            self._grow(node)
        return not len(self._open)

    def _grow(self, node: Tensor) -> None:
        """Add the children of `node` that are not themselves among them; drop what cannot win any more."""
        walk = self._walk
        reached = walk.children(node)
        reached = reached[~torch.isin(reached, node)]
        gain, ends = self._prior(reached, reached), walk.trie.is_end(reached)
        self._found(reached[ends & (walk.score[reached] + gain > -torch.inf)])
        self._open = torch.cat([self._open, reached[~ends]])
        self._bound = torch.cat([self._bound, walk.score[reached[~ends]] + gain[~ends]])
        least = walk.score[self.found[-1]] if len(self.found) == self._count else -torch.inf
        # a bound that equals the k-th score may hide an equal key that comes first
        alive = (self._bound >= least) & (self._bound > -torch.inf)
        self._open, self._bound = self._open[alive], self._bound[alive]

    def _found(self, leaf: Tensor) -> None:
        every = torch.cat([self.found, leaf])
        every = every[self._walk.trie.place_of_leaf[every].argsort()]
        best = self._walk.score[every].sort(descending=True, stable=True).indices
        self.found = every[best[: self._count]]

"""Exact search by brute force: the score of every docid, sharing the work of common prefixes.

One decoder row per inner node of the trie, depth first in blocks, so that memory stays flat. For
one-token docids this is a single matrix product. Knows no documents.
Shapes: B queries, N trie nodes, A nodes of a block, E edges below them, n keys, L levels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from retrograd.constraints import Children, CsrTrie
from retrograd.search.beam import BeamResult, check_normalise, child_scores, first_best
from retrograd.search.look_ahead import Descendants


@torch.inference_mode()
def score_nodes(
    model: Any, inputs: dict[str, Tensor], trie: CsrTrie, *, normalise: str = "level", block: int = 2048
) -> Tensor:
    """Log-probability of the last token of every prefix: (B, N) float; 0 at the root.

    Args:
        model: a `models.encoder_decoder.EncoderDecoderModel` or the like, in eval mode.
        inputs: collated batch of B queries.
        normalise: as in `beam.beam_search`.
        block: decoder rows in one step, about.
    """
    check_normalise(normalise)
    cache = model.start(model.encode(inputs))
    batch = cache.rows
    logits, cache = model.step(cache)
    steps: Tensor = logits.new_zeros(batch, trie.num_nodes)

    def fill(logits: Tensor, cache: Any, nodes: Tensor) -> None:
        children = trie.children(nodes)
        steps[:, children.state] = _block_scores(logits, children, len(nodes), normalise)
        inner = (~trie.is_end(children.state)).nonzero().squeeze(1)
        rows = max(1, block // batch)
        for first in range(0, len(inner), rows):
            part = inner[first : first + rows]
            fill(*_descend(model, cache, children, part, batch), children.state[part])

    fill(logits, cache, trie.start(1))
    return steps


def _block_scores(logits: Tensor, children: Children, rows: int, normalise: str) -> Tensor:
    """(B, E) scores of the children of one block of nodes, for every query."""
    batch = len(logits) // rows
    shift = torch.arange(batch, device=logits.device).unsqueeze(1) * rows
    every = Children(
        (children.row + shift).flatten(), children.token.repeat(batch), children.state.repeat(batch)
    )
    return child_scores(logits, None, every, normalise).view(batch, -1)


def _descend(model: Any, cache: Any, children: Children, part: Tensor, batch: int) -> tuple[Tensor, Any]:
    """One decoder step for some of the children, for every query."""
    rows = cache.rows // batch
    shift = torch.arange(batch, device=part.device).unsqueeze(1) * rows
    parent = (children.row[part] + shift).flatten()
    logits, cache = model.step(cache, children.token[part].repeat(batch), parent)
    return logits, cache


def prefix_scores(steps: Tensor, trie: CsrTrie) -> Tensor:
    """(B, N): the sum of the steps down to each prefix.

    Args:
        steps: (B, N) from `score_nodes`.
    """
    total = steps.clone()
    for first, after in zip(trie.level_start[1:-1], trie.level_start[2:], strict=True):
        total[:, first:after] += total[:, trie.parent[first:after]]
    return total


def best_gain(total: Tensor, trie: CsrTrie) -> Tensor:
    """(B, N): what each prefix's best key still adds to its score; 0 where a key ends.

    As a prior of `beam.beam_search` it makes a beam of k exact for the best k keys.

    Args:
        total: (B, N) from `prefix_scores`.
    """
    leaves = trie.leaves.long()
    below = Descendants(trie, leaves, torch.arange(len(leaves), device=leaves.device))
    return below.best(total[:, leaves]) - total


@torch.inference_mode()
def best_keys(steps: Tensor, trie: CsrTrie, count: int) -> BeamResult:
    """The `count` best keys of the scores of all prefixes; equal scores in the order of the keys.

    Args:
        steps: (B, N) from `score_nodes`.
        count: at most the number of keys is answered.
    """
    leaves = trie.leaves.long()
    score = prefix_scores(steps, trie)[:, leaves]
    at = first_best(score, min(count, len(leaves)))
    best, order = score.gather(1, at).sort(dim=1, descending=True, stable=True)
    node = leaves[at.gather(1, order)]
    return spelt(steps, trie, node, best)


def spelt(steps: Tensor, trie: CsrTrie, node: Tensor, score: Tensor) -> BeamResult:
    """The keys that end at given leaves, with the way that leads to each.

    Args:
        steps: (B, N) log-probability of the last token of every prefix that leads to one of the leaves.
        node: (B, k) int64, best first.
        score: (B, k) float.
    """
    keys = trie.key(node.flatten()).view_as(node)
    depth = len(trie.level_start) - 2
    paths = torch.full((*node.shape, depth), -1, dtype=torch.int64, device=node.device)
    parts = score.new_zeros(paths.shape)
    for level in reversed(range(depth)):
        here = node >= trie.level_start[level + 1]
        paths[:, :, level] = torch.where(here, trie.token[node].long(), -1)
        parts[:, :, level] = steps.gather(1, node).masked_fill_(~here, 0.0)
        node = torch.where(here, trie.parent[node], node)
    return BeamResult(keys, score, paths, parts)

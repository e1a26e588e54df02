"""Differentiable retrieval: the support is chosen without gradient, the weights carry the gradient.

The door to a memory that can be searched inside a loss. Each name is imported when it is first used.

>>> import torch
>>> from retrograd.differentiable import Memory, TopK, retrieve
>>> retrieve(torch.zeros(2), Memory(torch.eye(2)), TopK(2))
tensor([0.5000, 0.5000])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrograd.evaluation.diagnostics.collapse import collapse_report
    from retrograd.evaluation.diagnostics.support import break_even, estimator_report, fidelity
    from retrograd.indexes.cached import Cached
    from retrograd.indexes.hashing import LSH
    from retrograd.indexes.memory import Memory
    from retrograd.indexes.proposals import (
        Given,
        InBatch,
        Lexical,
        Neighbours,
        Posterior,
        TopK,
        Uniform,
        Union,
    )
    from retrograd.indexes.refresh import Drift, Every, Never
    from retrograd.indexes.retrieve import retrieve
    from retrograd.indexes.router import Probe, Router
    from retrograd.indexes.sharded import Sharded
    from retrograd.models.policies import StoppingPolicy
    from retrograd.models.product_key_memory import ProductKeyMemory
    from retrograd.models.scores import Cosine, CrossScore, Dot, GraphScore, MaxSim, Mixture, SparseDot
    from retrograd.ops.aggregate import aggregate
    from retrograd.ops.fuse import fuse_in_context
    from retrograd.ops.hits import Hits
    from retrograd.ops.labels import Label
    from retrograd.ops.select import select
    from retrograd.ops.temperature import Temperature
    from retrograd.quantizers.trainable import TrainableQuantizer
    from retrograd.search.hop import Hop
    from retrograd.training.quantizer import train_quantizer

_NAMES = {
    "evaluation.diagnostics.collapse": ("collapse_report",),
    "evaluation.diagnostics.support": ("break_even", "estimator_report", "fidelity"),
    "indexes.cached": ("Cached",),
    "indexes.hashing": ("LSH",),
    "indexes.memory": ("Memory",),
    "indexes.proposals": (
        "Given",
        "InBatch",
        "Lexical",
        "Neighbours",
        "Posterior",
        "TopK",
        "Uniform",
        "Union",
    ),
    "indexes.refresh": ("Drift", "Every", "Never"),
    "indexes.retrieve": ("retrieve",),
    "indexes.router": ("Probe", "Router"),
    "indexes.sharded": ("Sharded",),
    "models.policies": ("StoppingPolicy",),
    "models.product_key_memory": ("ProductKeyMemory",),
    "models.scores": ("Cosine", "CrossScore", "Dot", "GraphScore", "MaxSim", "Mixture", "SparseDot"),
    "ops.aggregate": ("aggregate",),
    "ops.fuse": ("fuse_in_context",),
    "ops.hits": ("Hits",),
    "ops.labels": ("Label",),
    "ops.select": ("select",),
    "ops.temperature": ("Temperature",),
    "quantizers.trainable": ("TrainableQuantizer",),
    "search.hop": ("Hop",),
    "training.quantizer": ("train_quantizer",),
}
"""Module -> the public names it defines."""

_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "LSH",
    "Cached",
    "Cosine",
    "CrossScore",
    "Dot",
    "Drift",
    "Every",
    "Given",
    "GraphScore",
    "Hits",
    "Hop",
    "InBatch",
    "Label",
    "Lexical",
    "MaxSim",
    "Memory",
    "Mixture",
    "Neighbours",
    "Never",
    "Posterior",
    "Probe",
    "ProductKeyMemory",
    "Router",
    "Sharded",
    "SparseDot",
    "StoppingPolicy",
    "Temperature",
    "TopK",
    "TrainableQuantizer",
    "Uniform",
    "Union",
    "aggregate",
    "break_even",
    "collapse_report",
    "estimator_report",
    "fidelity",
    "fuse_in_context",
    "retrieve",
    "select",
    "train_quantizer",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = globals()[name] = getattr(import_module(f"retrograd.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return list(__all__)

"""Any recipe cut down until it fits in a second and needs no pretrained weights."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

from retrograd.models.text_encoder import MiniLM
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.recipe import Recipe, Stage


def small(recipe: Recipe, steps: int = 4) -> Recipe:
    """The same six choices with a TF-IDF encoder, narrow layers and a handful of steps."""
    return _shrunk(recipe, steps)


def _shrunk(value: Any, steps: int) -> Any:
    if isinstance(value, MiniLM):
        return TfidfSvd(dimensions=16)
    if isinstance(value, tuple):
        return tuple(_shrunk(item, steps) for item in value)
    if not is_dataclass(value):
        return value
    changed = {f.name: _shrunk(getattr(value, f.name), steps) for f in fields(value)}
    for name, number in {"width": 32, "per_document": 2, "drawn": 16}.items():
        if name in changed and type(value).__name__ != "Beam":
            changed[name] = number
    if isinstance(value, Stage):
        changed |= {"min_steps": steps, "max_steps": steps, "batch_size": 16, "validate_every": 2}
    return replace(value, **changed)

"""Plain memory: what a learned index must be shown beside wherever queries come back."""

from __future__ import annotations

from dataclasses import replace

from retrograd.recipe import Recipe
from retrograd.recipes.dense import dense
from retrograd.search.memo import ClickMemo
from retrograd.search.nearest import Nearest


def click_memo() -> Recipe:
    """The train clicks of a query by count, then MiniLM: what plain memory reaches where queries return."""
    return replace(
        dense(),
        name="click_memo",
        summary="remembered clicks of the same query first, then MiniLM",
        search=ClickMemo(then=Nearest()),
    )

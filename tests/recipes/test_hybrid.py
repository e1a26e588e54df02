"""The hybrids are the trained dual encoder and another way of searching, nothing else."""

import pytest

from retrograd.recipe import differences
from retrograd.recipes import recipe
from retrograd.search.combine import Fuse
from retrograd.search.lexical import Lexical
from retrograd.search.nearest import Nearest


@pytest.mark.parametrize("name", ["hybrid_dual_encoder", "hybrid_rrf_dual_encoder"])
def test_only_the_search_differs_from_the_dual_encoder(name):
    found = {path for path, _, _ in differences(recipe("dual_encoder"), recipe(name))}
    assert {path.partition(".")[0] for path in found} == {"name", "summary", "search", "cites"}
    assert recipe(name).search.parts == (Lexical(), Nearest())


def test_the_two_differ_by_the_rule_of_fusion():
    rules = [recipe(name).search.rule for name in ("hybrid_dual_encoder", "hybrid_rrf_dual_encoder")]
    assert rules == ["z_score", Fuse(parts=(Lexical(),)).rule]

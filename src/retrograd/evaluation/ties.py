"""Ties: what a measure becomes when equal scores are ordered by another rule than the system's own.

A counter scores many items alike; which of them happens to come first can move recall by a fifth. Knows
rankings with scores and judgements. A tie is an equal score, to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from retrograd.errors import InputError
from retrograd.types import Hit, Qrels, Ranking

TIE_RULES = ("as_ranked", "worst", "popularity")
"""`as_ranked`: the system's own order. `worst`: what is relevant comes last among its equals.
`popularity`: the more popular first, and last among equals of that too."""


def with_ties(
    ranking: Ranking, qrels: Qrels, rule: str, k: int, popularity: Mapping[str, float] | None = None
) -> Ranking:
    """The ranking with equal scores ordered by one of `TIE_RULES`.

    Args:
        k: how many answers were asked for. Where the last of so many ties with a relevant document, there
            may be more of its equals, so it counts as last whatever the rule.
        popularity: document -> count; for the rule of that name.

    Raises:
        InputError: an unknown rule, or no popularity for the rule that needs it.

    >>> tied = Ranking(("q",), ((Hit("a", 1.0), Hit("b", 1.0)),))
    >>> with_ties(tied, {"q": {"a": 1}}, "worst", 5).documents()
    {'q': ['b', 'a']}
    """
    if rule not in TIE_RULES:
        raise InputError(f"ties by {rule!r:.40} are not known; choose one of {', '.join(TIE_RULES)}")
    if rule == "as_ranked":
        return ranking
    if rule == "popularity" and popularity is None:
        raise InputError("nobody counted the popularity of these documents; choose another rule for ties")
    counts: Mapping[str, float] = (popularity or {}) if rule == "popularity" else {}
    hits = tuple(_reordered(hits, qrels.get(query, {}), counts, k) for query, hits in ranking)
    return replace(ranking, hits=hits)


def _reordered(
    hits: Sequence[Hit], grades: Mapping[str, int], counts: Mapping[str, float], k: int
) -> tuple[Hit, ...]:
    cut_off = hits[-1].score if len(hits) == k else None

    def place(hit: Hit) -> tuple[float, float, bool]:
        relevant = grades.get(hit.document, 0) > 0
        count = float("-inf") if relevant and hit.score == cut_off else counts.get(hit.document, 0)
        return -hit.score, -count, relevant

    return tuple(sorted(hits, key=place))

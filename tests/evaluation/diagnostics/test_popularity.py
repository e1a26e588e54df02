"""The popularity audit: who is found, and how popular what is shown is."""

import numpy as np
import pytest

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.popularity import AuditSettings, audit_popularity, judged
from retrograd.evaluation.significance import Resampling
from retrograd.types import Hit, Ranking

IDS = [f"d{n:02}" for n in range(12)]
POPULARITY = {id: 2.0 ** (10 - n) for n, id in enumerate(IDS[:10])}
"""Ten documents in five pairs, from 1024 down; the last two were never taken."""

QRELS = {f"q{n}": {id: 1} for n, id in enumerate(IDS)}
FEW = AuditSettings(k=2, resampling=Resampling(draws=200))


def lists(answers):
    return Ranking(
        tuple(answers), tuple(tuple(Hit(d, -n) for n, d in enumerate(found)) for found in answers.values())
    )


def test_a_system_that_shows_the_head_to_everybody_hits_only_the_head():
    found = audit_popularity(lists(dict.fromkeys(QRELS, IDS[:2])), QRELS, IDS, POPULARITY, FEW)
    assert [part.hit_rate.mean for part in found.slices] == [1, 0, 0, 0, 0, 0]
    assert [part.name for part in found.slices] == ["1", "2", "3", "4", "5", "none"]
    assert [(part.least, part.most) for part in found.slices[:2]] == [(512, 1024), (128, 256)]
    assert found.list_popularity == (1024 + 512) / 2
    assert found.relevant_popularity == found.catalogue_popularity == sum(POPULARITY.values()) / 12
    assert found.lift == found.list_popularity / found.relevant_popularity
    assert found.exposure_gini == pytest.approx(10 / 12)


def test_a_perfect_system_serves_every_part_and_lifts_nobody():
    perfect = lists({query: list(grades) for query, grades in QRELS.items()})
    found = audit_popularity(perfect, QRELS, IDS, POPULARITY, FEW)
    assert [part.hit_rate.mean for part in found.slices] == [1] * 6
    assert [part.ndcg.mean for part in found.slices] == [1] * 6
    assert (found.lift, found.exposure_gini) == (1, 0)


def test_only_the_first_k_and_only_judged_queries_count():
    late = lists({"q0": [IDS[5], IDS[6], IDS[0]], "other": [IDS[0]]})
    found = audit_popularity(late, {"q0": {IDS[0]: 1}}, IDS, POPULARITY, FEW)
    assert found.slices[0].hit_rate.mean == 0
    assert found.list_popularity == np.mean([POPULARITY[IDS[5]], POPULARITY[IDS[6]]])
    assert judged(late, QRELS, 1).documents() == {"q0": [IDS[5]]}


def test_hit_rate_and_ndcg_have_the_intervals_of_their_queries():
    half = lists({query: list(grades) if n % 2 else [] for n, (query, grades) in enumerate(QRELS.items())})
    for part in audit_popularity(half, QRELS, IDS, POPULARITY, FEW).slices:
        assert part.num_queries == 2
        assert (part.hit_rate.low, part.hit_rate.mean, part.hit_rate.high) == (0, 0.5, 1)
        assert part.ndcg.mean <= part.hit_rate.mean


@pytest.mark.parametrize("count", [-1.0, float("nan"), float("inf")])
def test_a_count_that_is_none_is_refused(count):
    with pytest.raises(InputError, match="popularity"):
        audit_popularity(lists({"q0": [IDS[0]]}), QRELS, IDS, {IDS[0]: count}, FEW)


def test_an_answer_outside_the_catalogue_is_named():
    with pytest.raises(InputError, match="'gone'"):
        audit_popularity(lists({"q0": ["gone"]}), QRELS, IDS, POPULARITY, FEW)

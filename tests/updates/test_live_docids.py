"""Any history of a live generative system: docids and trie are carried on and answer as fresh ones."""

import random
from dataclasses import replace

import pytest

from retrograd.data.dataset import load_dataset
from retrograd.docid_table import DocidTable
from retrograd.docids.quantised import Quantised
from retrograd.docids.tree import children_of
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.native import Library, find
from retrograd.recipes import recipe
from retrograd.search.generative import Beam, ScoreAll
from retrograd.search.lexical import Lexical
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Document
from retrograd.updates.live import Change, LiveSystem
from tests.small_systems import small

ENGINES = ("torch", "native") if isinstance(find(), Library) else ("torch",)
WAYS = [*(Beam(width=3, engine=name) for name in ENGINES), Beam(width=3, planner=Lexical()), ScoreAll()]
QUESTIONS = ["depth of an image", "forecast of rain number 2", ""]
WORDS = ("rain", "snow", "image", "depth", "speech", "translate", "weather", "sound")


@pytest.fixture(scope="module", params=["suffix", "expand"])
def fitted(request, tiny_data, tmp_path_factory):
    """Few codes, so that documents share them, under a network without training."""
    docids = Quantised(encoder=TfidfSvd(dimensions=16), levels=2, codes=4, collisions=request.param)
    made = replace(small(recipe("dsi_semantic")), docids=docids, stages=(), search=WAYS[0])
    return fit(made, load_dataset(tiny_data), tmp_path_factory.mktemp("live") / "s").folder


def step(live, draw, number):
    """One random change."""
    ids = live.system.corpus.ids

    def document(id):
        return Document(id, " ".join(draw.choices(WORDS, k=3)), metadata={"odd": draw.randrange(2)})

    kind = draw.choice(["add", "add", "update", "delete", "both", "rollback", "rollback", "compact"])
    if kind == "add":
        live.add([document(f"n{number}-{at}") for at in range(draw.randint(1, 3))])
    elif kind == "update":
        live.update([document(id) for id in draw.sample(ids, 2)])
    elif kind == "delete":
        live.delete(draw.sample(ids, 2))
    elif kind == "both":
        gone, other = draw.sample(ids, 2)
        live.apply(Change(put=(document(other), document(f"n{number}")), delete=(gone,)))
    elif kind == "compact":
        live.compact()
    else:
        others = [g.number for g in live.history() if g.restores is None and g.number != live.generation]
        if others and live.history()[0].restores is None:
            live.rollback(draw.choice(others))


def from_nothing(system):
    """The same system with the relation of its keys as a new table, in another order of rows."""
    table = system.table
    told = table.keys_of_some(range(len(system.corpus)))
    pairs = [(key, row) for row, keys in enumerate(told) for key in keys]
    made = DocidTable.from_keys(
        *zip(*pairs, strict=True), table.document_ids, level_sizes=table.level_sizes, state=table.state
    )
    return replace(system.parts, table=made)


def answers(system, parts):
    """What every way of asking says, with a filter too, and what an explorer of ids shows."""
    where = {"odd": 1} if any("odd" in document.metadata for document in system.corpus) else {"id": "none"}
    said = []
    for way in WAYS:
        asked = replace(system, parts=parts, searcher=way.build(parts))
        said += [asked.search(QUESTIONS, 5), asked.search(QUESTIONS, 99, where)]
    roots = children_of(parts.table)
    return said, roots, [children_of(parts.table, [branch.token]) for branch in roots]


@pytest.mark.parametrize("seed", range(2))
def test_after_every_step_of_a_random_history_it_answers_as_if_made_from_nothing(fitted, seed):
    draw, carried, held = random.Random(seed), 0, []
    with LiveSystem.open(fitted) as live:
        for number in range(10):
            before = live.system
            step(live, draw, f"{seed}.{number}")
            system = live.system
            expected = answers(system, from_nothing(system))
            assert answers(system, system.parts) == expected
            held.append((system, system.search(QUESTIONS, 5)))
            carried += system is not before and getattr(system.parts.trie, "base", None) is not None
        opened = System.load(fitted)
        assert answers(opened, opened.parts) == expected
        for system, said in held:
            assert system.search(QUESTIONS, 5) == said
    assert carried > 3

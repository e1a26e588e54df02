"""Walking down a tree of ids: every item's probability, and what happens to items that come and go."""

import numpy as np
import pytest
import torch

from retrograd.data.sequences import pack
from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys
from retrograd.docids.edit import edited
from retrograd.errors import InputError
from retrograd.models.id_tree import IdTreeTransformer
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.search.id_tree import IdTreeScores, log_softmax_among
from retrograd.search.learning import takes_history, takes_text
from retrograd.search.next_item import UNPROPOSED
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, Query

IDS = tuple("abcdefgh")
CORPUS = Corpus(Document(item, title=f"kind{at % 2} {item * 3}") for at, item in enumerate(IDS))
KEYS = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [2, 0], [2, 1], [2, 2]]
TABLE = DocidTable.from_keys(KEYS, range(8), IDS, level_sizes=(4, 3))
LENGTH = 4


def parts_of(corpus=CORPUS, table=TABLE, *, reads_text=False):
    config = IdTreeTransformer(
        width=8, heads=1, length=LENGTH, reads_text=reads_text, encoder=TfidfSvd(dimensions=4)
    )
    model = config.build(config.fit(CORPUS.contents), TABLE, seed=3).eval()
    with torch.no_grad():
        for turn in model.turns:
            turn.weight.normal_(generator=torch.Generator().manual_seed(5))
    return Parts(corpus, model, table)


def answers(parts, history, k=20, **settings):
    searcher = IdTreeScores(**settings).build(parts)
    return {hit.document: hit.score for hit in searcher.search([Query("q", "", tuple(history))], k).hits[0]}


def test_it_says_what_it_reads():
    assert takes_history(IdTreeScores())
    assert not takes_text(IdTreeScores())


@pytest.mark.parametrize("reads_text", [False, True])
def test_scores_are_log_probabilities_down_the_path(reads_text):
    parts = parts_of(reads_text=reads_text)
    found = answers(parts, "abc", exclude_history=False)
    assert np.exp(list(found.values())).sum() == pytest.approx(1, abs=1e-5)
    model = parts.model
    states = torch.from_numpy(
        model.last_states(pack([np.array([0, 1, 2])], LENGTH), model.all_item_vectors())
    )
    for row, item in enumerate(IDS):
        total = 0.0
        for choice in model.choices(states, torch.tensor([row])):
            scores = (choice.states @ choice.classes.T)[0]
            siblings = scores[choice.starts[choice.groups[0]] : choice.starts[choice.groups[0] + 1]]
            total += siblings.log_softmax(0)[choice.targets[0] - choice.starts[choice.groups[0]]].item()
        assert found[item] == pytest.approx(total, abs=1e-4)


def test_what_the_history_holds_is_no_answer():
    assert set(answers(parts_of(), "abc")) == set(IDS) - set("abc")


def test_an_empty_history_has_no_answer():
    assert answers(parts_of(), "") == {}


def test_only_the_newest_items_are_read_where_a_history_is_longer_than_the_model():
    long, short = (answers(parts_of(), history, exclude_history=False) for history in ("gfabcd", "abcd"))
    assert list(long.values()) == pytest.approx(list(short.values()), abs=1e-5)


def grown(reads_text):
    corpus = Corpus([*CORPUS, Document("new", title="kind0 aaa"), Document("far", title="kind1")])
    return parts_of(corpus, append_keys(TABLE, [[0, 3], [3, 0]], ["new", "far"]), reads_text=reads_text)


def test_without_text_an_item_that_came_later_is_no_answer_and_changes_no_other():
    before, parts = answers(parts_of(), "ab"), grown(False)
    after = answers(parts, "ab")
    assert {item: after[item] for item in before} == pytest.approx(before, abs=1e-5)
    assert set(after) == set(before)
    assert answers(parts, ("new", "b")) == pytest.approx(answers(parts, "b"), abs=1e-5)


def test_with_text_an_item_that_came_later_is_found_beside_its_siblings():
    found = answers(grown(True), "b", exclude_history=False)
    assert "new" in found
    assert "far" not in found  # in a branch of which nothing was learnt
    assert np.exp(list(found.values())).sum() == pytest.approx(1, abs=1e-5)


def test_what_left_takes_no_share():
    kept = [at for at, item in enumerate(IDS) if item not in "dh"]
    rows = np.full(8, -1)
    rows[kept] = np.arange(len(kept))
    table = edited(TABLE, rows, [IDS[at] for at in kept])
    found = answers(parts_of(Corpus(CORPUS[at] for at in kept), table), "ab", exclude_history=False)
    assert set(found) == set(IDS) - set("dh")
    assert np.exp(list(found.values())).sum() == pytest.approx(1, abs=1e-5)


def test_another_model_is_refused():
    with pytest.raises(InputError, match="IdTreeTransformer"):
        IdTreeScores().build(Parts(CORPUS))


def test_a_softmax_among_some_columns_sees_no_others():
    scores = np.array([[1.0, 3.0, 900.0, UNPROPOSED, UNPROPOSED, 5.0]])
    found = log_softmax_among(scores, np.array([0, 2, 2, 4, 5, 6]))
    expected = np.array([1.0, 3.0]) - np.log(np.exp([1.0, 3.0]).sum())
    assert found[0, :2] == pytest.approx(expected)
    assert found[0, [2, 5]].tolist() == [0.0, 0.0]
    assert (found[0, [3, 4]] == UNPROPOSED).all()

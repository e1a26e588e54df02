"""Several opinions on the next item: the product of shares, as the definition has it."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from retrograd.errors import InputError
from retrograd.search.counting import Popular, TransitionKNN
from retrograd.search.experts import ExpertScores, ProductOfExperts, log_shares
from retrograd.search.lexical import Lexical
from retrograd.search.next_item import UNPROPOSED, ItemScores
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, Query
from tests.search.test_counting import built

LOGITS = np.array([[2.0, UNPROPOSED, 0.0, 1.0], [UNPROPOSED] * 4])
COUNTS = csr_array(np.array([[0.0, 3.0, 1.0, 0.0], [0.0, 0.0, 2.0, 0.0]]))


def experts(*said):
    return tuple(lambda histories, one=one: one for one in said)


def test_shares_of_logits_are_their_softmax():
    logs, proposed = log_shares(ItemScores(LOGITS, logits=True), 0.1)
    shares = np.exp(logs[0][proposed[0]])
    assert shares.sum() == pytest.approx(1)
    assert shares == pytest.approx(np.exp([2.0, 0.0, 1.0]) / np.exp([2.0, 0.0, 1.0]).sum())
    assert logs[0, 1] == logs[0, 2]  # no answer of this expert: as the last of those that are
    assert not proposed[1].any()
    assert (logs[1] == 0).all()


def test_the_score_is_the_weighted_sum_of_logarithms_of_shares():
    said = ItemScores(LOGITS, logits=True), ItemScores(COUNTS)
    scores = ExpertScores(experts(*said), (0.5, 2.0), 0.01)([np.zeros(0, int)] * 2).scores
    softmax = np.exp(LOGITS[0] - 2) / np.exp(LOGITS[0] - 2).sum()
    softmax[1] = softmax[2]
    shares = np.array([0.0, 0.75, 0.25, 0.0])
    assert scores[0] == pytest.approx(0.5 * np.log(softmax) + 2 * np.log(shares + 0.01))
    # the network has nothing to say of the second: the counts alone, and only what they met
    assert scores[1, 2] == pytest.approx(2 * np.log(1.01))
    assert (scores[1, [0, 1, 3]] == UNPROPOSED).all()


def test_one_expert_alone_gives_its_own_order():
    lists = [list("abcd"), list("acbd"), list("bad")]
    alone = built(TransitionKNN(), lists)
    product = built(ProductOfExperts(experts=(TransitionKNN(),)), lists)
    query = Query("q", "", history=("a",))
    assert product.search([query], 5).documents() == alone.search([query], 5).documents()


def test_history_is_left_out_once_for_all():
    lists = [list("abcd"), list("acbd"), list("bad")]
    config = ProductOfExperts(experts=(Popular(exclude_history=False), TransitionKNN(exclude_history=False)))
    answers = built(config, lists).search([Query("q", "", history=("a", "b"))], 8).documents()["q"]
    assert not set(answers) & {"a", "b"}
    assert set(answers) == {"c", "d"}


def test_a_searcher_of_another_kind_is_refused():
    parts = Parts(Corpus([Document("a", text="tea")]))
    with pytest.raises(InputError, match="Lexical does not score all items"):
        ProductOfExperts(experts=(Lexical(),)).build(parts)


@pytest.mark.parametrize("fields", [{"experts": ()}, {"weights": (1.0,)}, {"floor": 0.0}])
def test_settings_without_sense_are_refused(fields):
    with pytest.raises(InputError):
        ProductOfExperts(**({"experts": (Popular(), TransitionKNN())} | fields))

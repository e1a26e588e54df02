"""Learners: found wherever they stand in a recipe, each under its own name, equal ones once."""

import pytest

from retrograd.data.examples import ExampleContext
from retrograd.errors import ArtifactError, InputError
from retrograd.search.combine import Fuse
from retrograd.search.counting import ItemKNN, Popular, TransitionKNN
from retrograd.search.history import WithHistory
from retrograd.search.learning import Learner, memorise, takes_history, takes_text
from retrograd.search.lexical import Lexical
from retrograd.search.memo import ClickMemo, from_state
from retrograd.search.nearest import Nearest
from retrograd.search.nearest_to_history import NearestToHistory
from retrograd.search.parts import Parts
from retrograd.search.query_memory import QueryMemory
from retrograd.types import Corpus, Document, History, Query

CORPUS = Corpus(Document(item) for item in "abc")
CONTEXT = ExampleContext(CORPUS, [Query("1", "one")], {"1": {"a": 1}}, histories=[History("u", tuple("abc"))])


def test_a_memory_is_filled_wherever_in_a_recipe_it_stands():
    memo = ClickMemo(then=Nearest())
    deep = Fuse(parts=(Lexical(), WithHistory(search=memo)))
    learnt = Parts(CORPUS, learnt=memorise(deep, CONTEXT))
    assert from_state(learnt.remembered("clicks")) == {"one": {"a": 1}}
    assert memorise(Fuse(parts=(Lexical(), Nearest())), CONTEXT) == {}


def test_several_memories_stand_side_by_side_and_equal_ones_are_shared():
    near, far = TransitionKNN(window=1), TransitionKNN(window=2, backward=0.5)
    both = Fuse(parts=(near, far, TransitionKNN(window=1, decay=0.1), Popular(), ClickMemo(then=ItemKNN())))
    learnt = memorise(both, CONTEXT)
    names = {name.rpartition(".")[0] for name in learnt}
    assert names == {near.memory, far.memory, "popularity", "clicks", "co_occurrence"}
    parts = Parts(CORPUS, learnt=learnt)
    assert parts.remembered(near.memory)["weights"].tolist() == [1.0, 1.0]
    assert len(parts.remembered(far.memory)["weights"]) == 6


def test_what_was_not_learnt_is_named():
    assert Parts(CORPUS).remembered("popularity") == {}
    with pytest.raises(ArtifactError, match="no 'popularity' counts"):
        Popular().build(Parts(CORPUS))
    with pytest.raises(InputError, match="the dataset has no interactions"):
        memorise(Popular(), ExampleContext(CORPUS))


def test_a_config_says_what_it_reads():
    assert isinstance(Popular(), Learner)
    assert not isinstance(Lexical(), Learner)
    for config in (Popular(), TransitionKNN(), ItemKNN(), NearestToHistory()):
        assert takes_history(config)
        assert not takes_text(config)
    for config in (WithHistory(search=Lexical()), Fuse(parts=(Popular(), Lexical()))):
        assert takes_history(config)
        assert takes_text(config)
    assert not takes_history(QueryMemory(then=Nearest()))

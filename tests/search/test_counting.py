"""Counting recommenders: the definition's own loop gives the same lists, and the real figures reproduce."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.data.dataset import load_dataset
from retrograd.data.examples import ExampleContext
from retrograd.errors import InputError
from retrograd.evaluation.measures import NEXT_ITEM_MEASURES, evaluate
from retrograd.evaluation.ties import with_ties
from retrograd.recipes import recipe
from retrograd.search.counting import ItemKNN, Popular, TransitionKNN
from retrograd.search.learning import memorise
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, History, Query

IDS = tuple("abcdefgh")
CORPUS = Corpus(Document(item) for item in IDS)
lives = st.lists(st.lists(st.sampled_from(IDS), min_size=2, max_size=8, unique=True), min_size=1, max_size=6)


def built(config, lists):
    histories = [History(str(at), tuple(items)) for at, items in enumerate(lists)]
    return config.build(Parts(CORPUS, learnt=memorise(config, ExampleContext(CORPUS, histories=histories))))


def by_definition(config, lists, history):
    """Items first touched first, sorted by score, as the method is written down."""
    table = {}
    for life in lists:
        for a in range(len(life)):
            for d in range(1, config.window + 1):
                if a + d < len(life):
                    for x, y, weight in (
                        (life[a], life[a + d], 1 / d),
                        (life[a + d], life[a], config.backward / d),
                    ):
                        if weight:
                            row = table.setdefault(x, {})
                            row[y] = row.get(y, 0.0) + weight
    scores = {}
    for back in range(min(config.items, len(history))):
        for item, weight in table.get(history[-1 - back], {}).items():
            scores[item] = scores.get(item, 0.0) + config.decay**back * weight
    left = [(item, score) for item, score in scores.items() if item not in history]
    return sorted(left, key=lambda pair: -pair[1])


@settings(max_examples=200)
@given(
    lives,
    st.lists(st.sampled_from(IDS), max_size=6),
    st.sampled_from(["markov", "transition_knn", "transition_knn_wide"]),
)
def test_a_list_is_that_of_the_definition_to_the_last_bit(lists, history, name):
    config = replace(recipe(name).search, ties="first_touched")
    (hits,) = built(config, lists).search([Query("q", "", tuple(history))], 8).hits
    assert [(hit.document, hit.score) for hit in hits] == by_definition(config, lists, history)


def test_popularity_is_the_count_and_breaks_ties_where_it_is_asked():
    lists = [["a", "b"], ["a", "c"], ["c", "d"], ["c"]]
    assert [(h.document, h.score) for h in built(Popular(), lists).search([Query("q", "")], 3).hits[0]] == [
        ("c", 3.0),
        ("a", 2.0),
        ("b", 1.0),
    ]
    after_a = [Query("q", "", ("a",))]
    assert built(TransitionKNN(), lists).search(after_a, 2).documents()["q"] == ["b", "c"]
    popular = built(TransitionKNN(ties="popularity"), lists)
    assert popular.search(after_a, 2).documents()["q"] == ["c", "b"]


def test_an_item_nothing_leads_to_is_no_answer():
    assert built(TransitionKNN(), [["a", "b"]]).search([Query("q", "", ("b",))], 5).hits == ((),)
    assert built(ItemKNN(), [["a", "b"]]).search([Query("q", "", ("h",))], 5).hits == ((),)


@pytest.mark.parametrize(
    "wrong",
    [{"window": 0}, {"backward": -1.0}, {"items": -1}, {"decay": 0.0}, {"decay": 1.5}, {"ties": "random"}],
)
def test_a_setting_that_means_nothing_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        TransitionKNN(**wrong)


# Figures of the method's definition on this collection: R@5, nDCG@5, R@10, nDCG@10.
PUBLISHED = {
    ("markov", "first_touched", "as_ranked"): (0.0622, 0.0468, 0.0784, 0.0520),
    ("transition_knn", "first_touched", "as_ranked"): (0.0790, 0.0580, 0.1031, 0.0658),
    ("transition_knn_wide", "first_touched", "as_ranked"): (0.0770, 0.0560, 0.1047, 0.0650),
    ("item_knn", "popularity", "popularity"): (0.0576, 0.0410, 0.0766, 0.0471),
    ("pop", "", "worst"): (0.0085, 0.0054, 0.0157, 0.0078),
    ("markov", "smallest_row", "as_ranked"): (None, None, 0.0816, None),
    ("transition_knn", "smallest_row", "as_ranked"): (None, None, 0.1040, None),
    ("transition_knn_wide", "smallest_row", "as_ranked"): (None, None, 0.1045, None),
    ("markov", "smallest_row", "worst"): (None, None, 0.0668, None),
    ("transition_knn", "smallest_row", "worst"): (None, None, 0.0986, None),
    ("transition_knn_wide", "smallest_row", "worst"): (None, None, 0.1027, None),
}


@pytest.fixture(scope="module")
def answered(real_data):
    """(recipe, ties) -> its answers on the real set, made once."""
    dataset = load_dataset(real_data / "amazon_beauty")
    context = ExampleContext(dataset.corpus, histories=list(dataset.histories.values()))
    queries, qrels = dataset.split("dev")

    @cache
    def ranking(name, ties):
        config = recipe(name).search if not ties else replace(recipe(name).search, ties=ties)
        learnt = memorise(config, context)
        return config.build(Parts(dataset.corpus, learnt=learnt)).search(queries, 25)

    return ranking, qrels, dataset.popularity


@pytest.mark.parametrize("case", PUBLISHED, ids="-".join)
def test_the_known_figures_reproduce(answered, case):
    name, ties, rule = case
    ranking, qrels, popularity = answered
    ordered = with_ties(ranking(name, ties), qrels, rule, 25, popularity)
    found = evaluate(ordered, qrels, NEXT_ITEM_MEASURES).mean
    for measure, wanted in zip(NEXT_ITEM_MEASURES, PUBLISHED[case], strict=True):
        if wanted is not None:
            assert found[measure] == pytest.approx(wanted, abs=0.0001), measure

"""A filter leaves out what it does not allow and changes nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.dataset import Dataset, load_dataset
from retrograd.errors import InputError
from retrograd.recipes import recipe
from retrograd.search.filtered import NAMES_SHOWN, Fields, search_allowed
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Corpus, Document, Hit, Query, Ranking
from tests.small_systems import small

SCALARS = st.sampled_from(["red", "blue", "2021", "true", 2021, 2021.0, 1.5, True, False, "", -3])
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.none() | st.just({"nested": 1})
CORPORA = st.lists(
    st.dictionaries(st.sampled_from(["colour", "year", "id"]), VALUES, max_size=3), min_size=1, max_size=12
).map(lambda rows: Corpus(Document(f"d{at}", metadata=row) for at, row in enumerate(rows)))


class Ordered:
    """Ranks all documents in an order of each query's own, up to a number it can find at all."""

    def __init__(self, ids: tuple[str, ...], reach: int) -> None:
        self.ids, self.reach, self.asked = ids, reach, []

    def search(self, queries, k):
        self.asked.append((len(queries), k))
        return Ranking(tuple(query.id for query in queries), tuple(self.full(query)[:k] for query in queries))

    def full(self, query):
        order = np.random.default_rng(int(query.id)).permutation(len(self.ids))[: self.reach]
        return tuple(Hit(self.ids[row], -float(rank)) for rank, row in enumerate(order))


@given(st.data(), st.integers(1, 60), st.integers(1, 70), st.integers(0, 60))
def test_filtered_answers_are_the_full_ranking_without_the_others(data, documents, k, reach):
    ids = tuple(f"d{row}" for row in range(documents))
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=documents, max_size=documents)))
    searcher, row_of = Ordered(ids, reach), {id: row for row, id in enumerate(ids)}
    queries = [Query(str(number), "") for number in range(4)]
    found = search_allowed(searcher, queries, k, allowed, row_of)
    wanted = [tuple(hit for hit in searcher.full(q) if allowed[row_of[hit.document]])[:k] for q in queries]
    assert found.query_ids == ("0", "1", "2", "3")
    assert list(found.hits) == wanted
    assert all(1 <= depth <= max(documents, k) for _, depth in searcher.asked)


@given(st.integers(1, 60), st.integers(0, 10))
def test_an_answer_does_not_depend_on_its_company(documents, k):
    ids = tuple(f"d{row}" for row in range(documents))
    row_of, allowed = {id: row for row, id in enumerate(ids)}, np.arange(documents) % 5 == 0
    queries = [Query(str(number), "") for number in range(5)]
    together = search_allowed(Ordered(ids, documents), queries, k + 1, allowed, row_of).hits
    alone = [search_allowed(Ordered(ids, documents), [q], k + 1, allowed, row_of).hits[0] for q in queries]
    assert list(together) == alone


def test_nobody_is_asked_where_nothing_is_allowed():
    searcher = Ordered(("a", "b"), 2)
    found = search_allowed(searcher, [Query("1", "x")], 3, np.zeros(2, bool), {"a": 0, "b": 1})
    assert found == Ranking(("1",), ((),))
    assert searcher.asked == []


def readings(value):
    """What a metadata value reads as, one text per member."""
    members = value if isinstance(value, list) else [value]
    return {
        str(m).lower() if isinstance(m, bool) else f"{m:g}" if isinstance(m, int | float) else m
        for m in members
        if isinstance(m, str | bool | int | float)
    }


@given(CORPORA, SCALARS | st.lists(SCALARS, max_size=3))
def test_a_document_is_allowed_when_one_of_its_values_reads_like_one_asked_for(corpus, wanted):
    fields = Fields(corpus)
    for name in set(fields.names) - {"id", "title"}:
        expected = [bool(readings(document.metadata.get(name)) & readings(wanted)) for document in corpus]
        assert fields.allowed({name: wanted}).tolist() == expected


@given(CORPORA)
def test_every_field_must_agree(corpus):
    fields = Fields(corpus)
    wants = {"id": ["d0", "d1", "d2"], **({"year": 2021} if "year" in fields.names else {})}
    expected = np.logical_and.reduce([fields.allowed({name: value}) for name, value in wants.items()])
    assert fields.allowed(wants).tolist() == expected.tolist()
    assert fields.allowed({}).all()


def test_id_and_title_are_the_document_s_own():
    fields = Fields(Corpus([Document("a", title="One", metadata={"id": "b"}), Document("b", title="Two")]))
    assert fields.allowed({"id": "b"}).tolist() == [False, True]
    assert fields.allowed({"title": ["One", "Three"]}).tolist() == [True, False]


def test_an_unknown_field_lists_those_there_are_in_few_words():
    corpus = Corpus([Document("a", metadata={f"field{n:03}": n for n in range(200)})])
    with pytest.raises(InputError) as caught:
        Fields(corpus).allowed({"x" * 5000: 1})
    shown = str(caught.value)
    assert "id, title, field000" in shown
    assert f"and {202 - NAMES_SHOWN} more" in shown
    assert len(shown) < 1000


def test_a_value_nobody_has_and_no_value_at_all_allow_nothing():
    fields = Fields(Corpus([Document("a", metadata={"year": 2021})]))
    for wanted in (1999, [], "20", float("inf"), float("nan"), 2**1000):
        assert not fields.allowed({"year": wanted}).any()


@pytest.mark.parametrize("wanted", [None, {"a": 1}, [["nested"]], [None], 2**1024, b"2021"])
def test_a_value_that_is_no_scalar_is_refused(wanted):
    with pytest.raises(InputError, match="'year' must be text, a number"):
        Fields(Corpus([Document("a", metadata={"year": 2021})])).allowed({"year": wanted})


@pytest.fixture(scope="module", params=["bm25", "dense", "hybrid", "generative", "dgi_plus"])
def fitted(request, tiny_data, tmp_path_factory):
    """Small systems whose documents also carry a colour: every third one is red."""
    dataset = load_dataset(tiny_data)
    painted = (
        Document(d.id, d.text, d.title, {**d.metadata, "colour": "red" if at % 3 == 0 else "blue"})
        for at, d in enumerate(dataset.corpus)
    )
    coloured = Dataset(Corpus(painted), dataset.queries, dataset.qrels)
    return fit(small(recipe(request.param)), coloured, tmp_path_factory.mktemp("s") / "s")


def is_subsequence(short, long):
    rest = iter(long)
    return all(item in rest for item in short)


def test_a_system_answers_only_what_is_allowed_in_its_own_order(fitted: System):
    questions = [query.text for query in list(load_questions(fitted))[:5]]
    everything = fitted.search(questions, k=len(fitted.corpus)).documents()
    for k in (1, 3, len(fitted.corpus)):
        found = fitted.search(questions, k=k, where={"colour": "red"}).documents()
        for query, documents in found.items():
            reds = [id for id in everything[query] if fitted.corpus.row_of[id] % 3 == 0]
            assert len(documents) == min(k, len(reds))
            assert set(documents) <= set(reds)
            if fitted.recipe.name in ("bm25", "dense"):
                assert documents == reds[:k]
    assert fitted.search(questions, k=40, where={"colour": "green"}).hits == ((),) * len(questions)


def test_a_system_names_the_fields_it_has(fitted: System):
    with pytest.raises(InputError, match=r"no document has the field 'color'; there are id, title,.*colour"):
        fitted.search("depth", where={"color": "red"})
    assert fitted.search("depth", where={}) == fitted.search("depth")


def load_questions(system: System):
    """Titles as questions."""
    return [Query(document.id, document.title) for document in system.corpus]

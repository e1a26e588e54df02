"""Teacher lists: the teacher's own ranking, the example's document in it, the same examples otherwise."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data import CONFIGS, PseudoQueries, TrainQueries
from retrograd.data.examples import ExampleContext, Examples
from retrograd.data.teacher_lists import TeacherLists
from retrograd.errors import InputError
from retrograd.recipe import from_json, to_json
from retrograd.search import Fuse, Lexical, Nearest
from retrograd.types import Corpus, Document, Hit, Query, Ranking

CORPUS = Corpus([Document(f"d{row}", f"wing flow {row}") for row in range(6)])


@dataclass(frozen=True)
class ByLength:
    """A teacher that ranks `found` documents, from the row that is the text's length on."""

    found: int = 3
    asked: list[str] = field(default_factory=list)

    def build(self, parts):
        assert parts == "parts"
        return self

    def search(self, queries, k):
        self.asked.extend(query.text for query in queries)
        return Ranking(tuple(query.id for query in queries), tuple(self._hits(q, k) for q in queries))

    def _hits(self, query, k):
        rows = [(len(query.text) + at) % len(CORPUS) for at in range(min(self.found, k))]
        return tuple(Hit(f"d{row}", 10.0 - at) for at, row in enumerate(rows))


def context(**more) -> ExampleContext:
    system = SimpleNamespace(parts="parts")
    return ExampleContext(CORPUS, searcher=lambda: system, **more)


def given_examples(texts: list[str], documents: list[int], **more):
    return lambda _: Examples(texts, np.array(documents, np.int64), **more)


def test_lists_are_the_teachers_and_a_text_is_asked_once():
    teacher = ByLength()
    examples = TeacherLists(source=given_examples(["a", "bb", "a"], [2, 4, 1]), teacher=teacher, depth=3)(
        context()
    )
    assert examples.texts == ["a", "bb", "a"]
    assert examples.lists.tolist() == [[1, 2, 3], [2, 3, 4], [1, 2, 3]]
    assert examples.list_scores.tolist() == [[10, 9, 8]] * 3
    assert teacher.asked == ["a", "bb"]
    assert (examples.lists.dtype, examples.list_scores.dtype) == (np.int64, np.float32)


@given(st.integers(0, 8), st.integers(1, 9), st.lists(st.integers(0, 5), max_size=5))
def test_the_own_document_is_in_every_list_once(found, depth, documents):
    source = given_examples(["x" * at for at in range(1, len(documents) + 1)], documents)
    examples = TeacherLists(source=source, teacher=ByLength(found), depth=depth)(context())
    assert examples.lists.shape == (len(documents), min(depth, len(CORPUS)))
    for row, scores, document in zip(examples.lists, examples.list_scores, documents, strict=True):
        real = row[row >= 0]
        assert (real == document).sum() == 1
        assert len(set(real.tolist())) == len(real)
        assert (row[len(real) :] == -1).all(), "padding stands behind"
        assert (scores[: len(real)] == np.sort(scores[: len(real)])[::-1]).all()
        assert (scores[len(real) :] == 0).all()


def test_a_label_may_count_as_much_as_the_teachers_best():
    source = TeacherLists(
        source=given_examples(["a", "a", "a"], [3, 1, 5]), teacher=ByLength(), depth=3, own="first"
    )
    examples = source(context())
    assert examples.lists.tolist() == [[1, 2, 3], [1, 2, 3], [1, 2, 5]]
    assert examples.list_scores.tolist() == [[10, 9, 10], [10, 9, 8], [10, 9, 10]]


def test_a_part_is_drawn_with_the_seed_and_rows_stay_together():
    negatives = np.arange(100).reshape(50, 2)
    source = given_examples(
        ["x" * (at + 1) for at in range(50)], [at % 6 for at in range(50)], negatives=negatives
    )
    lists = TeacherLists(source=source, teacher=ByLength(), depth=4, most=10)
    one, again, other = (lists(context(seed=seed)) for seed in (1, 1, 2))
    assert len(one) == 10
    assert one.texts == again.texts != other.texts
    assert [len(text) % 6 for text in one.texts] == ((one.documents + 1) % 6).tolist()
    assert (one.negatives[:, 0] // 2 + 1).tolist() == [len(text) for text in one.texts]
    assert one.lists[:, 0].tolist() == [len(text) % 6 for text in one.texts]


def test_a_source_without_examples_gives_none():
    examples = TeacherLists(source=TrainQueries(), teacher=ByLength())(context())
    assert len(examples) == len(examples.lists) == 0


def test_a_teacher_needs_a_system():
    with pytest.raises(InputError, match="built on a fitted system"):
        TeacherLists(source=TrainQueries(), teacher=ByLength())(replace(context(), searcher=None))


def test_it_survives_json_and_refuses_impossible_settings():
    source = TeacherLists(source=PseudoQueries(), teacher=Fuse(parts=(Nearest(), Lexical())), most=9)
    kinds = {cls.__name__: cls for cls in (*CONFIGS, Fuse, Nearest, Lexical, type(Nearest().index))}
    assert from_json(to_json(source), kinds) == source
    for wrong in ({"depth": 0}, {"most": -1}, {"own": "last"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            replace(source, **wrong)


def test_a_real_teacher_joins_vectors_and_words(tmp_path):
    from retrograd.models.dual_encoder import FrozenVectors
    from retrograd.models.tfidf_svd import TfidfSvd
    from retrograd.search.parts import Parts

    config = FrozenVectors(encoder=TfidfSvd(dimensions=4))
    parts = Parts(CORPUS, config.build(config.fit(CORPUS.contents)), None, tmp_path)
    teacher = Fuse(parts=(Nearest(), Lexical()), rule="z_score", weights=(1.0, 0.5))
    lists = TeacherLists(source=given_examples(["wing 4", "flow"], [4, 0]), teacher=teacher, depth=6)
    system = SimpleNamespace(parts=parts)
    examples = lists(ExampleContext(CORPUS, searcher=lambda: system))
    ranking = teacher.build(parts).search([Query("a", "wing 4"), Query("b", "flow")], 6)
    assert [[f"d{row}" for row in rows] for rows in examples.lists] == list(ranking.documents().values())
    assert examples.list_scores[0].tolist() == pytest.approx([hit.score for hit in ranking.hits[0]], rel=1e-6)

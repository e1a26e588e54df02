"""The lexical index: BM25 as bm25s computes it, deterministic, unharmed by any text, live."""

import os
import re
import shutil
from pathlib import Path

import bm25s
import numpy as np
import pytest
import Stemmer
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.data.dataset import load_dataset
from retrograd.errors import ArtifactError
from retrograd.evaluation.measures import evaluate
from retrograd.indexes.lexical import K1, LENGTHS, MAX_QUERY_TERMS, B, LexicalIndex
from retrograd.ops.words import LANGUAGES
from retrograd.types import Corpus, Document, Hit, Ranking

STOP_WORDS = re.findall(
    r"[a-z]+",
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these "
    "they this to was will with",
)
"""tantivy's English list (Lucene's)."""


def make_index(folder: Path, *texts: str) -> LexicalIndex:
    corpus = Corpus(Document(f"d{row}", text) for row, text in enumerate(texts))
    return LexicalIndex.build(corpus, folder / "lexical")


def rows(index: LexicalIndex, text: str, k: int = 10) -> list[int]:
    return [row for row, _ in index.search([text], k)[0]]


def test_title_and_text_are_stemmed_and_matched(tmp_path):
    corpus = Corpus([Document("a", "wings flying", "Planes"), Document("b", "boats")])
    index = LexicalIndex.build(corpus, tmp_path / "lexical")
    assert [rows(index, text) for text in ("plane", "FLY", "boat", "train")] == [[0], [0], [1], []]


def test_scores_are_the_formula_at_lengths_stored_exactly(tmp_path):
    index = make_index(tmp_path, "wing wing flow", "flow", "shock")
    (found,) = index.search(["wing"], 3)
    idf = np.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 * (K1 + 1) / (2 + K1 * (1 - B + B * 3 / (5 / 3)))
    assert found == [(0, pytest.approx(expected, rel=1e-5))]


def test_a_word_that_occurs_twice_counts_twice(tmp_path):
    index = make_index(tmp_path, "wing flow", "shock", "wave")
    (once,), (twice,) = index.search(["wing", "wing wings"], 1)
    assert twice[1] == pytest.approx(2 * once[1], rel=1e-6)


def test_equal_scores_come_in_row_order_and_no_cut_changes_the_order(tmp_path):
    index = make_index(tmp_path, *["wing flow", "wing", "shock"] * 30)
    full = rows(index, "wing", 90)
    assert full == [*range(1, 90, 3), *range(0, 90, 3)]
    assert all(rows(index, "wing", k) == full[:k] for k in (1, 5, 29, 31, 60))


@pytest.mark.parametrize("text", ["", "   ", "the of and", "?!*", "\x00", "\ud800"])
def test_a_text_without_words_finds_nothing(tmp_path, text):
    assert rows(make_index(tmp_path, "wing", ""), text) == []


@pytest.mark.parametrize(
    "operator", ["wing AND flow", "+wing -flow", "contents:wing", '"wing flow"~2', "wing^9"]
)
def test_query_syntax_is_only_words(tmp_path, operator):
    index = make_index(tmp_path, "wing", "flow", "wing flow")
    words = " ".join(re.findall(r"[a-z0-9]+", operator.lower()))
    assert index.search([operator], 3) == index.search([words], 3)


@settings(max_examples=50)
@given(st.lists(st.text(alphabet=st.characters(), max_size=30), max_size=4))
def test_no_text_harms_a_search(shared_index, texts):
    assert [len(hits) <= 2 for hits in shared_index.search(texts, 2)] == [True] * len(texts)


@pytest.fixture(scope="module")
def shared_index(tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("shared"), "wing flow", "le café ǅ ß 12.5", "\ud800 odd", "")


def test_a_longer_query_than_the_limit_keeps_its_rarest_terms(tmp_path):
    common = " ".join(f"c{number}" for number in range(MAX_QUERY_TERMS))
    index = make_index(tmp_path, common, common, common + " rare")
    found = index.search([common + " rare", "rare"], 1)
    assert [hits[0][0] for hits in found] == [2, 2]


def test_two_builds_answer_alike(tmp_path):
    texts = [f"wing flow{row % 7} shock{row % 3} " * (row % 5 + 1) for row in range(60)]
    one, two = make_index(tmp_path / "one", *texts), make_index(tmp_path / "two", *texts)
    queries = ["wing flow3", "shock1 flow2 flow5", "wing"]
    assert one.search(queries, 20) == two.search(queries, 20)


def test_opening_gives_what_was_built(tmp_path):
    corpus = Corpus([Document("a", "Flugzeuge"), Document("b", "Schiffe")])
    built = LexicalIndex.build(corpus, tmp_path / "lexical", "german")
    opened = LexicalIndex.open(tmp_path / "lexical")
    assert (opened.language, opened.num_documents) == ("german", 2)
    assert opened.search(["Flugzeug"], 2) == built.search(["Flugzeug"], 2) != [[]]


def test_building_again_replaces_the_folder(tmp_path):
    make_index(tmp_path, "wing", "flow")
    assert rows(make_index(tmp_path, "shock"), "wing") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lexical"]


def test_opening_leaves_no_file_behind(tmp_path):
    make_index(tmp_path, "wing")
    before = sorted(path.name for path in (tmp_path / "lexical").iterdir())
    rows(LexicalIndex.open(tmp_path / "lexical"), "wing")
    assert sorted(path.name for path in (tmp_path / "lexical").iterdir()) == before


def test_hidden_documents_are_no_answer_and_rows_are_renamed(tmp_path):
    index = make_index(tmp_path, *["wing flow"] * 30, "wing shock")
    rows_now = np.full(31, -1)
    rows_now[[4, 7, 30]] = [1, 0, 2]
    assert [row for row, _ in index.search(["wing"], 2, rows_now)[0]] == [0, 1]
    assert {row for row, _ in index.search(["wing"], 50, rows_now)[0]} == {0, 1, 2}
    assert index.search(["wing"], 5, np.full(31, -1)) == [[]]


@given(st.lists(st.integers(0, 399), min_size=1, max_size=300), st.integers(0, 2**31))
@settings(max_examples=20)
def test_later_documents_score_as_if_they_were_indexed(tmp_path_factory, lengths, seed):
    folder, draw = tmp_path_factory.mktemp("later"), np.random.default_rng(seed)
    texts = [" ".join(draw.choice([f"w{n}" for n in range(40)], length)) for length in [*lengths, *lengths]]
    half = len(lengths)  # both halves are equally long on average, as the formula takes that from the index
    whole = make_index(folder / "whole", *texts)
    index = make_index(folder / "half", *texts[:half])
    later = index.later(index.num_terms / half).seen(range(half), texts[half:], np.arange(half, 2 * half))
    for query in ("w1 w2 w2 w39", "w7"):
        together = dict(index.search([query], 2 * half, np.arange(half), later)[0])
        assert together == pytest.approx(dict(whole.search([query], 2 * half)[0]), rel=1e-5)


def test_a_missing_empty_or_foreign_folder_is_an_artifact_error(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "meta.json").write_text("{}")
    for name in ("missing", "empty", "foreign"):
        with pytest.raises(ArtifactError, match=name):
            LexicalIndex.open(tmp_path / name)


@pytest.mark.parametrize("damage", ["remove", "truncate"])
def test_each_damaged_file_is_an_artifact_error(tmp_path, damage):
    make_index(tmp_path, "a wing", "flow")
    for path in sorted((tmp_path / "lexical").iterdir()):
        if path.name.startswith(".") or (path.name == LENGTHS and damage == "remove"):
            continue  # locks, housekeeping, what older versions did not write: reading does not need them
        copy = tmp_path / "copy" / path.name
        shutil.copytree(tmp_path / "lexical", copy)
        (copy / path.name).unlink() if damage == "remove" else (copy / path.name).write_bytes(b"")
        with pytest.raises(ArtifactError, match="copy"):
            LexicalIndex.open(copy)


def test_an_unknown_language_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match=", ".join(LANGUAGES)):
        LexicalIndex.build(Corpus([Document("a")]), tmp_path / "lexical", "klingon")


def reference_ranking(corpus: Corpus, texts: list[str], k: int) -> list[list[tuple[int, float]]]:
    """bm25s over the same analysis, written independently."""
    stem = Stemmer.Stemmer("english")

    def analyse(text: str) -> list[str]:
        words = re.findall(r"[^\W_]+", text.lower())
        return stem.stemWords([word for word in words if word not in STOP_WORDS])

    retriever = bm25s.BM25(method="lucene", k1=K1, b=B)
    retriever.index([analyse(text) for text in corpus.contents], show_progress=False)
    found = []
    for text in texts:
        words = analyse(text)
        scores = retriever.get_scores(words) if words else np.zeros(len(corpus))
        best = np.argsort(-scores, kind="stable")[:k]
        found.append([(int(row), float(scores[row])) for row in best if scores[row] > 0])
    return found


@pytest.mark.parametrize(("name", "splits"), [("cranfield", ("train", "dev", "test")), ("scifact", ("dev",))])
def test_quality_is_that_of_bm25s(tmp_path, name, splits):
    if "RETROGRAD_DATA" not in os.environ:
        pytest.skip("RETROGRAD_DATA names no folder with the development collections")
    dataset = load_dataset(Path(os.environ["RETROGRAD_DATA"]) / name)
    parts = [dataset.split(split) for split in splits]
    queries = [query for part, _ in parts for query in part]
    qrels = {query: grades for _, judged in parts for query, grades in judged.items()}
    texts = [query.text for query in queries]
    values = []
    for found in (
        LexicalIndex.build(dataset.corpus, tmp_path / name).search(texts, 100),
        reference_ranking(dataset.corpus, texts, 100),
    ):
        hits = tuple(tuple(Hit(dataset.corpus.ids[row], score) for row, score in hits) for hits in found)
        ranking = Ranking(tuple(query.id for query in queries), hits)
        values.append(evaluate(ranking, qrels, measures=("nDCG@10",)).mean["nDCG@10"])
    print(f"{name}: tantivy {values[0]:.4f}, bm25s {values[1]:.4f} nDCG@10 over {len(queries)} queries")
    assert abs(values[0] - values[1]) <= 0.01

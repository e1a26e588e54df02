"""TREC files: runs fall strictly and come back, topics and qrels are read as meant."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.data.runs import (
    read_run,
    read_topics,
    read_trec_qrels,
    strictly_falling,
    write_run,
    write_topics,
    write_trec_qrels,
)
from retrograd.errors import InputError
from retrograd.types import Hit, Query, Ranking

words = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=5)
scores = st.lists(st.floats(-1e30, 1e30) | st.sampled_from([0.0, -0.0, 1.0, 1e-45]), max_size=20)


@st.composite
def rankings(draw: st.DrawFn) -> Ranking:
    queries = draw(st.lists(words, min_size=1, max_size=4, unique=True))
    lists = [[Hit(f"d{at}", score) for at, score in enumerate(draw(scores), 1)] for _ in queries]
    return Ranking(tuple(queries), tuple((Hit("d0", 1.0), *hits) for hits in lists))


@settings(max_examples=30)  # each writes two files down to the disk
@given(ranking=rankings(), packed=st.booleans())
def test_a_run_comes_back_in_its_order_and_writes_the_same_bytes(
    ranking: Ranking, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one, two = (tmp_path_factory.getbasetemp() / f"{name}.run{'.gz' * packed}" for name in "ab")
    write_run(one, ranking)
    back = read_run(one)
    assert back.documents() == ranking.documents()
    write_run(two, back)
    assert one.read_bytes() == two.read_bytes()


@given(rankings())
def test_scores_fall_strictly_in_single_precision_however_they_were(ranking: Ranking) -> None:
    for _, hits in ranking:
        written = [float(str(score)) for score in strictly_falling(hits)]
        for values in (np.asarray(written), np.asarray(written, np.float32)):
            assert (np.diff(values) < 0).all()


def test_scores_that_already_fall_are_kept() -> None:
    hits = [Hit("a", 2.5), Hit("b", 0.25), Hit("c", -1.0)]
    assert [float(score) for score in strictly_falling(hits)] == [2.5, 0.25, -1.0]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), 1e300])
def test_a_score_no_file_can_hold_is_refused(tmp_path: Path, score: float) -> None:
    with pytest.raises(InputError, match="which no run file holds"):
        write_run(tmp_path / "a.run", Ranking(("q",), ((Hit("d", score),),)))
    assert not (tmp_path / "a.run").exists()


@pytest.mark.parametrize("name", ["", "a b", "a\tb", " a", "a\u00a0b", "\ud800"])
def test_an_id_no_trec_file_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        write_run(tmp_path / "a.run", Ranking(("q",), ((Hit(name, 1.0),),)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("q Q0 d 1 2.0\n", "a.run:1: 5 columns where 6 are wanted"),
        ("q Q0 d 1 2.0 t\nq Q0 d 2 1.0 t\n", "a.run:2: query 'q' ranks document 'd' twice"),
        ("q Q0 d 1 nan t\n", "a.run:1: score 'nan' is not a finite number"),
        ("q Q0 d one 1.0 t\n", "a.run:1: rank 'one' is not a whole number"),
        ("\n", "a.run: holds no ranked document"),
    ],
)
def test_a_faulty_run_is_named(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "a.run").write_text(content)
    with pytest.raises(InputError) as caught:
        read_run(tmp_path / "a.run")
    assert reason in str(caught.value)


def test_equal_scores_are_ordered_by_rank(tmp_path: Path) -> None:
    (tmp_path / "a.run").write_text("q Q0 b 2 1.0 t\nq Q0 a 1 1.0 t\nq Q0 c 3 9 t\n")
    assert read_run(tmp_path / "a.run").documents() == {"q": ["c", "a", "b"]}


@settings(max_examples=30)
@given(qrels=st.dictionaries(words, st.dictionaries(words, st.integers(-2, 4), min_size=1), min_size=1))
def test_judgements_come_back(
    qrels: dict[str, dict[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "qrels.txt"
    write_trec_qrels(path, qrels)
    assert read_trec_qrels(path) == qrels


def test_a_faulty_grade_is_named(tmp_path: Path) -> None:
    (tmp_path / "qrels.txt").write_text("q 0 d 1\nq 0 e x\n")
    with pytest.raises(InputError, match=r"qrels.txt:2: grade 'x' is not a whole number"):
        read_trec_qrels(tmp_path / "qrels.txt")


TOPICS = """<top>
<num> Number: 301
<title> International Organized Crime

<desc> Description:
Identify organizations that
participate.
</top>

<top><num>302</num><title>Polio</title>
<desc>Is it under control?</desc></top>
"""


def test_both_ways_of_marking_a_topic_are_read(tmp_path: Path) -> None:
    path = tmp_path / "topics.txt"
    path.write_text(TOPICS)
    assert read_topics(path) == {
        "301": Query("301", "International Organized Crime"),
        "302": Query("302", "Polio"),
    }
    texts = [query.text for query in read_topics(path, field="desc").values()]
    assert texts == ["Identify organizations that participate.", "Is it under control?"]


def test_tab_separated_topics_come_back(tmp_path: Path) -> None:
    path = tmp_path / "topics.tsv.gz"
    write_topics(path, [Query("1", "two\twords"), Query("2", "")])
    assert read_topics(path) == {"1": Query("1", "two words"), "2": Query("2", "")}
    assert gzip.decompress(path.read_bytes()) == b"1\ttwo words\n2\t\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<top><title>x\n</top>", "topics.txt:1: topic has no <num>"),
        ("<top><num>1\n</top>", "topics.txt:1: topic has no <title>"),
        ("<top><num>1<title>x\n", "topics.txt:1: <top> has no </top>"),
        ("<top>\n<num>1<title>x\n<top>", "topics.txt:3: <top> of line 1 has no </top>"),
        ("</top>", "topics.txt:1: </top> without <top>"),
        ("<num> 5", "topics.txt:1: text outside <top>"),
        ("<top><num>1<title>x</top>\n<top><num>1<title>y</top>", "topics.txt:2: topic id '1' occurs twice"),
        ("1 no tab", "topics.txt:1: a topic is `id<TAB>text`; there is no tab"),
    ],
)
def test_faulty_topics_are_named(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "topics.txt").write_text(content)
    with pytest.raises(InputError) as caught:
        read_topics(tmp_path / "topics.txt")
    assert reason in str(caught.value)


def test_an_unknown_topic_field_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose one of title, desc, narr"):
        read_topics(tmp_path / "topics.txt", field="body")

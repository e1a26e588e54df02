"""Requests: only `train` rows are learnt from, and a history ends before the purchase it is asked for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.dataset import load_dataset
from retrograd.data.examples import ExampleContext
from retrograd.data.requests import TrainRequests, load_requests
from retrograd.data.search_log import PARTS, PAST, Purchase, read_search_log, with_histories
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, Query

purchases = st.lists(
    st.builds(
        Purchase,
        st.sampled_from("uv"),
        st.sampled_from("qr"),
        st.sampled_from("abcde"),
        st.integers(0, 6),
        st.sampled_from(PARTS),
    ),
    max_size=25,
)
FILES = {
    "corpus.jsonl": "".join(f'{{"_id": "{d}", "title": "T{d}", "text": ""}}\n' for d in "abc"),
    "queries.jsonl": '{"_id": "q", "text": "one"}\n{"_id": "r", "text": "two"}\n',
    "qrels/train.tsv": "query-id\tcorpus-id\tscore\nq\ta\t1\n",
}
LOG = "user_id\tquery_id\titem_id\torder\tpart\n" + "".join(
    row.replace(" ", "\t") + "\n"
    for row in ("u q a 0 train", "u r a 0 history", "u r b 1 history", "u q c 2 dev")
)


def fill(folder: Path, **more: str) -> Path:
    for name, text in {**FILES, **more}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@given(purchases, st.integers(1, 5))
def test_a_history_is_what_the_user_took_before_and_no_target(log: list[Purchase], longest: int) -> None:
    rows = list(with_histories(log, longest=longest))
    assert [row for row, _ in rows] == [row for row in log if row.part != "history"]
    for row, past in rows:
        earlier = {
            (other.order, other.item)
            for other in log
            if other.user == row.user and other.order < row.order and other.part in PAST
        }
        assert past == tuple(item for _, item in sorted(earlier))[-longest:]


def test_a_log_becomes_one_request_per_pair_and_target(tmp_path: Path) -> None:
    dataset = load_requests(fill(tmp_path / "shop", **{"search_log.tsv": LOG}))
    assert dataset.name == "shop_requests"
    assert dataset.qrels == {"train": {"q@u@0": {"a": 1}}, "dev": {"q@u@2": {"c": 1}}}
    assert dataset.split("dev")[0] == [Query("q@u@2", "one", ("a", "b"))]
    assert dataset.queries["q@u@0"].history == ()
    assert not dataset.histories
    assert "search_log.tsv" in dataset.hashes
    assert dataset.without(["a"]).queries["q@u@2"].history == ("b",)


def test_training_sees_the_query_with_the_titles_behind_it() -> None:
    corpus = Corpus(Document(d, title=f"T{d}") for d in "abc")
    queries = [Query("1", "one", ("a", "b")), Query("2", "two")]
    context = ExampleContext(corpus, queries, {"1": {"c": 1}, "2": {"a": 1, "b": 0}})
    examples = TrainRequests(order="chronological")(context)
    assert list(zip(examples.texts, examples.documents.tolist(), strict=True)) == [
        ("one. Ta. Tb", 2),
        ("two", 0),
    ]


def test_a_smaller_fraction_lies_inside_a_larger_one() -> None:
    corpus = Corpus([Document("a", title="A")])
    queries = [Query(str(n), f"ask {n}") for n in range(60)]
    context = ExampleContext(corpus, queries, {query.id: {"a": 1} for query in queries})
    few, some, every = (set(TrainRequests(fraction=f)(context).texts) for f in (0.2, 0.5, 1.0))
    assert few < some < every
    assert len(every) == 60


def test_requests_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    queries = '{"_id": "q", "text": "one"}\n{"_id": "q@u", "text": "two"}\n'
    log = "user_id\tquery_id\titem_id\torder\tpart\nu@v\tq\ta\t0\ttrain\nv\tq@u\ta\t0\ttrain\n"
    folder = fill(tmp_path, **{"search_log.tsv": log, "queries.jsonl": queries})
    with pytest.raises(InputError, match="'q@u@v@0'"):
        load_requests(folder)


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"search_log.tsv .or search_log.tsv.gz. is missing"):
        load_requests(fill(tmp_path))


@pytest.mark.parametrize("settings", [{"items": 0}, {"order": "random"}, {"fraction": 0.0}])
def test_impossible_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings)).rstrip("s")):
        TrainRequests(**settings)  # type: ignore[arg-type]


def test_the_real_log_gives_train_requests_only_and_no_later_item(real_data: Path) -> None:
    folder = real_data / "amazon_beauty_search"
    dataset = load_requests(folder)
    asked = load_dataset(folder).queries
    log = read_search_log(folder / "search_log.tsv.gz", queries=asked, items=dataset.corpus.row_of)
    train = {f"{row.query}@{row.user}@{row.order}" for row in log if row.part == "train"}
    assert dataset.qrels["train"].keys() == train
    assert set(dataset.qrels) == {"train", "dev", "dev_seen"}
    seen_at: dict[tuple[str, str], int] = {}
    for row in log:
        if row.part in PAST:
            key = (row.user, row.item)
            seen_at[key] = min(row.order, seen_at.get(key, row.order))
    for name, query in dataset.queries.items():
        _, user, order = name.split("@")
        assert all(seen_at[user, item] < int(order) for item in query.history)

"""Datasets: layouts are recognised, hashes recorded, and a subset never judges what is gone."""

import gzip
import hashlib
from pathlib import Path

import pytest

from retrograd.data.dataset import Dataset, load_dataset
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, History, Query

CORPUS = '{"_id": "a", "text": "x"}\n{"_id": "b", "text": "y"}\n{"_id": "c", "text": "z"}\n'
QUERIES = '{"_id": "q", "text": "one"}\n{"_id": "r", "text": "two"}\n'
TRAIN = "query-id\tcorpus-id\tscore\nq\ta\t2\nq\tb\t0\nr\tc\t1\n"
ITEMS = '{"id": "a", "title": "A", "text": ""}\n{"id": "b", "title": "B", "text": ""}\n'
TAKEN = "user_id\titem_id\torder\nu\tb\t1\nu\ta\t0\nv\ta\t0\n"


def fill(folder: Path, files: dict[str, str]) -> Path:
    """A folder with these files; `.gz` ones packed."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return folder


@pytest.mark.parametrize("end", ["", ".gz"])
def test_a_search_folder_is_read_plain_or_packed(tmp_path: Path, end: str) -> None:
    files = {f"corpus.jsonl{end}": CORPUS, f"queries.jsonl{end}": QUERIES, f"qrels/train.tsv{end}": TRAIN}
    dataset = load_dataset(fill(tmp_path / "mini", files))
    queries, qrels = dataset.split("train")
    assert (dataset.name, dataset.corpus.ids, [query.id for query in queries]) == (
        "mini",
        ("a", "b", "c"),
        ["q", "r"],
    )
    assert qrels == {"q": {"a": 2, "b": 0}, "r": {"c": 1}}
    assert dataset.popularity == {"a": 1, "c": 1}
    content = {name: (tmp_path / "mini" / name).read_bytes() for name in files}
    assert dataset.hashes == {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}


def test_an_items_folder_keeps_each_users_last_row_as_target(tmp_path: Path) -> None:
    dataset = load_dataset(fill(tmp_path, {"items.jsonl": ITEMS, "interactions.tsv.gz": TAKEN}))
    assert dataset.histories == {"u": History("u", ("a",)), "v": History("v", ("a",))}
    assert dataset.split("dev") == ([Query("u", "", ("a",))], {"u": {"b": 1}})
    assert dataset.popularity == {"a": 2}


def test_an_atomic_folder_is_read_with_and_without_items(tmp_path: Path) -> None:
    files = {"ml.inter": "user_id:token\titem_id:token\ttimestamp:float\nu\tb\t2\nu\ta\t1\n"}
    assert load_dataset(fill(tmp_path, files)).corpus.ids == ("b", "a")
    files = {"ml.item": "item_id:token\ttitle:token_seq\na\tA film\nb\tB\n"}
    assert load_dataset(fill(tmp_path, files)).split("dev") == ([Query("u", "", ("a",))], {"u": {"b": 1}})


LONGER = "user_id\titem_id\ttimestamp\n" + "".join(
    f"{user}\t{item}\t{at}\n"
    for user, items in {"u": "abcd", "v": "dc", "w": "b"}.items()
    for at, item in enumerate(items)
)
FOUR = "".join(f'{{"id": "{item}", "title": "{item.upper()}", "text": ""}}\n' for item in "abcd")


def test_a_cut_says_who_is_asked_with_what(tmp_path: Path) -> None:
    folder = fill(tmp_path, {"items.jsonl": FOUR, "interactions.tsv": LONGER})
    two = load_dataset(folder, cut="last_two")
    assert {name: history.items for name, history in two.histories.items()} == {
        "u": ("a", "b"),
        "v": ("d",),
        "w": ("b",),
    }
    assert two.split("dev") == ([Query("u", "", ("a", "b"))], {"u": {"c": 1}})
    assert two.split("test") == (
        [Query("u", "", ("a", "b", "c")), Query("v", "", ("d",))],
        {"u": {"d": 1}, "v": {"c": 1}},
    )
    assert two.slices["test"]["last step"] == {"u": "ascending", "v": "descending"}
    refit = load_dataset(folder, cut="last_two_refit")
    assert set(refit.qrels) == {"test"}
    assert refit.histories["u"].items == ("a", "b", "c")
    assert refit.split("test") == two.split("test")
    assert "cut" in refit.hashes


def test_a_split_hash_is_of_the_split_and_not_of_the_file(tmp_path: Path) -> None:
    rows = LONGER.splitlines()
    folders = [
        fill(tmp_path / name, {"items.jsonl": FOUR, "interactions.tsv": "\n".join(lines) + "\n"})
        for name, lines in {"one": rows, "same": [rows[0], *rows[:0:-1]], "other": rows[:-2]}.items()
    ]
    one, same, other = (load_dataset(folder).split_hash("dev") for folder in folders)
    assert one == same != other
    assert one != load_dataset(folders[0], cut="last_two").split_hash("dev")


def test_a_cut_that_is_unknown_or_cuts_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no cut is called 'middle'; choose one of last, last_two"):
        load_dataset(tmp_path, cut="middle")
    with pytest.raises(InputError, match="holds no interactions that 'last_two' could cut"):
        load_dataset(fill(tmp_path, {"corpus.jsonl": CORPUS}), cut="last_two")
    with pytest.raises(InputError, match="need a `timestamp`; these have order only"):
        load_dataset(fill(tmp_path / "r", {"items.jsonl": ITEMS, "interactions.tsv": TAKEN}), cut="temporal")


def test_a_single_file_of_documents_is_a_dataset(tmp_path: Path) -> None:
    dataset = load_dataset(fill(tmp_path, {"docs.csv": "id,text\na,x\n"}) / "docs.csv")
    assert (dataset.name, dataset.corpus.ids, dict(dataset.qrels)) == ("docs", ("a",), {})
    assert list(dataset.hashes) == ["docs.csv"]


def test_a_corpus_alone_is_a_dataset_without_splits(tmp_path: Path) -> None:
    dataset = load_dataset(fill(tmp_path, {"corpus.jsonl": CORPUS}))
    with pytest.raises(InputError, match="has no split 'dev'; it has none"):
        dataset.split("dev")


def test_popularity_comes_from_purchases_where_they_are_given(tmp_path: Path) -> None:
    search = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/train.tsv": TRAIN}
    folder = fill(tmp_path / "search", {**search, "search_log.tsv": "not read here"})
    assert load_dataset(folder).popularity is None
    table = fill(tmp_path / "other", {"interactions.tsv": TAKEN}) / "interactions.tsv"
    dataset = load_dataset(folder, interactions=table)
    assert dataset.popularity == {"a": 2}
    assert "interactions.tsv" in dataset.hashes


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "holds none of the known layouts"),
        ({"corpus.jsonl": CORPUS, "corpus.jsonl.gz": CORPUS}, "holds both corpus.jsonl and corpus.jsonl.gz"),
        (
            {"corpus.jsonl": CORPUS, "qrels/dev.tsv": TRAIN},
            r"queries.jsonl \(or queries.jsonl.gz\) is missing",
        ),
        ({"items.jsonl": ITEMS}, r"interactions.tsv \(or interactions.tsv.gz\) is missing"),
        (
            {"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/dev.tsv": TRAIN + "q\tnone\t1\n"},
            r"qrels/dev.tsv:5: document 'none' does not exist",
        ),
    ],
)
def test_a_folder_that_cannot_be_read_says_why(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        load_dataset(fill(tmp_path, files))


def test_a_path_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        load_dataset(tmp_path / "nothing")


def small() -> Dataset:
    """Three documents, two judged queries, one user."""
    return Dataset(
        Corpus([Document(name) for name in "abc"]),
        {"q": Query("q", ""), "r": Query("r", "")},
        {"dev": {"q": {"a": 1, "b": 0}, "r": {"c": 1}}},
        {"u": History("u", ("a", "b", "c"))},
        {"a": 3, "c": 1},
    )


def test_a_subset_keeps_only_what_concerns_its_documents() -> None:
    left = small().subset(["b", "a"])
    assert left.corpus.ids == ("a", "b")
    assert left.qrels == {"dev": {"q": {"a": 1, "b": 0}}}
    assert left.histories == {"u": History("u", ("a", "b"))}
    assert left.popularity == {"a": 3}
    assert left.split("dev")[0] == [Query("q", "")]


def test_without_is_the_subset_of_the_rest_and_another_dataset_than_the_whole() -> None:
    assert small().without(["c"]).hashes == small().subset(["a", "b"]).hashes != small().hashes
    assert small().without([]).corpus.ids == small().corpus.ids


def test_a_subset_of_nothing_or_of_unknown_documents_is_refused() -> None:
    for wrong in (lambda: small().subset([]), lambda: small().without("abc")):
        with pytest.raises(InputError, match=r"no document .* is left"):
            wrong()
    for wrong in (lambda: small().subset(["z"]), lambda: small().without(["z"])):
        with pytest.raises(InputError, match="document 'z' is not in"):
            wrong()


def test_an_unknown_split_lists_those_there_are() -> None:
    with pytest.raises(InputError, match="dataset 'dataset' has no split 'test'; it has dev"):
        small().split("test")


@pytest.mark.parametrize(
    ("name", "documents", "splits"),
    [
        ("scifact", 5183, {"train": 728, "train_clean": 422, "dev": 81}),
        ("cranfield", 1400, {"train": 133, "train_clean": 117, "dev": 23, "test": 69}),
        ("apibench", 1011, {"train": 488, "dev": 349, "dev_seen": 123, "dev_unseen": 226}),
        ("amazon_beauty_search", 12_101, {"train": 2233, "dev": 271, "dev_seen": 1831}),
    ],
)
def test_real_search_sets_have_their_published_sizes(
    real_data: Path, name: str, documents: int, splits: dict[str, int]
) -> None:
    dataset = load_dataset(real_data / name)
    assert len(dataset.corpus) == documents
    assert {split: len(dataset.split(split)[0]) for split in dataset.qrels} == splits


def test_the_real_recommendation_set_has_its_published_size(real_data: Path) -> None:
    dataset = load_dataset(real_data / "amazon_beauty")
    assert (len(dataset.corpus), len(dataset.histories), len(dataset.qrels["dev"])) == (
        12_101,
        22_363,
        22_363,
    )
    assert dataset.popularity is not None
    assert sum(dataset.popularity.values()) == 176_139 - 22_363

"""A search log: only `train` rows are learnt from, and targets never enter a history."""

from pathlib import Path

import pytest

from retrograd.data.dataset import load_dataset
from retrograd.data.search_log import PARTS, read_search_log, training_pairs, with_histories
from retrograd.errors import InputError

HEADER = "user_id\tquery_id\titem_id\torder\tpart\n"


def test_only_train_rows_become_pairs_and_no_target_enters_a_history(tmp_path: Path) -> None:
    path = tmp_path / "search_log.tsv"
    path.write_text(HEADER + "".join(f"u\tq\t{part}\t{at}\t{part}\n" for at, part in enumerate(PARTS)))
    log = read_search_log(path, queries={"q"}, items=set(PARTS))
    assert training_pairs(log) == [("q", "train")]
    assert {row.part: past for row, past in with_histories(log)} == {
        "train": (),
        "dev": ("train", "history"),
        "dev_seen": ("train", "history"),
        "test": ("train", "history"),
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("u\tq\ti\t0\tlater", "search_log.tsv:2: part 'later' is not one of train, history"),
        ("u\tz\ti\t0\ttrain", "search_log.tsv:2: query 'z' does not exist"),
        ("u\tq\tz\t0\ttrain", "search_log.tsv:2: item 'z' does not exist"),
        ("u\tq\ti\tx\ttrain", "search_log.tsv:2: order 'x' is not a whole number"),
    ],
)
def test_a_faulty_row_is_named(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "search_log.tsv"
    path.write_text(f"{HEADER}{row}\n")
    with pytest.raises(InputError) as caught:
        read_search_log(path, queries={"q"}, items={"i"})
    assert reason in str(caught.value)


def test_the_real_log_gives_pairs_of_train_queries_only(real_data: Path) -> None:
    folder = real_data / "amazon_beauty_search"
    dataset = load_dataset(folder)
    log = read_search_log(folder / "search_log.tsv.gz", queries=dataset.queries, items=dataset.corpus.row_of)
    pairs = training_pairs(log)
    assert len(pairs) == sum(row.part == "train" for row in log) == 176_474
    judged = dataset.qrels["train"]
    assert all(item in judged[query] for query, item in set(pairs))
    held_out = {row.query for row in log if row.part == "history"}
    assert not held_out & judged.keys()
    assert not held_out & {query for query, _ in pairs}

"""A search set with what its users took: no target of either side is learnt from the other."""

import gzip
import os
from pathlib import Path

import pytest

from retrograd.data.both_tasks import load_both_tasks
from retrograd.data.dataset import load_dataset
from retrograd.data.search_log import read_search_log
from retrograd.errors import InputError
from tests.both_tasks_data import write_searched_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return write_searched_shop(tmp_path_factory.mktemp("data") / "shop")


def test_both_sides_are_there_under_their_own_names(shop):
    folder, table = shop
    dataset = load_both_tasks(folder, table, requests=True)
    assert set(dataset.qrels) == {"train", "dev", "next_item_dev"}
    queries, qrels = dataset.split("next_item_dev")
    assert len(queries) == 40
    for query in queries:
        assert query.text == ""
        assert dataset.histories[query.id].items == query.history
        assert not set(qrels[query.id]) & set(query.history)
    assert all(query.text for query in dataset.split("dev")[0])
    assert all("@" not in query.id for query in load_both_tasks(folder, table).split("train")[0])


def test_what_the_log_wants_found_ends_a_history(shop, tmp_path):
    folder, table = shop
    log = read_search_log(
        folder / "search_log.tsv",
        queries=load_dataset(folder).queries,
        items=load_dataset(folder).corpus.row_of,
    )
    early = [row for row in log if row.user == "u3"][1]
    lines = (
        (folder / "search_log.tsv")
        .read_text()
        .replace(
            f"u3\t{early.query}\t{early.item}\t{early.order}\ttrain",
            f"u3\t{early.query}\t{early.item}\t{early.order}\tdev",
        )
    )
    other = write_searched_shop(tmp_path / "other")[0]
    (other / "search_log.tsv").write_text(lines)
    dataset = load_both_tasks(other, table, requests=True)
    whole = load_both_tasks(folder, table, requests=True)
    assert dataset.histories["u3"].items == whole.histories["u3"].items[: early.order]
    assert dataset.histories["u4"] == whole.histories["u4"]


def test_the_hashes_name_the_table_and_the_cut(shop):
    folder, table = shop
    names = {cut: set(load_both_tasks(folder, table, cut=cut).hashes) for cut in ("last", "last_two")}
    assert "histories, cut last" in names["last"]
    assert "histories, cut last_two" in names["last_two"]


def test_an_item_of_another_collection_is_refused_with_its_line(shop, tmp_path):
    folder, _ = shop
    (tmp_path / "odd.tsv").write_text("user_id\titem_id\torder\nu\tnothing\t0\n")
    with pytest.raises(InputError, match=r"odd.tsv:2: item 'nothing' does not exist"):
        load_both_tasks(folder, tmp_path / "odd.tsv")


DATA = Path(os.environ.get("RETROGRAD_DATA", "data"))


@pytest.mark.skipif(not (DATA / "amazon_beauty_search").is_dir(), reason="amazon_beauty_search is not here")
def test_no_target_of_the_product_search_log_is_a_next_item():
    dataset = load_both_tasks(
        DATA / "amazon_beauty_search", DATA / "amazon_beauty" / "interactions.tsv.gz", requests=True
    )
    taken = {(user, item) for user, history in dataset.histories.items() for item in history.items}
    assert len(taken) == 153_776
    with gzip.open(DATA / "amazon_beauty_search" / "search_log.tsv.gz", "rt") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines][1:]
    targets = {(user, item) for user, _, item, _, part in rows if part in ("dev", "dev_seen")}
    assert len(targets) > 19_000
    assert not taken & targets

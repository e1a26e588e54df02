"""`--requests`: the rows of a search log, with what their asker took before, as queries."""

import pytest

import retrograd
from retrograd.types import Query


@pytest.fixture
def log_folder(tmp_path):
    folder = tmp_path / "log"
    (folder / "qrels").mkdir(parents=True)
    words = {"a": "red comb", "b": "blue brush", "c": "green soap"}
    documents = (f'{{"_id": "{id}", "title": "{title}", "text": ""}}\n' for id, title in words.items())
    (folder / "corpus.jsonl").write_text("".join(documents))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "comb"}\n{"_id": "r", "text": "soap"}\n')
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
    rows = ("user_id query_id item_id order part", "u q a 0 train", "u r b 1 history", "u r c 2 dev")
    (folder / "search_log.tsv").write_text("".join(row.replace(" ", "\t") + "\n" for row in rows))
    return folder


def test_fit_and_eval_read_requests(cli, log_folder, tmp_path):
    out = tmp_path / "system"
    fitted = cli("fit", "bm25", "--data", log_folder, "--requests", "--out", out)
    assert fitted.code == 0, fitted.err
    measured = cli("eval", out, "--data", log_folder, "--requests", "--split", "dev")
    assert measured.code == 0, measured.err
    assert "1 queries" in measured.out
    without = cli("eval", out, "--data", log_folder, "--split", "dev")
    assert without.code == 2
    assert "no split 'dev'" in without.err


def test_a_folder_without_a_log_has_no_requests(cli, tiny_data, tmp_path):
    refused = cli("fit", "bm25", "--data", tiny_data, "--requests", "--out", tmp_path / "s")
    assert refused.code == 2
    assert "search_log.tsv" in refused.err


def test_a_history_changes_what_a_request_finds(log_folder):
    from retrograd.search.history import WithHistory
    from retrograd.search.lexical import Lexical
    from retrograd.search.parts import Parts

    data = retrograd.load_dataset(log_folder)
    searcher = WithHistory(search=Lexical()).build(Parts(data.corpus, folder=log_folder))
    plain, asked = searcher.search([Query("1", "comb"), Query("2", "comb", history=("b",))], 3)
    assert [hit.document for hit in plain[1]] == ["a"]
    assert {hit.document for hit in asked[1]} == {"a", "b"}

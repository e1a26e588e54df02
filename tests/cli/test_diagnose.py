"""`retrograd diagnose` on systems and run files, and what it refuses."""

import gzip
import json
import shutil

import pytest

from retrograd.cli.diagnose import interactions_beside
from retrograd.data.runs import read_run, write_run
from retrograd.types import Hit, Ranking


@pytest.fixture(scope="module")
def run_file(tiny_data, tmp_path_factory):
    """The first documents of the corpus for every query of `dev_seen`."""
    queries = [
        line.split("\t")[0] for line in (tiny_data / "qrels" / "dev_seen.tsv").read_text().splitlines()[1:]
    ]
    ids = [json.loads(line)["_id"] for line in (tiny_data / "corpus.jsonl").read_text().splitlines()[:5]]
    unique = tuple(dict.fromkeys(queries))
    path = tmp_path_factory.mktemp("runs") / "some.trec"
    write_run(path, Ranking(unique, tuple(tuple(Hit(d, -n) for n, d in enumerate(ids)) for _ in unique)))
    return path


SEEN = ("--split", "dev_seen")


def test_a_generative_system_is_diagnosed_to_its_gradients(cli, generative_system, tiny_data, tmp_path):
    out = tmp_path / "deep" / "out"
    done = cli("diagnose", generative_system, "--data", tiny_data, *SEEN, "--out", out, "-k", 5)
    assert done.code == 0, done.err
    for title in ("Popularity: who is served", "Hubness", "Codes", "Gradient norm"):
        assert title in done.out
    assert "left out: isotropy" in done.out
    files = {file.name for file in out.iterdir()}
    assert {"diagnosis.json", "hubness.png", "popularity.png", "gradients.png"} <= files
    read = json.loads((out / "diagnosis.json").read_text())
    assert read["k"] == 5
    assert set(read["popularity"]) == {"generative", "bm25"}


def test_bm25_is_diagnosed_without_a_reference_to_itself(cli, lexical_system, tiny_data):
    done = cli("diagnose", lexical_system, "--data", tiny_data, *SEEN)
    assert done.code == 0, done.err
    assert "bm25 lists" not in done.out
    assert "left out: ids: the system has none" in done.out


def test_a_run_file_is_audited_beside_bm25(cli, run_file, tiny_data, tmp_path):
    done = cli("diagnose", "--run", run_file, "--data", tiny_data, *SEEN, "--out", tmp_path)
    assert done.code == 0, done.err
    read = json.loads((tmp_path / "diagnosis.json").read_text())
    assert set(read["popularity"]) == {"some", "bm25"}
    assert read["hubness"]["lists"]["largest"] == read["num_queries"]
    assert any("one document stands in" in alarm for alarm in read["alarms"]) == (read["num_queries"] >= 20)


def test_a_system_and_its_own_run_have_the_same_audit(cli, lexical_system, tiny_data, tmp_path):
    topics, run = tiny_data / "queries.jsonl", tmp_path / "own.trec"
    assert cli("search", lexical_system, "--queries", topics, "--run", run, "-k", 10).code == 0
    for number, subject in enumerate(([lexical_system], ["--run", run])):
        done = cli("diagnose", *subject, "--data", tiny_data, *SEEN, "--out", tmp_path / str(number))
        assert done.code == 0, done.err
    one, two = (json.loads((tmp_path / name / "diagnosis.json").read_text()) for name in "01")
    assert one["popularity"]["lexical"] == two["popularity"]["own"]
    assert one["hubness"]["lists"] == two["hubness"]["lists"]


def ids_of(data):
    return [json.loads(line)["_id"] for line in (data / "corpus.jsonl").read_text().splitlines()]


def test_popularity_comes_from_a_file_of_counts_or_interactions(cli, run_file, data, tmp_path):
    ids = ids_of(data)
    counts, taken = tmp_path / "counts.tsv", tmp_path / "taken.tsv"
    counts.write_text("".join(f"{id}\t{n}\n" for n, id in enumerate(ids)))
    taken.write_text("user_id\titem_id\n" + "".join(f"u\t{id}\n" for id in ids))
    for file, mean in ((counts, (len(ids) - 1) / 2), (taken, (len(ids) - 1) / len(ids))):
        done = cli(
            "diagnose", "--run", run_file, "--data", data, *SEEN, "--popularity", file, "--out", tmp_path
        )
        assert done.code == 0, done.err
        assert f"from {file.name}" in done.out
        audit = json.loads((tmp_path / "diagnosis.json").read_text())["popularity"]["some"]
        assert audit["catalogue_popularity"] == pytest.approx(mean)


def product_search(data, folder):
    """The same data as a product search: a log whose clicks are not to be counted."""
    search = shutil.copytree(data, folder / "shop_search")
    (search / "search_log.tsv").write_text("user_id\tquery_id\titem_id\torder\tpart\n")
    return search


def test_a_product_search_is_counted_by_the_interactions_beside_it(cli, run_file, data, tmp_path):
    search = product_search(data, tmp_path)
    assert interactions_beside(search) is None
    done = cli("diagnose", "--run", run_file, "--data", search, *SEEN)
    assert "left out: popularity: nobody counted it; give --popularity FILE" in done.out
    (tmp_path / "shop").mkdir()
    rows = "".join(f"u\t{id}\n" for id in ids_of(data))
    (tmp_path / "shop" / "interactions.tsv.gz").write_bytes(
        gzip.compress(f"user_id\titem_id\n{rows}".encode())
    )
    assert interactions_beside(search).name == "interactions.tsv.gz"
    assert "rows of shop/interactions.tsv.gz without each user's last" in (
        cli("diagnose", "--run", run_file, "--data", search, *SEEN).out
    )


def test_interactions_of_other_items_are_said_to_be_left_out(cli, run_file, data, tmp_path):
    search = product_search(data, tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "interactions.tsv").write_text("user_id\titem_id\nu\tnothing\n")
    done = cli("diagnose", "--run", run_file, "--data", search, *SEEN)
    assert done.code == 0, done.err
    assert "left out: popularity:" in done.out
    assert "'nothing'" in done.out


def test_the_decoding_of_a_generative_system_is_looked_at(cli, generative_system, tiny_data, tmp_path):
    done = cli(
        "diagnose", generative_system, "--data", tiny_data, *SEEN, "--decoding", "-k", 3, "--out", tmp_path
    )
    assert done.code == 0, done.err
    for text in ("Beams:", "Look-ahead:", "Masking step by step", "wrote decoding.json, decoding.png"):
        assert text in done.out
    read = json.loads((tmp_path / "decoding.json").read_text())
    assert [beam["width"] for beam in read["beams"]] == [1, 2, 5, 10, 20, 50]
    assert read["look_ahead"][-1]["perfect"] == read["ceiling"]
    assert (tmp_path / "decoding.png").stat().st_size > 10_000


# what is refused


def test_decoding_is_looked_at_in_systems_that_decode(cli, lexical_system, run_file, tiny_data, tmp_path):
    look = ("--data", tiny_data, *SEEN, "--decoding")
    assert "has no docids" in cli("diagnose", lexical_system, *look).error
    assert "--decoding looks at a SYSTEM" in cli("diagnose", "--run", run_file, *look).error
    assert "--decoding" in cli("diagnose", lexical_system, *look, "--popularity", run_file).error


@pytest.mark.parametrize("arguments", [[], ["system", "--run", "x"]])
def test_a_system_or_a_run_but_not_both(cli, tiny_data, arguments):
    assert "either SYSTEM or --run FILE" in cli("diagnose", *arguments, "--data", tiny_data).error


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("q Q0 d", "columns"),
        ("{query} Q0 nowhere 9 -9 tag", "document 'nowhere' does not exist in the data"),
        ("{query} Q0 {document} x 1 tag", "rank 'x'"),
        ("{query} Q0 {document} 1 nan tag", "score 'nan'"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_a_faulty_run_names_file_and_line(cli, run_file, tiny_data, tmp_path, line, reason):
    lines = run_file.read_text().splitlines()
    words = {"query": lines[0].split()[0], "document": ids_of(tiny_data)[-1]}
    lines.insert(2, line.format(**words))
    broken = tmp_path / "broken.trec"
    broken.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    error = cli("diagnose", "--run", broken, "--data", tiny_data, *SEEN).error
    assert "broken.trec:3: " in error
    assert reason in error


def test_a_faulty_popularity_names_file_and_line(cli, run_file, tiny_data, tmp_path):
    counts = tmp_path / "counts.tsv"
    for text, reason in (("nowhere\t3\n", "'nowhere'"), (f"{ids_of(tiny_data)[0]}\tmany\n", "'many'")):
        counts.write_text(text)
        error = cli("diagnose", "--run", run_file, "--data", tiny_data, *SEEN, "--popularity", counts).error
        assert "counts.tsv:1: " in error
        assert reason in error


def test_a_wrong_split_k_folder_or_file_is_one_line(cli, run_file, lexical_system, tiny_data, tmp_path):
    diagnose_run = ("diagnose", "--run", run_file, "--data", tiny_data)
    assert "dev_seen" in cli(*diagnose_run, "--split", "final").error
    assert "k=0" in cli(*diagnose_run, *SEEN, "-k", 0).error
    assert "no retrograd system here" in cli("diagnose", tiny_data, "--data", tiny_data, *SEEN).error
    assert "nowhere" in cli("diagnose", "--run", tmp_path / "nowhere", "--data", tiny_data, *SEEN).error
    assert "nowhere" in cli("diagnose", lexical_system, "--data", tmp_path / "nowhere").error


def test_an_out_that_is_a_file_is_refused_and_kept(cli, run_file, tiny_data, tmp_path):
    (tmp_path / "thesis").write_text("years of work")
    error = cli("diagnose", "--run", run_file, "--data", tiny_data, *SEEN, "--out", tmp_path / "thesis").error
    assert "thesis" in error
    assert (tmp_path / "thesis").read_text() == "years of work"


def test_a_run_of_other_queries_is_refused(cli, run_file, tiny_data, tmp_path):
    other = tmp_path / "other.trec"
    found = read_run(run_file)
    write_run(other, Ranking(tuple(f"x{query}" for query in found.query_ids), found.hits))
    assert "is judged" in cli("diagnose", "--run", other, "--data", tiny_data, *SEEN).error


def test_a_system_of_other_documents_is_refused(cli, lexical_system, data):
    corpus = (data / "corpus.jsonl").read_text()
    target = (data / "qrels" / "dev_seen.tsv").read_text().splitlines()[1].split("\t")[1]
    (data / "corpus.jsonl").write_text(corpus.replace(f'"{target}"', '"another"'))
    for file in (data / "qrels").glob("*.tsv"):
        file.write_text(file.read_text().replace(f"\t{target}\t", "\tanother\t"))
    error = cli("diagnose", lexical_system, "--data", data, *SEEN).error
    assert "lacks 1 of" in error
    assert "'another'" in error


def test_a_damaged_training_log_cannot_pass_for_a_sound_one(cli, generative_system, tiny_data, tmp_path):
    broken = shutil.copytree(generative_system, tmp_path / "broken")
    (broken / "metrics.jsonl").write_text("{}\n")
    assert "metrics.jsonl" in cli("diagnose", broken, "--data", tiny_data, *SEEN).error

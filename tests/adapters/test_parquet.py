"""What is written to Parquet comes back, and other readers understand it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from retrograd.adapters.parquet import iterate_parquet, read_parquet, write_parquet
from retrograd.adapters.source import document_vectors, keys_of
from retrograd.data.dataset import Dataset
from retrograd.errors import ArtifactError, InputError
from retrograd.recipes import recipe
from retrograd.training.fit import fit
from retrograd.types import Corpus, Document
from tests.adapters.systems import CORPUS, QUERIES, Changing, answers, fitted, scores, without
from tests.small_systems import small

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra parquet)")


@pytest.mark.parametrize("name", ["dense", "bm25", "ultron_pq", "dgi", "dsi_qg"])
@pytest.mark.parametrize("rows_per_group", [7, 40, 4096])
def test_everything_comes_back(name, rows_per_group, tmp_path):
    system = fitted(name)
    assert write_parquet(system, tmp_path / "all.parquet", rows_per_group=rows_per_group) == len(CORPUS)
    export = read_parquet(tmp_path / "all.parquet")
    assert list(export.corpus) == list(CORPUS)
    if hasattr(system.model, "document_vectors"):
        np.testing.assert_array_equal(export.vectors, document_vectors(system))
    else:
        assert export.vectors is None
    if system.table is None:
        assert export.table is None
        return
    own = keys_of(system, CORPUS.ids)
    for row, keys in enumerate(own):
        assert sorted(export.table.key(int(key)) for key in export.table.keys_of(row)) == sorted(keys)
    assert export.table.level_sizes == system.table.level_sizes
    assert export.table.describe(own[0][0]) == system.table.describe(own[0][0])


def test_a_system_fitted_on_what_came_back_ranks_alike(tmp_path):
    write_parquet(fitted("dense"), tmp_path / "all.parquet")
    again = fit(small(recipe("dense")), Dataset(read_parquet(tmp_path / "all.parquet").corpus))
    one, two = again.search(QUERIES, k=10), fitted("dense").search(QUERIES, k=10)
    assert (answers(one), scores(one)) == (answers(two), scores(two))


def test_rows_come_in_groups_and_in_order(tmp_path):
    write_parquet(fitted("ultron_pq"), tmp_path / "all.parquet", rows_per_group=7)
    groups = list(iterate_parquet(tmp_path / "all.parquet"))
    assert [len(group.documents) for group in groups] == [7] * 5 + [5]
    assert [d for group in groups for d in group.documents] == list(CORPUS)
    assert [keys for group in groups for keys in group.keys] == keys_of(fitted("ultron_pq"), CORPUS.ids)


def test_another_reader_understands_the_columns(tmp_path):
    write_parquet(fitted("dgi"), tmp_path / "all.parquet")
    table = parquet.read_table(tmp_path / "all.parquet")
    assert table.column_names == ["id", "title", "text", "metadata", "vector", "keys", "labels"]
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[16]"
    assert json.loads(table["metadata"][7].as_py()) == CORPUS[7].metadata
    assert table["labels"][7].as_py() == ["-".join(map(str, key)) for key in table["keys"][7].as_py()]
    told = json.loads(table.schema.metadata[b"retrograd"])
    assert (told["format"], told["recipe"], told["documents"]) == (1, "dgi", len(CORPUS))


def test_a_live_system_is_written_as_it_is_now(tmp_path):
    live = Changing(fitted("dense"))
    live.system = without(live.system, "0", "d9")
    write_parquet(live, tmp_path / "all.parquet")
    assert read_parquet(tmp_path / "all.parquet").corpus.ids == live.system.corpus.ids


def test_every_flipped_byte_is_found_or_harmless(tmp_path):
    path = tmp_path / "all.parquet"
    write_parquet(fitted("dense"), path)
    whole, found = path.read_bytes(), 0
    for at in range(0, len(whole), len(whole) // 60):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        said = ""
        try:
            assert list(read_parquet(path).corpus) == list(CORPUS)
        except (ArtifactError, InputError) as error:
            said = str(error)
        assert "\n" not in said
        found += str(path) in said
    assert found > 40


def test_missing_truncated_and_foreign_files_are_named(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    path = tmp_path / "all.parquet"
    with pytest.raises(ArtifactError, match=r"all.parquet: no such file"):
        read_parquet(path)
    write_parquet(fitted("dense"), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"all.parquet: is damaged"):
        read_parquet(path)
    parquet.write_table(arrow.table({"id": ["a"]}), path)
    with pytest.raises(InputError, match=r"all.parquet: is no export of this version"):
        read_parquet(path)


@pytest.mark.parametrize(
    "document, said",
    [
        (Document("a", "\ud800"), "document 'a' holds a lone surrogate"),
        (Document("a", "x", metadata={"when": object()}), "metadata of document 'a' are no JSON"),
    ],
)
def test_what_cannot_be_written_leaves_the_older_file(document, said, tmp_path):
    path = tmp_path / "all.parquet"
    write_parquet(fitted("bm25"), path)
    before = path.read_bytes()
    system = fitted("bm25")
    system = replace(system, parts=replace(system.parts, corpus=Corpus([Document("b", "y"), document])))
    with pytest.raises(InputError, match=said):
        write_parquet(system, path)
    with pytest.raises(InputError, match="rows_per_group=0"):
        write_parquet(system, path, rows_per_group=0)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["all.parquet"]

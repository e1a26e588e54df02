"""The codes of docids stand for vectors, in the space queries are encoded into."""

from dataclasses import replace

import numpy as np
import pytest

from retrograd.adapters.codes import codes_of
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from tests.adapters.systems import CORPUS, fitted

CODED = {"ultron_pq": "product", "dgi": "residual", "generative": "residual"}


@pytest.mark.parametrize("name, kind", CODED.items())
def test_codes_are_the_docids_and_decode_to_the_documents_neighbourhood(name, kind):
    system = fitted(name)
    codes = codes_of(system)
    assert codes.kind == kind
    levels = len(codes.codebooks)
    for row, document in enumerate(system.corpus):
        keys = [system.table.key(int(key))[:levels] for key in system.table.keys_of(row)]
        assert tuple(codes.codes[row]) in keys, document.id
    vectors = codes.query_vectors(CORPUS.contents)
    decoded = codes.decode()
    assert decoded.shape == vectors.shape
    own = np.linalg.norm(decoded - vectors, axis=1).mean()
    other = np.linalg.norm(decoded - np.roll(vectors, 7, axis=0), axis=1).mean()
    assert own < other


@pytest.mark.parametrize("name", ["bm25", "dense", "dsi_atomic", "dsi_qg"])
def test_docids_that_are_no_codes_are_refused(name):
    with pytest.raises(InputError, match=f"{name!r} are no codes"):
        codes_of(fitted(name))


def test_a_document_without_a_docid_is_named():
    system = fitted("ultron_pq")
    table = system.table
    gone = table.pairs[table.pairs[:, 1] != 7]
    parts = replace(system.parts, table=replace(table, pairs=gone))
    with pytest.raises(InputError, match="document 'd7' has no docid"):
        codes_of(replace(system, parts=parts))


def test_a_number_beyond_the_codebook_is_named():
    system = fitted("ultron_pq")
    table = system.table
    keys = [list(table.key(int(table.keys_of(row)[0]))) for row in range(len(CORPUS))]
    keys[9][1] = 1000
    sizes = [max(size, 1001) for size in table.level_sizes]
    other = DocidTable.from_keys(keys, range(len(CORPUS)), CORPUS.ids, level_sizes=sizes, state=table.state)
    parts = replace(system.parts, table=other)
    with pytest.raises(InputError, match="document 'd9' holds a number that is no code"):
        codes_of(replace(system, parts=parts))

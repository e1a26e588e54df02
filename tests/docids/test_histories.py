"""Ids of what is taken together: a cluster for each group, guessed from texts where nobody took an item."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from retrograd.docids import DocidInputs, Quantised
from retrograd.errors import ArtifactError, InputError
from retrograd.types import Corpus, Document
from tests.docids.test_behaviour import blocks

ITEMS = 240
COUNTS, OWNER = blocks([80, 80, 80])


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Stands for a text encoder; the vectors come from the test."""


SCHEME = Quantised(encoder=Encoder(), of="histories", quantizer="residual", levels=1, codes=3)


def inputs(owners, neighbours=None, first=0):
    """Items whose texts say, a little noisily, to which group they belong."""
    rng = np.random.default_rng(first)
    texts = np.eye(3, dtype=np.float32)[owners] + 0.05 * rng.normal(size=(len(owners), 3)).astype(np.float32)
    corpus = Corpus(Document(f"d{first + at}", title="x") for at in range(len(owners)))
    return DocidInputs(corpus, 0, lambda encoder, of: texts, neighbours=neighbours)


def clusters(table):
    keys, _ = table.by_document
    return table.padded[keys][:, 0]


def test_items_taken_together_share_a_cluster_whatever_their_texts_say():
    found = clusters(SCHEME.assign(inputs(np.zeros(ITEMS, int), lambda: csr_array(COUNTS))))
    same = OWNER[:, None] == OWNER
    assert ((found[:, None] == found) == same).all()


def test_an_item_nobody_took_goes_where_its_text_points():
    counts = COUNTS.copy()
    counts[5] = counts[:, 5] = 0.0
    found = clusters(SCHEME.assign(inputs(OWNER, lambda: csr_array(counts))))
    assert found[5] == found[4]


def test_an_item_that_comes_later_does_too_and_moves_no_other():
    table = SCHEME.assign(inputs(OWNER, lambda: csr_array(COUNTS)))
    grown = SCHEME.insert(table, inputs(np.array([2, 0]), first=ITEMS))
    before, after = clusters(table), clusters(grown)
    assert (after[:ITEMS] == before).all()
    assert after[ITEMS:].tolist() == [before[-1], before[0]]


def test_without_histories_there_is_nothing_to_make_ids_of():
    with pytest.raises(InputError, match="no interactions"):
        SCHEME.assign(inputs(OWNER))


@pytest.mark.parametrize("stored", [None, np.zeros(3, np.float32), np.zeros((5, 128), np.float32)])
def test_a_stored_map_that_does_not_fit_is_refused(stored):
    table = SCHEME.assign(inputs(OWNER, lambda: csr_array(COUNTS)))
    state = {name: array for name, array in table.state.items() if name != "from_text"}
    if stored is not None:
        state["from_text"] = stored
    with pytest.raises(ArtifactError, match="guesses ids from texts"):
        SCHEME.insert(replace(table, state=state), inputs(np.array([1]), first=ITEMS))

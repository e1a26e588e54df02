"""One network for texts, histories and both: who sees whom, and what the task changes."""

import numpy as np
import pytest
import torch

from retrograd.data.examples import ExampleContext
from retrograd.data.request_rows import PersonalRequests, rows_of_requests
from retrograd.data.sequences import pack
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.request_transformer import RequestTransformer
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.types import Corpus, Document, Query

IDS = tuple("abcdefgh")
CORPUS = Corpus(Document(item, title=f"kind{at % 3} thing{at}") for at, item in enumerate(IDS))
KEYS = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [2, 0], [2, 1], [2, 2]]
TABLE = DocidTable.from_keys(KEYS, range(8), IDS, level_sizes=(3, 3))
LENGTH = 6


def built(seed=1, **changes):
    config = RequestTransformer(
        width=16, heads=2, length=LENGTH, dropout=0.0, encoder=TfidfSvd(dimensions=4), **changes
    )
    return config.build(config.fit(CORPUS.contents), TABLE, seed=seed).eval()


def state(model, items, text):
    rows = rows_of_requests([(np.array(items, np.int64), text)], LENGTH)
    return model.last_states(model.read(rows), model.all_item_vectors())[0]


def test_a_request_reads_the_same_in_any_company():
    model = built()
    asked = [([0, 1], "kind1"), ([], "kind2 thing5"), ([3, 4, 5], ""), ([7], "kind1")]
    rows = rows_of_requests([(np.array(items, np.int64), text) for items, text in asked], LENGTH)
    together = model.last_states(model.read(rows), model.all_item_vectors())
    for at, (items, text) in enumerate(asked):
        assert together[at] == pytest.approx(state(model, items, text), abs=1e-5)


def test_in_training_a_query_sees_its_past_and_no_other_query():
    model = built()
    life = ["a", "d", "h"]
    queries = [
        Query("1", "kind0", ("a",)),
        Query("2", "thing4", ("a", "d")),
        Query("3", "kind1", ("a", "d", "h")),
    ]
    qrels = {query.id: {"b": 1} for query in queries}
    found = PersonalRequests(length=4, row=8)(ExampleContext(CORPUS, queries, qrels))
    inputs = model.collate(model.prepare_sequences(found.rows), np.arange(1))
    with torch.inference_mode():
        states = model.states(inputs)[0].numpy()
    for query, column in zip(queries, np.flatnonzero(found.targets[0] >= 0), strict=True):
        items = [CORPUS.row_of[item] for item in life[: len(query.history)]]
        assert states[column] == pytest.approx(state(model, items, query.text), abs=1e-5)


def test_every_part_of_a_request_matters():
    model = built()
    asked = [([0, 1], "kind1"), ([1, 0], "kind1"), ([0, 1], "kind2"), ([0, 1], ""), ([], "kind1")]
    states = [state(model, *request) for request in asked]
    for one in range(len(asked)):
        for two in range(one):
            assert np.abs(states[one] - states[two]).max() > 1e-3


def test_the_task_is_told_unless_prompts_are_off():
    for prompts in (True, False):
        model = built(task_prompts=prompts)
        rows = rows_of_requests([(np.array([0, 1]), "")], LENGTH)
        before = model.last_states(model.read(rows), model.all_item_vectors())
        rows.tasks[:] = 2
        after = model.last_states(model.read(rows), model.all_item_vectors())
        assert (np.abs(after - before).max() > 1e-3) == prompts


def test_what_is_learnt_from_and_what_is_refused():
    model = built()
    assert all(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(InputError, match="learns from requests"):
        model.prepare_sequences(pack([np.array([0, 1])], 4))
    with pytest.raises(InputError, match="7 items in one piece"):
        model.prepare_sequences(rows_of_requests([(np.arange(7), "")], 8))
    with pytest.raises(InputError, match="reads_text=true"):
        built(reads_text=False)


def test_the_same_seed_gives_the_same_weights():
    one, two, other = built(3), built(3), built(4)
    assert torch.equal(one.table, two.table)
    assert not torch.equal(one.table, other.table)

"""All codes at once: means in, one softmax per code out."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from retrograd.data.sequences import pack
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.parallel_codes import ParallelCodeTransformer, codes_of_items
from retrograd.search.next_item import UNPROPOSED
from retrograd.search.parallel_codes import CodeSums, ParallelCodeScores
from retrograd.search.parts import Parts
from retrograd.training.batches import Batch
from retrograd.training.objectives import ParallelCodeLikelihood
from retrograd.types import Corpus, Document, Query

KEYS = [[0, 1, 4], [2, 0, 0], [0, 0, 3], [2, 1, 0], [1, 1, 2], [2, 1, 0]]
IDS = tuple("abcdef")
TABLE = DocidTable.from_keys(KEYS, range(6), IDS, level_sizes=(3, 2, 5))
CORPUS = Corpus(Document(item, title=item) for item in IDS)


def built(**changes):
    config = ParallelCodeTransformer(width=16, heads=2, length=4, **changes)
    model = config.build(config.fit(IDS), TABLE, seed=1).eval()
    with torch.no_grad():  # heads start as the state itself: make them do something
        model.outer.normal_(std=0.2)
    return model


def test_every_item_has_its_codes_also_where_items_share_a_key():
    assert codes_of_items(TABLE).tolist() == KEYS


def test_an_item_is_read_as_the_mean_of_its_codes():
    model = built()
    first = [0, 3, 5]
    for item, key in enumerate(KEYS):
        rows = [model.table[start + code] for start, code in zip(first, key, strict=True)]
        expected = torch.stack(rows).mean(0) * 3**0.5
        torch.testing.assert_close(model.item_vectors(torch.tensor([item]))[0], expected)


def test_scores_are_sums_of_the_log_probabilities_of_each_head():
    model, states = built(temperature=0.5), np.random.default_rng(0).normal(size=(2, 16)).astype(np.float32)
    parameters = {name: value.detach().double().numpy() for name, value in model.named_parameters()}
    books = np.split(parameters["table"], [3, 5])
    expected = np.zeros((2, 6))
    for book, vectors in enumerate(books):
        inner = states @ parameters["inner"][book] + parameters["bias"][book]
        said = states + (inner / (1 + np.exp(-inner))) @ parameters["outer"][book]
        cosines = said @ vectors.T / np.linalg.norm(said, axis=1, keepdims=True)
        logs = log_softmax(cosines / np.linalg.norm(vectors, axis=1) / 0.5, axis=1)
        expected += logs[:, [key[book] for key in KEYS]]
    codes = codes_of_items(TABLE)
    assert model.mean_log_probability(states, codes) * 3 == pytest.approx(expected, abs=1e-4)


def test_the_loss_is_the_mean_cost_of_a_code():
    model = built()
    rows, targets = pack([np.array([0, 1, 2])], 4), pack([np.array([1, 2, 5])], 4)
    batch = Batch(inputs=model.collate(rows, np.arange(1)), documents=torch.from_numpy(targets.items))
    loss = ParallelCodeLikelihood()(model, batch)["codes"]
    states = model.states(batch.inputs)[0, :3].detach().numpy()
    expected = -model.mean_log_probability(states, codes_of_items(TABLE))[[0, 1, 2], [1, 2, 5]].mean()
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_a_searcher_ranks_by_them_and_an_empty_history_has_no_answer():
    model = built()
    parts = Parts(CORPUS, model, TABLE)
    answers = ParallelCodeScores().build(parts).search([Query("q", "", ("a", "c")), Query("e", "")], 6)
    vectors = model.all_item_vectors()
    state = model.last_states(pack([np.array([0, 2])], 4), vectors)
    scores = 3 * model.mean_log_probability(state, codes_of_items(TABLE))[0]
    order = [IDS[at] for at in np.argsort(-scores, kind="stable") if IDS[at] not in "ac"]
    assert answers.documents() == {"q": order, "e": []}
    said = CodeSums(model, codes_of_items(TABLE), vectors)([np.zeros(0, np.int64)])
    assert (said.scores == UNPROPOSED).all()


@pytest.mark.parametrize(
    ("table", "match"),
    [
        (None, "scheme of docids"),
        (DocidTable.from_keys([[0, 1], [1]], [0, 1], "ab", level_sizes=(2, 2)), "as many"),
    ],
)
def test_ids_it_cannot_write_are_refused(table, match):
    config = ParallelCodeTransformer(width=8, heads=1)
    with pytest.raises(InputError, match=match):
        config.build(config.fit("ab"), table)
    with pytest.raises(InputError, match="ParallelCodeTransformer"):
        ParallelCodeScores().build(Parts(CORPUS))


@pytest.mark.parametrize("fields", [{"temperature": 0.0}, {"reads_text": True}])
def test_settings_without_sense_are_refused(fields):
    with pytest.raises(InputError):
        ParallelCodeTransformer(**fields)

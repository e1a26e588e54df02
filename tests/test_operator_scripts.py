"""What the scripts behind the page of operators compute by themselves, against the plain formula."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

COUNTS = np.array([[3, 1, 0, 0], [0, 2, 2, 0], [0, 0, 0, 0], [1, 1, 1, 5]])


@pytest.fixture
def latent_training(script):
    """The script."""
    return script("latent_training")


@pytest.mark.parametrize("smoothing", [0.1, 0.5, 1.0])
def test_the_reader_is_a_smoothed_unigram_model(latent_training, smoothing):
    answers = [[0, 2], [3], []]
    found = latent_training.log_likelihood(csr_matrix(COUNTS), answers, smoothing)
    for answer, line in zip(answers, found, strict=True):
        for document, value in zip(COUNTS, line, strict=True):
            chances = [
                (1 - smoothing) * document[word] / max(document.sum(), 1)
                + smoothing * COUNTS[:, word].sum() / COUNTS.sum()
                for word in answer
            ]
            assert value == pytest.approx(sum(math.log(chance) for chance in chances), abs=1e-5)


def test_an_answer_has_words_of_its_body_that_the_title_lacks(latent_training):
    titles = [torch.tensor([0]), torch.tensor([], dtype=torch.int64), torch.tensor([1]), torch.tensor([3])]
    found = latent_training.drawn_words(csr_matrix(COUNTS), titles, 2)
    assert [set(answer) for answer in found[:3]] == [{1}, {1, 2}, set()]
    assert len(found[3]) == len(set(found[3])) == 2
    assert set(found[3]) < {0, 1, 2}


def test_a_goal_is_met_beyond_chance_where_the_whole_interval_reaches_it(operators):
    def runs(*values):
        per_query = {str(query): value for query, value in enumerate(values)}
        return [{"mean": {"R@1": float(np.mean(values))}, "per_query": {"R@1": per_query}}]

    def said(ours, least):
        return operators.share(ours, runs(*[0.5] * 20), "R@1", least)

    assert said(runs(*[0.6] * 20), 0.1) == "+20.0 % [+20.0, +20.0], met"
    assert said(runs(*[0.5, 0.7] * 10), 0.15).endswith("met, within chance")
    assert said(runs(*[0.6] * 20), 0.25).endswith("missed")
    assert said([], 0.1) == "not run"


def test_cells_that_are_there_are_not_run_again(operators, tmp_path):
    cells, asked = [("a", "b", seed, "claim") for seed in range(3)], []

    def run_cell(*cell):
        asked.append(cell)
        return {"seed": cell[2]}

    operators.finished(tmp_path, cells[:2], run_cell)
    assert [found["seed"] for found in operators.finished(tmp_path, cells, run_cell)] == [0, 1, 2]
    assert asked == cells

"""Distillation: the list's scores against the teacher's, labels as in the contrastive objective."""

import pytest
import torch

from retrograd.errors import InputError
from retrograd.losses.distillation import listwise_distillation
from retrograd.training.batches import Batch
from retrograd.training.objectives import InBatchContrastive, ListwiseDistillation

VECTORS = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
DOCUMENTS = torch.tensor([0, 3, 3])
LISTS = torch.tensor([[5, 0, 2, 8], [3, 5, -1, -1], [-1, -1, -1, -1]])
TEACHER = torch.tensor([[4.0, 3.0, 1.0, 0.0], [2.0, -1.0, 0.0, 0.0], [0.0] * 4])


class Lookup:
    """Vectors from a table; remembers which documents it was asked for."""

    scale = torch.tensor(2.0)

    def embed_queries(self, inputs):
        return VECTORS[inputs["rows"]]

    def embed_documents(self, inputs):
        self.embedded = inputs["rows"].tolist()
        return VECTORS[inputs["rows"]]


def batch(**changed) -> Batch:
    given = {"lists": LISTS, "list_scores": TEACHER, "document_inputs": lambda rows: {"rows": rows}}
    return Batch({"rows": torch.tensor([1, 4, 6])}, DOCUMENTS, **(given | changed))


def test_a_list_is_scored_like_the_teacher_scores_it():
    model = Lookup()
    terms = ListwiseDistillation(weight=0.5, temperature=2.0, contrastive=0.0)(model, batch())
    assert model.embedded == [0, 2, 3, 5, 8], "each document once"
    scores = 2.0 * torch.einsum("bd,btd->bt", VECTORS[[1, 4, 6]], VECTORS[LISTS.clamp(min=0)])
    expected = 0.5 * listwise_distillation(scores, TEACHER, temperature=2.0, where=LISTS >= 0)
    assert list(terms) == ["distillation"]
    torch.testing.assert_close(terms["distillation"], expected)


def test_labels_are_those_of_the_contrastive_objective_and_lists_are_no_negatives():
    given = batch(
        negatives=torch.tensor([[7, -1], [1, 2], [-1, -1]]), relevant=torch.tensor([[0, 7], [3, -1], [3, 0]])
    )
    terms = ListwiseDistillation(contrastive=3.0)(Lookup(), given)
    torch.testing.assert_close(
        terms["contrastive"], 3.0 * InBatchContrastive()(Lookup(), given)["contrastive"]
    )


def test_documents_drawn_from_the_corpus_are_candidates_of_the_labels():
    given = batch(num_documents=9)
    terms = ListwiseDistillation(drawn=9)(Lookup(), given)
    torch.testing.assert_close(
        terms["contrastive"], InBatchContrastive(drawn=9)(Lookup(), given)["contrastive"]
    )


def test_a_batch_without_any_list_teaches_labels_only():
    given = batch(lists=torch.full((3, 4), -1), list_scores=torch.zeros(3, 4))
    terms = ListwiseDistillation()(Lookup(), given)
    assert terms["distillation"].item() == 0
    assert terms["contrastive"].item() > 0


def test_what_is_missing_is_named():
    with pytest.raises(InputError, match="TeacherLists"):
        ListwiseDistillation()(Lookup(), batch(lists=None, list_scores=None))
    with pytest.raises(InputError, match="embeds documents"):
        ListwiseDistillation()(Lookup(), batch(document_inputs=None))


@pytest.mark.parametrize(
    "wrong", [{"weight": -1.0}, {"temperature": 0.0}, {"contrastive": -0.1}, {"drawn": -1}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ListwiseDistillation(**wrong)

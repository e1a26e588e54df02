"""The example programs run in a short form, learn something, and say what they can be told."""

import runpy
import sys

import pytest
import torch

from examples import constrained_decoding_theory as theory
from examples import memory_layer, reader
from retrograd.data.dataset import load_dataset
from retrograd.types import Corpus, Document
from tests.house.tree import ROOT

ONE_WORD = [["owl", "night"], ["cod", "water"], ["oak", "forest"], ["gold", "metal"]]


@pytest.fixture(scope="module")
def texts():
    """Eighty documents of four kinds; what a title says is known from the kind, and from its number."""
    corpus = Corpus(
        Document(
            str(at),
            f"{ONE_WORD[at % 4][0]} {ONE_WORD[at % 4][1]} thing{at % 8}",
            f"about {ONE_WORD[at % 4][1]}",
        )
        for at in range(80)
    )
    return reader.prepare(corpus, keys="bodies", most=80, seed=0)


@pytest.mark.parametrize("mode", [reader.ALONE, reader.FROZEN, reader.TRAINED])
def test_a_reader_learns_and_only_what_it_should(mode, texts):
    untrained = reader.nats_per_word(reader.train(texts, mode, seed=0, steps=0), texts)
    model = reader.train(texts, mode, seed=0, steps=40)
    assert reader.nats_per_word(model, texts) < 0.7 * untrained
    if mode is reader.ALONE:
        assert model.retriever is None
    else:
        assert bool(model.retriever.turn.weight.any()) is (mode is reader.TRAINED)


def test_a_body_in_training_is_never_its_own_neighbour_and_no_test_document_is_in_the_memory(texts):
    retriever, rows = reader.Retriever(texts, trained=True), torch.arange(texts.train)
    hits = retriever(texts.vectors[rows], guide=texts.guide[rows], own=rows)
    assert not (hits.ids == rows.unsqueeze(1)).any()
    assert not (texts.guide == rows.unsqueeze(1)).any()
    assert hits.label == "consistent"
    assert len(retriever.memory) == texts.train < len(texts.titles)


def test_the_likelihood_of_all_words_adds_up_to_one(texts):
    model = reader.train(texts, reader.TRAINED, seed=0, steps=2)
    every = torch.arange(len(texts.words)).expand(3, -1)
    found = model.reader(texts.bodies[:3], every, texts.titles[torch.arange(6).view(3, 2)]).exp().sum(-1)
    torch.testing.assert_close(found, torch.ones(3, 2), atol=1e-3, rtol=0)


def test_the_reader_prints_a_table(monkeypatch, tiny_data, capsys):
    monkeypatch.setattr(reader, "corpus_of", lambda name: load_dataset(tiny_data).corpus)
    found = reader.main(["--seeds", "1", "--steps", "2"])
    assert list(found) == [reader.ALONE, reader.FROZEN, reader.TRAINED]
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(found)


def test_the_reader_falls_back_on_the_shipped_sample(monkeypatch):
    monkeypatch.delenv("RETROGRAD_DATA", raising=False)
    assert len(reader.corpus_of("scifact")) == 1011


@pytest.mark.parametrize("kind", memory_layer.KINDS)
def test_a_classifier_with_any_layer_learns_and_the_layer_takes_part(kind):
    assert memory_layer.accuracy(kind, seed=0, steps=60) > 0.6
    model = memory_layer.Classifier(kind)
    model(torch.rand(4, 64)).sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.layer.parameters())


def test_the_theory_of_constrained_decoding_holds_in_simulation(tmp_path, capsys):
    found = theory.main(["--draws", "6", "--png", str(tmp_path / "theory.png")])
    assert all(value == 1 for name, value in found.items() if name.startswith("best"))
    for ratio in (2, 4):
        recalls = [found[f"recall {mass:g} {ratio} 1"] for mass in theory.MASSES]
        assert recalls == sorted(recalls, reverse=True)  # the less mass, the closer to B / V
        assert recalls[-1] == pytest.approx(1 / ratio, abs=0.05)
    assert found["recall 0.2 4 2"] == pytest.approx(1, abs=0.02)
    assert found["recall 0.01 4 2"] == pytest.approx(0.5, abs=0.07)
    formula = theory.masked_law(10.0, 0.5, draws=6, seed=0)
    assert formula[0] == found["nats 10 0.5"] == pytest.approx(formula[1], rel=0.4)
    assert formula[2] == pytest.approx((1 + 1 / 10) / theory.CODES ** (theory.LEVELS - 1), rel=0.02)
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(theory.CONCENTRATIONS) + 2 + 2 * len(theory.MASSES) + 3 * (
        len(theory.RATIOS) - 1
    )
    assert (tmp_path / "theory.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "option"),
    [("reader", "--steps"), ("memory_layer", "--steps"), ("constrained_decoding_theory", "--draws")],
)
def test_an_example_says_what_it_can_be_told(name, option, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    assert option in capsys.readouterr().out


def test_the_memory_layer_is_at_most_sixty_lines():
    assert len((ROOT / "examples" / "memory_layer.py").read_text(encoding="utf-8").splitlines()) <= 60

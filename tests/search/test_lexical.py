"""The lexical searcher: opens what it built, refuses what is not its own."""

import shutil
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.examples import PseudoQueries
from retrograd.data.query_generation import Extractive, Seq2SeqGenerator
from retrograd.errors import ArtifactError
from retrograd.search.lexical import FOLDER, Lexical, _signature, expansions
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, Query


@dataclass(frozen=True)
class Synonyms:
    """Writes a word that stands in no document."""

    def generate(self, corpus, per_document, seed, background=None):
        return [["temperature"] * per_document if "heat" in d.text else [] for d in corpus]


@pytest.fixture
def parts(tmp_path):
    corpus = Corpus([Document("a", "wings in flow"), Document("b", "flow of heat")])
    return Parts(corpus=corpus, folder=tmp_path)


def test_an_existing_index_is_opened_not_built(parts):
    before = Lexical().build(parts).search([Query("q", "wing")], 5)
    names = sorted(path.name for path in (parts.folder / FOLDER).iterdir())
    assert Lexical().build(parts).search([Query("q", "wing")], 5) == before
    assert sorted(path.name for path in (parts.folder / FOLDER).iterdir()) == names


def test_an_index_of_another_corpus_or_language_is_refused(parts):
    Lexical().build(parts)
    with pytest.raises(ArtifactError, match="2 documents in english, but the system has 2 in german"):
        Lexical(language="german").build(parts)
    with pytest.raises(ArtifactError, match="delete the folder"):
        Lexical().build(replace(parts, corpus=Corpus([Document("a")])))


def test_a_deleted_index_is_built_again(parts):
    before = Lexical().build(parts).search([Query("q", "flow")], 5)
    shutil.rmtree(parts.folder / FOLDER)
    assert Lexical().build(parts).search([Query("q", "flow")], 5) == before


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="english"):
        Lexical(language="klingon")


EXPANDED = Lexical(expansion=PseudoQueries(generator=Synonyms(), per_document=3))


def test_an_expanded_index_finds_words_only_the_generator_wrote(parts):
    assert Lexical().build(parts).search([Query("q", "temperature")], 5).hits == ((),)
    assert EXPANDED.build(parts).search([Query("q", "temperature")], 5).documents() == {"q": ["b"]}
    assert Lexical().build(parts).search([Query("q", "temperature")], 5).hits == ((),)


def test_every_expansion_has_an_index_of_its_own(parts):
    other = replace(EXPANDED, expansion=replace(EXPANDED.expansion, seed=1))
    folders = {config.folder for config in (Lexical(), EXPANDED, other, Lexical(expansion=PseudoQueries()))}
    assert len(folders) == 4
    for config in (Lexical(), EXPANDED, other):
        config.build(parts)
    assert {path.name for path in parts.folder.iterdir()} == {c.folder for c in (Lexical(), EXPANDED, other)}


def test_a_field_at_its_default_does_not_name_the_folder():
    explicit = PseudoQueries(generator=Extractive(), per_document=PseudoQueries().per_document, seed=0)
    assert Lexical(expansion=explicit).folder == Lexical(expansion=PseudoQueries()).folder
    assert _signature(PseudoQueries(seed=3, generator=Extractive(span=0.5))) == (
        "PseudoQueries(generator=Extractive(span=0.5), seed=3)"
    )


def test_a_copy_is_made_from_the_kept_texts_without_the_generator(parts, tmp_path):
    EXPANDED.build(parts)
    broken = replace(EXPANDED.expansion, generator=Seq2SeqGenerator(folder="gone"))
    moved = replace(EXPANDED, expansion=broken)
    parts.arrays = {f"{moved.folder}.texts": parts.arrays[f"{EXPANDED.folder}.texts"]}
    copy = moved.build(replace(parts, folder=tmp_path / "copy"))
    assert copy.search([Query("q", "temperature")], 5).documents() == {"q": ["b"]}


def test_kept_texts_of_another_corpus_are_refused(parts, tmp_path):
    EXPANDED.build(parts)
    grown = replace(parts, corpus=Corpus([*parts.corpus, Document("c")]), folder=tmp_path / "grown")
    with pytest.raises(ArtifactError, match="2 expansions were saved but the corpus has 3"):
        EXPANDED.build(grown)


@given(st.lists(st.integers(0, 19), min_size=1, max_size=20, unique=True))
def test_an_expansion_depends_on_its_document_and_the_background_alone(chosen):
    corpus = Corpus(
        Document(f"d{n}", f"wings of kind {n} in a flow of air and heat number {n}") for n in range(20)
    )
    whole = expansions(PseudoQueries(per_document=4), corpus)
    again = Extractive().generate(Corpus(corpus[n] for n in chosen), 4, 0, background=corpus)
    assert [" ".join(" ".join(group).split()) for group in again] == [whole[n] for n in chosen]

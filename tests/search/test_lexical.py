"""The lexical searcher: opens what it built, refuses what is not its own."""

import shutil
from dataclasses import replace

import pytest

from retrograd.errors import ArtifactError
from retrograd.search.lexical import FOLDER, Lexical
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, Query


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

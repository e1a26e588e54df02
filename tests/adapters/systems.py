"""One small collection and the systems the adapters are tried on: odd ids, twins, metadata of every kind."""

from dataclasses import dataclass, replace
from functools import cache

from retrograd.data.dataset import Dataset
from retrograd.recipes import recipe
from retrograd.system import System
from retrograd.training.fit import fit
from retrograd.types import Corpus, Document, Query
from tests.small_systems import small

WORDS = (
    *("depth", "image", "video", "speech", "sound", "music", "text", "token"),
    *("graph", "node", "price", "film", "actor", "plot", "cell", "gene"),
)
ODD_IDS = ("日本語 1", "a/b?c=ü", "🙂", 'quo"te', "0")


def document(number: int) -> Document:
    """Documents 3 and 4 say the same, as do 10 and 11."""
    said = number - 1 if number in (4, 11) else number
    words = [WORDS[said % 16], WORDS[said * 3 % 16], WORDS[said * 7 % 16], WORDS[said // 5 % 16]]
    return Document(
        ODD_IDS[number] if number < len(ODD_IDS) else f"d{number}",
        f"about {' and '.join(words)}, item {said}",
        f"{words[0]} {words[1]}",
        {
            "year": 2000 + number % 3,
            "tags": [words[0], words[1]],
            "free": number % 2 == 0,
            "cost": number / 4,
        },
    )


CORPUS = Corpus(map(document, range(40)))
QUERIES = [
    Query("q1", "depth of an image"),
    Query("q2", "music and sound in a film"),
    Query("q3", ""),
    Query("q4", "日本 gene"),
    Query("q5", CORPUS[3].contents),
]


@cache
def fitted(name: str) -> System:
    """A recipe on the small collection, fitted once."""
    return fit(small(recipe(name)), Dataset(CORPUS, name="small"))


def without(system: System, *gone: str) -> System:
    """The system as it would be without some documents, built from nothing."""
    corpus = Corpus(document for document in system.corpus if document.id not in gone)
    parts = replace(system.parts, corpus=corpus, arrays={})
    return System.assemble(system.recipe, parts, system.fitted, system.manifest)


@dataclass
class Changing:
    """Whoever holds the current system."""

    system: System


def answers(ranking) -> list[list[str]]:
    """Document ids per query."""
    return [[hit.document for hit in hits] for hits in ranking.hits]


def scores(ranking) -> list[list[float]]:
    """Scores per query."""
    return [[hit.score for hit in hits] for hits in ranking.hits]

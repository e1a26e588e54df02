"""A small audience, and a subject that has everything: lists, vectors, ids, codes, a past."""

import json
from pathlib import Path

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.evaluation.diagnostics.agreement import Relaxation
from retrograd.evaluation.diagnostics.codes import VectorSpace
from retrograd.evaluation.diagnostics.report import Audience, Diagnosis, Reference, Settings, diagnose
from retrograd.evaluation.diagnostics.subject import Subject
from retrograd.types import Ranking

SETTINGS = Settings(k=3, draws=100)
NUM_DOCUMENTS, NUM_QUERIES, LEVELS, CODES, WIDTH = 40, 25, 2, 8, 6
IDS = tuple(f"d{n}" for n in range(NUM_DOCUMENTS))


class Codes:
    """A residual code of given codebooks."""

    def __init__(self, codebooks):
        self.codebooks = codebooks

    def reconstruct(self, codes):
        return sum(book[codes[:, level]] for level, book in enumerate(self.codebooks))


def audience(**changes):
    """Every query wants the document of its number."""
    given = {
        "document_ids": IDS,
        "qrels": {f"q{n}": {f"d{n}": 1} for n in range(NUM_QUERIES)},
        "popularity": {id: float(NUM_DOCUMENTS - 5 - n) for n, id in enumerate(IDS[: NUM_DOCUMENTS - 5])},
        "popularity_from": "counted by hand",
    }
    return Audience(**(given | changes))


def lists(rows):
    """Rankings of document rows (queries, k)."""
    rows = np.asarray(rows)
    return Ranking.from_rows([f"q{n}" for n in range(len(rows))], rows, -np.indices(rows.shape)[1], IDS)


def whole_subject(folder: Path) -> Subject:
    """Everything there is to look at."""
    rng = np.random.default_rng(0)
    books = tuple(rng.standard_normal((CODES, WIDTH)).astype(np.float32) for _ in range(LEVELS))
    codes = np.stack([rng.integers(0, CODES, NUM_DOCUMENTS) for _ in books], axis=1)
    model = Codes(books)
    documents = model.reconstruct(codes) + 0.1 * rng.standard_normal((NUM_DOCUMENTS, WIDTH))
    queries = [f"q{n}" for n in range(NUM_QUERIES)]
    space = VectorSpace(queries, documents[:NUM_QUERIES] + 0.3, IDS, documents)
    log = folder / "metrics.jsonl"
    lines = [{"stage": 0, "step": 10 * n, "loss": 1.0, "gradient_norm": 1.0 + 1 / n} for n in range(1, 30)]
    log.write_text("\n".join(map(json.dumps, lines)))
    return Subject(
        name="whole",
        ranking=space.ranking(documents, 3),
        space=space,
        table=DocidTable.from_keys(codes, range(NUM_DOCUMENTS), IDS, level_sizes=(CODES, CODES)),
        codes=model,
        code_space=space,
        relaxation=Relaxation(),
        metrics=log,
    )


def whole_diagnosis(folder: Path) -> Diagnosis:
    """Every figure, beside a reference."""
    reference = Reference(name="bm25", ranking=lists(np.tile([0, 1, 2], (NUM_QUERIES, 1))))
    return diagnose(whole_subject(folder), audience(), reference=reference, settings=SETTINGS)

"""`retrograd diagnose`: why a system, or a run file, answers as it does and whom it serves."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrograd.cli.settings import number_of_answers, use_threads
from retrograd.cli.show import console, printable
from retrograd.errors import InputError

if TYPE_CHECKING:
    from retrograd.data.dataset import Dataset
    from retrograd.evaluation.diagnostics.report import Audience, Reference
    from retrograd.system import System
    from retrograd.types import Corpus, Qrels, Query, Ranking

DEFAULT_K = 10
CHEAP_CORPUS = 100_000
"""Up to so many documents BM25 is built beside the system, to read its figures against."""

REFERENCE = "bm25"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the subject is judged by."""

    data: Path
    split: str
    popularity: Path | None
    k: int | None


def diagnose_command(
    folder: Path | None, run: Path | None, judged: Judged, out: Path | None, *, threads: int
) -> None:
    """Look at a system (`folder`) or at a run file (`run`), print, and write what was asked for."""
    use_threads(threads)
    from retrograd.data.dataset import load_dataset
    from retrograd.evaluation.diagnostics.plots import plot_diagnosis
    from retrograd.evaluation.diagnostics.report import Settings, diagnose
    from retrograd.evaluation.diagnostics.subject import subject_of, subject_of_run
    from retrograd.evaluation.diagnostics.tables import print_diagnosis

    dataset = load_dataset(judged.data)
    queries, qrels = dataset.split(judged.split)
    corpus, lexical = dataset.corpus, False
    settings = Settings(k=number_of_answers(judged.k, DEFAULT_K, len(corpus)))
    if run is not None:
        subject = subject_of_run(_one_word(run.name.split(".")[0]), _read_run(run, corpus))
    else:
        from retrograd.search.lexical import Lexical
        from retrograd.system import System

        assert folder is not None
        system = System.load(folder)
        corpus = _corpus_of(system, qrels, folder)
        lexical = isinstance(system.recipe.search, Lexical)
        name = _one_word(folder.resolve().name)
        subject = subject_of(system, name, queries, settings.k, seed=settings.seed)
    audience = _audience(dataset, corpus, judged)
    reference = None if lexical else _reference(corpus, queries, settings.k, subject.name)
    diagnosis = diagnose(subject, audience, reference=reference, settings=settings)
    print_diagnosis(diagnosis, console())
    if out is not None:
        from retrograd.artifacts import write_json

        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "diagnosis.json", diagnosis.to_json())
        files = [out / "diagnosis.json", *plot_diagnosis(diagnosis, out, subject.metrics)]
        print(f"wrote {', '.join(file.name for file in files)} to {out}")


def decoding_command(folder: Path, judged: Judged, out: Path | None, *, threads: int) -> None:
    """Look at the decoding of a system, print, and write what was asked for."""
    use_threads(threads)
    from retrograd.data.dataset import load_dataset
    from retrograd.evaluation.diagnostics.decoding import BeamSettings, decoder_of, diagnose_decoding
    from retrograd.evaluation.diagnostics.decoding_figures import decoding_figure, print_decoding
    from retrograd.system import System

    dataset = load_dataset(judged.data)
    queries, qrels = dataset.split(judged.split)
    system = System.load(folder)
    decoder = decoder_of(system, _one_word(folder.resolve().name))
    corpus = _corpus_of(system, qrels, folder)
    settings = BeamSettings(k=number_of_answers(judged.k, DEFAULT_K, len(corpus)))
    found = diagnose_decoding(decoder, queries, qrels, settings)
    print_decoding(found, console())
    if out is not None:
        from retrograd.artifacts import write_json

        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "decoding.json", found.to_json())
        decoding_figure(found, out / "decoding.png")
        print(f"wrote decoding.json, decoding.png to {out}")


def _audience(dataset: Dataset, corpus: Corpus, judged: Judged) -> Audience:
    from retrograd.evaluation.diagnostics.report import Audience

    counts, origin = _popularity(dataset, judged)
    return Audience(
        document_ids=corpus.ids,
        qrels=dataset.qrels[judged.split],
        popularity=counts,
        popularity_from=origin,
    )


def _popularity(dataset: Dataset, judged: Judged) -> tuple[dict[str, float] | None, str]:
    """Counts and where they come from, or None and why there are none."""
    from retrograd.data.interactions import read_popularity

    if judged.popularity is not None:
        counts = read_popularity(judged.popularity, items=dataset.corpus.row_of)
        return dict(counts), f"from {judged.popularity.name}"
    if dataset.popularity is not None:
        return dict(dataset.popularity), f"what {dataset.name} itself counts"
    beside = interactions_beside(judged.data)
    if beside is None:
        return None, "nobody counted it; give --popularity FILE (id<TAB>count, or interactions)"
    try:
        counts = read_popularity(beside, items=dataset.corpus.row_of)
    except InputError as error:
        return None, f"{error}; give --popularity FILE"
    shown = f"rows of {beside.parent.name}/{beside.name} without each user's last"
    return dict(counts), shown


def interactions_beside(folder: Path) -> Path | None:
    """The interactions a product search was made from: those of `NAME` beside `NAME_search`.

    The clicks inside such a folder lack those of held-out queries, so they count nobody's popularity.
    """
    from retrograd.data.lines import one_of

    whole = folder.resolve()
    source = whole.with_name(whole.name.removesuffix("_search"))
    if source == whole or not source.is_dir() or one_of(whole, "search_log.tsv") is None:
        return None
    return one_of(source, "interactions.tsv")


def _read_run(path: Path, corpus: Corpus) -> Ranking:
    """A run whose documents all exist.

    Raises:
        InputError: it names a document that does not, or is no run (with the line).
    """
    from retrograd.data.lines import read_lines
    from retrograd.data.runs import read_run

    ranking = read_run(path)
    if all(hit.document in corpus.row_of for _, hits in ranking for hit in hits):
        return ranking
    for line, text in read_lines(path):
        cells = text.split()
        if cells and cells[2] not in corpus.row_of:
            raise InputError(f"document {cells[2]!r:.80} does not exist in the data", path=path, line=line)
    raise AssertionError("a document that is not in the corpus stands on some line")


def _corpus_of(system: System, qrels: Qrels, folder: Path) -> Corpus:
    """The documents of a system, once every relevant one is known to be among them.

    Raises:
        InputError: one is not.
    """
    wanted = {document for grades in qrels.values() for document, grade in grades.items() if grade > 0}
    missing = wanted - system.corpus.row_of.keys()
    if missing:
        raise InputError(
            f"this system lacks {len(missing):,} of {len(wanted):,} relevant documents, such as "
            f"{min(missing)!r:.80}; give the data it was fitted on",
            path=folder,
        )
    return system.corpus


def _reference(corpus: Corpus, queries: Sequence[Query], k: int, subject: str) -> Reference | None:
    """BM25's lists where they are cheap."""
    if len(corpus) > CHEAP_CORPUS:
        return None
    from retrograd.evaluation.diagnostics.report import Reference
    from retrograd.evaluation.diagnostics.subject import search_in_parts
    from retrograd.search.lexical import Lexical
    from retrograd.search.parts import Parts

    with tempfile.TemporaryDirectory(prefix="retrograd-") as folder:
        searcher = Lexical().build(Parts(corpus, folder=Path(folder)))
        ranking = search_in_parts(searcher, queries, k, "searching BM25")
    return Reference(name=REFERENCE if subject != REFERENCE else f"{REFERENCE} here", ranking=ranking)


def _one_word(name: str) -> str:
    """A name for headings: a file's or folder's, without what could rewrite a terminal."""
    return printable([name])[0]

"""From a recipe and a dataset to a fitted system: the verb behind `retrograd fit`.

Runs the six choices in order (fit vocabularies, assign docids, train the stages, build the
searcher, save) and knows nothing about any particular one of them. All work happens in
`OUT.partial`, which a later call may resume; `OUT` appears only when it is whole.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retrograd import __version__, artifacts
from retrograd.data.dataset import Dataset
from retrograd.data.examples import ExampleContext, Examples
from retrograd.data.sequences import SequenceExamples
from retrograd.data.splits import tune_cut, tune_histories
from retrograd.docid_table import DocidTable
from retrograd.docids.inputs import DocidInputs
from retrograd.docids.report import describe_table
from retrograd.errors import InputError
from retrograd.evaluation.measures import evaluate
from retrograd.live_folder import alone
from retrograd.recipe import Recipe, Stage, to_json
from retrograd.search.item_memory import taken_near
from retrograd.search.learning import memorise
from retrograd.search.parts import Parts
from retrograd.system import Fitted, System, build_model, mean_of_groups, temporary_folder
from retrograd.training.batches import PreparedSource, answers_sharing_a_text
from retrograd.training.card import write_card
from retrograd.training.checkpoint import delete_checkpoints
from retrograd.training.item_vectors import next_item_vectors
from retrograd.training.loop import StageResult, train_stage
from retrograd.training.moving_ids import MovingIds, moving_ids
from retrograd.training.own_queries import own_queries, pseudo_query_source
from retrograd.types import Corpus, History, Qrels, Query, TextEncoderConfig

Judged = tuple[list[Query], Qrels]
"""Queries with their judgements."""

TRAIN = "train"
"""The split that is learnt from where nobody names one."""


def fit(
    recipe: Recipe,
    dataset: Dataset,
    out: str | Path | None = None,
    *,
    train_split: str = TRAIN,
    seed: int = 0,
    resume: bool = False,
    checkpoint_seconds: float = 30.0,
) -> System:
    """Fit a recipe on a dataset.

    Args:
        out: the system's folder. A system that stands there is replaced in one step and kept as
            `OUT.previous`; anything else there is refused. None fits into a temporary folder.
        train_split: the judgements to learn from; a dataset without any split is fitted from its
            documents alone.
        seed: two runs with one seed give the same bytes on one machine.
        resume: go on from the checkpoints of an interrupted run with the same recipe, data and seed.
        checkpoint_seconds: what a kill can cost at most, about, in seconds of training.

    Raises:
        InputError: no such split, `out` holds something else, or there is nothing to resume.

    >>> system = fit(recipes.recipe("dsi_qg"), load_dataset("folder"), "my-system")  # doctest: +SKIP
    """
    out = temporary_folder() / "system" if out is None else Path(out)
    identity = _identity(recipe, dataset, train_split, seed)
    partial = _claim(out, identity, resume)
    started = time.monotonic()
    run = Run.start(recipe, dataset, train_split, seed, partial)
    results = [run.run_stage(at, stage, resume, checkpoint_seconds) for at, stage in enumerate(recipe.stages)]
    system = run.system()
    own_queries(recipe, system.parts)
    seconds = time.monotonic() - started
    info = identity | {
        "versions": _versions(),
        "seconds": round(seconds, 1),
        "stages": [dataclasses.asdict(result) for result in results],
        "measures": run.tune_measures(system),
        "docids": [] if run.table is None else describe_table(run.table).lines(),
    }
    delete_checkpoints(partial)
    write_card(partial, recipe, info)
    system.write(partial, info)
    with alone(out):
        artifacts.publish(partial, out)
    return System.load(out)


@dataclass(eq=False)
class Run:
    """One fit under way: the data it may see and the parts as they stand now."""

    recipe: Recipe
    corpus: Corpus
    train: Judged
    tune: Judged
    seed: int
    folder: Path
    fitted: Fitted
    histories: Sequence[History] = ()
    table: DocidTable | None = None
    model: Any = None
    ids: MovingIds | None = None
    """Set where ids follow the model."""

    @classmethod
    def start(cls, recipe: Recipe, dataset: Dataset, split: str, seed: int, folder: Path) -> Run:
        """Cut the tune part, fit vocabularies, assign docids and build fresh weights."""
        fraction = recipe.tune_fraction if recipe.stages else 0.0
        train, tune = cut_tune(dataset, split, fraction)
        histories = list(dataset.histories.values())
        if histories and fraction and not tune[0]:
            histories, tune = tune_histories(histories, fraction)
        run = cls(recipe, dataset.corpus, train, tune, seed, folder, Fitted(), histories)
        texts = dataset.corpus.contents
        if recipe.model is not None:
            run.fitted.model = recipe.model.fit(texts)
        run.fitted.search = memorise(recipe.search, run.context())
        if recipe.docids is not None:
            run.table = recipe.docids.assign(
                docid_inputs(recipe, run.fitted, dataset.corpus, seed, histories=histories)
            )
        run.model = build_model(recipe, run.fitted, run.table, seed)
        run.ids = moving_ids(recipe.docids, run.model, run.table, run._docid_inputs)
        return run

    def context(self) -> ExampleContext:
        """What examples are cut from and memories are filled from."""
        queries, qrels = self.train
        return ExampleContext(self.corpus, queries, qrels, self.seed, self.system, self.histories)

    def _docid_inputs(self) -> DocidInputs:
        inputs = docid_inputs(self.recipe, self.fitted, self.corpus, self.seed)
        return dataclasses.replace(
            inputs, model_codes=lambda: self.model.document_codes(self._document_vectors())
        )

    @cached_property
    def _prepared(self) -> Any:
        """The corpus as the model's document side reads it."""
        return self.model.prepare(self.corpus.contents, "document")

    def refresh_ids(self) -> dict[str, Any]:
        """Make ids that follow the model again; what that changed, {} where they stay."""
        if self.ids is None:
            return {}
        changes = self.ids.refresh()
        self.table = self.ids.table
        return changes

    def system(self) -> System:
        """The system with the weights as they are now and nothing derived kept from before."""
        self.refresh_ids()
        parts = Parts(self.corpus, self.model, self.table, self.folder)
        return System.assemble(self.recipe, parts, self.fitted)

    def train_sources(self, stage: Stage) -> list[PreparedSource]:
        """The stage's examples, encoded once."""
        context = self.context()
        drawn = [(mix.source(context), mix) for mix in stage.examples]
        sources = [self.prepare_source(found, mix.share(len(found))) for found, mix in drawn if len(found)]
        if not sources:
            raise InputError(
                f"stage {stage.name!r} has no example: its sources found nothing in this dataset"
            )
        return sources

    def prepare_source(self, examples: Examples | SequenceExamples, weight: float) -> PreparedSource:
        """Examples after all that needs no gradient, to be drawn with a weight."""
        if isinstance(examples, SequenceExamples):
            rows = self.model.prepare_sequences(examples.rows)
            return PreparedSource(prepared=rows, documents=examples.targets, weight=weight)
        return PreparedSource(
            prepared=self.model.prepare(examples.texts, examples.role),
            documents=examples.documents,
            negatives=examples.negatives,
            relevant=answers_sharing_a_text(examples.texts, examples.documents),
            lists=examples.lists,
            list_scores=examples.list_scores,
            weight=weight,
        )

    def run_stage(
        self,
        at: int,
        stage: Stage,
        resume: bool,
        checkpoint_seconds: float = 30.0,
        sources: Sequence[PreparedSource] | None = None,
    ) -> StageResult:
        """Run one stage on the model in place; its best weights stay.

        Args:
            sources: what batches are drawn from, in the place of the stage's examples.
        """
        sources = self.train_sources(stage) if sources is None else sources
        if hasattr(stage.objective, "begin"):
            stage.objective.begin(self.model, self._document_vectors, self.seed)
        return train_stage(
            self.model,
            stage,
            sources,
            seed=self.seed,
            stage_index=at,
            folder=self.folder,
            steps=stage.steps(len(self.corpus)),
            num_documents=len(self.corpus),
            keys_of=None if self.table is None else KeysOf(self.table),
            document_inputs=self._document_inputs(),
            validate=self._validate(stage),
            watch=None if self.ids is None else self.refresh_ids,
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
        )

    def _document_vectors(self) -> np.ndarray:
        vectors: np.ndarray = self.model.vectors_of_prepared(self._prepared, "document")
        return vectors

    def _document_inputs(self) -> Callable[[torch.Tensor], dict[str, torch.Tensor]] | None:
        if not hasattr(self.model, "embed_documents"):
            return None
        return lambda rows: self.model.collate(self._prepared, rows.numpy())

    def _validate(self, stage: Stage) -> Callable[[], float] | None:
        if not stage.validate_every or not self.tune[0]:
            return None
        return lambda: self._measure(self.system(), (stage.measure,))[stage.measure]

    def _measure(self, system: System, measures: Sequence[str]) -> dict[str, float]:
        queries, qrels = self.tune
        cutoffs = [int(name.partition("@")[2]) for name in measures if "@" in name]
        ranking = system.search(queries, k=max(cutoffs, default=1000))
        return dict(evaluate(ranking, qrels, measures=tuple(measures)).mean)

    def tune_measures(self, system: System) -> dict[str, float]:
        """Quality on the tune part, for the manifest; {} where no train query was cut off."""
        return self._measure(system, ("nDCG@10", "R@10", "R@100")) if self.tune[0] else {}


@dataclass(frozen=True, eq=False)
class KeysOf:
    """Target keys of documents: the key, or one drawn per call where a document owns several."""

    table: DocidTable

    def __call__(self, documents: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(n,) document rows -> (n, depth) int64 tokens, -1 padded."""
        keys, starts = self.table.by_document
        first, count = starts[documents], np.diff(starts)[documents]
        drawn = first + (generator.random(len(documents)) * count).astype(np.int64)
        chosen: np.ndarray = self.table.padded[keys[drawn]]
        return chosen


def cut_tune(dataset: Dataset, split: str, fraction: float) -> tuple[Judged, Judged]:
    """The judgements of a split in two: what training sees, and what picks the best weights.

    A dataset that has no judgements at all gives two empty parts, and so does one of interactions, whose
    histories are learnt from instead.
    """
    if not dataset.qrels or (dataset.histories and split == TRAIN and TRAIN not in dataset.qrels):
        return ([], {}), ([], {})
    queries, qrels = dataset.split(split)
    parts = tune_cut(queries, fraction) if fraction else (queries, [])
    train, tune = ((part, {q.id: qrels[q.id] for q in part}) for part in parts)
    return train, tune


def docid_inputs(
    recipe: Recipe,
    fitted: Fitted,
    corpus: Corpus,
    seed: int,
    background: Corpus | None = None,
    model: Any = None,
    histories: Sequence[History] = (),
) -> DocidInputs:
    """What a docid scheme may ask for; vectors are made only when it does.

    Args:
        background: the documents that say which terms are common, where `corpus` is only an addition.
        model: the trained network, where it may have codes for documents.
        histories: what was taken, where ids may be made of that.
    """

    def vectors(config: TextEncoderConfig, of: str) -> np.ndarray:
        encoder = fitted.encoder(config, corpus.contents)
        if of == "documents":
            return encoder.encode_document(corpus.contents)
        source = pseudo_query_source(recipe)
        texts = source.generator.generate(corpus, source.per_document, source.seed, background)
        texts = [group or [document.contents] for group, document in zip(texts, corpus, strict=True)]
        flat = [text for group in texts for text in group]
        return mean_of_groups(encoder.encode_query(flat), [len(group) for group in texts])

    def codes() -> np.ndarray:
        found: np.ndarray = model.document_codes(model.document_vectors(corpus.contents))
        return found

    def vectors_of_texts(config: TextEncoderConfig, texts: list[str]) -> np.ndarray:
        return fitted.encoder(config, corpus.contents).encode_document(texts)

    return DocidInputs(
        corpus=corpus,
        seed=seed,
        vectors=vectors,
        model_codes=codes if hasattr(model, "document_codes") else None,
        vectors_of_texts=vectors_of_texts,
        neighbours=(lambda: taken_near(histories, corpus)) if histories else None,
        next_item_vectors=(lambda config: next_item_vectors(config, histories, corpus, seed))
        if histories
        else None,
    )


def _identity(recipe: Recipe, dataset: Dataset, train_split: str, seed: int) -> dict[str, Any]:
    return {
        "recipe_value": to_json(recipe),
        "dataset": dataset.name,
        "data_hashes": dict(dataset.hashes),
        "train_split": train_split,
        "seed": seed,
        "threads": torch.get_num_threads(),
    }


def _claim(out: Path, identity: dict[str, Any], resume: bool) -> Path:
    """Make (or take over) the working folder beside `out`."""
    if (
        out.exists()
        and not (out / "manifest.json").is_file()
        and any(out.iterdir() if out.is_dir() else [out])
    ):
        raise InputError("exists and is no retrograd system; choose another --out", path=out)
    partial = out.with_name(f"{out.name}.partial")
    claim = partial / "fit.json"
    if resume and claim.is_file():
        if artifacts.read_json(claim) != json.loads(json.dumps(identity)):
            raise InputError(
                "holds a run with another recipe, data or seed; fit without --resume", path=partial
            )
        return partial
    if resume:
        raise InputError("there is no interrupted run to resume; fit without --resume", path=partial)
    if partial.exists() and not claim.is_file():
        raise InputError("is in the way and was not made by retrograd; move it", path=partial)
    # in two renames, so that a kill leaves either a claimed folder or none
    aside = out.with_name(f"{out.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    if partial.exists():
        partial.rename(aside)
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    artifacts.write_json(aside / claim.name, identity)
    aside.rename(partial)
    return partial


def _versions() -> dict[str, str]:
    return {"retrograd": __version__, "torch": torch.__version__, "numpy": np.__version__}

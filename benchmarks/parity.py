"""The baselines against independent implementations: BM25 beside bm25s, dense beside a direct MiniLM.

    RETROGRAD_DATA=... python benchmarks/parity.py cranfield apibench

BM25 must come within .01 nDCG@10 of bm25s at k1=1.2, b=.75 with the same words. The dense ranking
must be the one a plain loop over the network gives, one text at a time, scored by a matrix product;
neighbours closer than rounding may change places and are counted.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
import Stemmer
import torch

from retrograd.data.dataset import Dataset, load_dataset
from retrograd.evaluation.measures import evaluate
from retrograd.models.pretrained import WEIGHTS_SHA256, find_files
from retrograd.progress import track
from retrograd.recipes import recipe
from retrograd.training.fit import fit
from retrograd.types import Query, Ranking

MEASURE = "nDCG@10"
ROUNDING = 1e-6
"""Scores of unit vectors closer than this count as equal."""


def judged(dataset: Dataset) -> tuple[list[Query], dict[str, dict[str, int]]]:
    """All queries with judgements in any split; none is used to learn anything."""
    qrels: dict[str, dict[str, int]] = {}
    for split in dataset.qrels.values():  # parts of one split may overlap
        for query, grades in split.items():
            qrels.setdefault(query, {}).update(grades)
    return [query for query in dataset.queries.values() if query.id in qrels], qrels


def reference_bm25(dataset: Dataset, queries: Sequence[Query], k: int) -> Ranking:
    """bm25s with Lucene's formula, Snowball stems and the stop words of Lucene and tantivy."""
    stemmer = Stemmer.Stemmer("english")
    stop_words = (  # noqa: SIM905
        "a an and are as at be but by for if in into is it no not of on or such that the their then there "
        "these they this to was will with"
    ).split()

    def tokens(texts: Sequence[str]) -> list[list[str]]:
        return bm25s.tokenize(
            list(texts),
            stopwords=stop_words,
            stemmer=stemmer,
            token_pattern=r"(?u)[^\W_]+",
            return_ids=False,
            show_progress=False,
        )

    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(tokens(dataset.corpus.contents), show_progress=False)
    rows, scores = index.retrieve(
        tokens([query.text for query in queries]), k=min(k, len(dataset.corpus)), show_progress=False
    )
    return Ranking.from_rows([query.id for query in queries], rows, scores, dataset.corpus.ids)


def reference_vectors(texts: Sequence[str]) -> np.ndarray:
    """all-MiniLM-L6-v2 as its authors describe it, one text at a time."""
    from tokenizers import Tokenizer
    from transformers.models.bert.modeling_bert import BertModel

    files = find_files("auto", WEIGHTS_SHA256)
    network = BertModel.from_pretrained(files.folder, add_pooling_layer=False, local_files_only=True).eval()
    tokenizer = Tokenizer.from_file(str(files.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    vectors = []
    for text in track(texts, "reference vectors"):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.inference_mode():
            state = network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0].mean(0)
        vectors.append((state / state.norm()).numpy())
    return np.stack(vectors)


def ranking_differences(dataset: Dataset, queries: Sequence[Query], ours: Ranking) -> tuple[int, int]:
    """(places where the documents differ, those of them that rounding does not explain)."""
    scores = (
        reference_vectors([query.text for query in queries]) @ reference_vectors(dataset.corpus.contents).T
    )
    places = unexplained = 0
    for row, (_, hits) in zip(scores, ours, strict=True):
        order = np.argsort(-row, kind="stable")[: len(hits)]
        for place, hit in zip(order, hits, strict=True):
            found = dataset.corpus.row_of[hit.document]
            places += found != place
            unexplained += abs(row[found] - row[place]) > ROUNDING
    return places, unexplained


def main() -> None:
    """Print one line per collection and baseline; exit 1 where one is off."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collections", nargs="+")
    parser.add_argument("--skip-dense", action="store_true", help="BM25 only: seconds instead of minutes")
    arguments = parser.parse_args()
    failed = False
    for name in arguments.collections:
        dataset = load_dataset(Path(os.environ["RETROGRAD_DATA"]) / name)
        queries, qrels = judged(dataset)
        rankings = (fit(recipe("bm25"), dataset).search(queries, 100), reference_bm25(dataset, queries, 100))
        mine, theirs = (evaluate(ranking, qrels, (MEASURE,)).mean[MEASURE] for ranking in rankings)
        failed |= abs(mine - theirs) > 0.01
        print(f"{name} bm25: {MEASURE} {mine:.4f}, bm25s {theirs:.4f}, {len(queries)} queries", flush=True)
        if not arguments.skip_dense:
            ranking = fit(recipe("dense"), dataset).search(queries, 100)
            places, unexplained = ranking_differences(dataset, queries, ranking)
            failed |= unexplained > 0
            print(
                f"{name} dense: {places} of {100 * len(queries)} places differ, {unexplained} beyond rounding"
            )
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()

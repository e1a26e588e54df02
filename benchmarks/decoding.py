"""Constrained decoding: our two loops against Hugging Face `generate` with a dict trie, same weights.

All sides decode the same T5-like network over the same ids; the sequences must come out the same,
in the same order, with scores within 1e-3, or the run fails. Repetitions are interleaved and medians
of process CPU time are compared, so that other work on the machine disturbs all alike. `products` is
the time that torch takes for the search's float32 matrix products alone: what a loop without any
other cost would take, encoder included. Weights in fewer bits may answer otherwise: their agreement with
float32 weights over `AGREEMENT_QUERIES` queries is reported instead.

    PYTHONPATH=src python benchmarks/decoding.py --threads 1 --repeats 7
    PYTHONPATH=src python benchmarks/decoding.py --network large --repeats 3
    PYTHONPATH=src python benchmarks/decoding.py --precisions --repeats 5  # the compiled loop against itself
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models

from retrograd.constraints import CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.models.encoder_decoder import EncoderDecoderModel
from retrograd.models.hf import load_t5
from retrograd.native import PRECISIONS, find
from retrograd.search.agreement import agreement_of_precision
from retrograd.search.beam import BeamResult
from retrograd.search.engine import engine_of, search_keys
from retrograd.search.packing import native_decoder

LEVELS, CODES, SPECIALS = 4, 256, 2
WORDS = LEVELS * CODES + SPECIALS
SHAPES = ((1, 10), (1, 50), (32, 10), (32, 50))
QUERY_TOKENS = 16
CALLS = 10
"""Searches behind one another in one repetition at batch 1, the same for each side: a server's case,
not that of a process that wakes up for one query."""
GOALS = {(1, 10): 3.5, (1, 50): 4.0, (32, 10): 3.0, (32, 50): 8.0}
"""`generate` with a trie over the compiled loop, at least."""

AGREEMENT_QUERIES = 64

NETWORKS = {
    "small": {"d_model": 128, "d_kv": 32, "d_ff": 512, "num_layers": 4, "num_heads": 4},
    "large": {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
}
RESULTS = Path(__file__).parent / "results"


def ids(count: int, seed: int) -> np.ndarray:
    """(count, 4) unique random codes in lexicographic order."""
    draw = np.random.default_rng(seed).integers(0, CODES, (count + count // 10, LEVELS))
    unique = np.unique(draw, axis=0)
    kept = np.random.default_rng(seed + 1).permutation(len(unique))[:count]
    return unique[np.sort(kept)]


def networks(folder: Path, seed: int, sizes: dict[str, int]) -> tuple[Any, EncoderDecoderModel]:
    """The same random weights in their model and in ours."""
    torch.manual_seed(seed)
    config = transformers.T5Config(
        vocab_size=WORDS,
        **sizes,
        num_decoder_layers=sizes["num_layers"],
        decoder_start_token_id=0,
        tie_word_embeddings=False,
    )
    theirs = transformers.T5ForConditionalGeneration(config).eval()
    # an output table of its own, small enough that the distribution is neither flat nor one-hot
    theirs.lm_head.weight = torch.nn.Parameter(torch.randn(WORDS, sizes["d_model"]) * 0.2)
    theirs.save_pretrained(folder)
    names = {"<pad>": 0, "</s>": 1} | {f"t{i}": i for i in range(SPECIALS, WORDS)}
    Tokenizer(models.WordLevel(names, unk_token="<pad>")).save(str(folder / "tokenizer.json"))
    return theirs, load_t5(folder, depth=LEVELS).eval()


def dict_trie(keys: np.ndarray) -> dict[int, Any]:
    """Nested dicts, as the common constraint classes keep them."""
    root: dict[int, Any] = {}
    for key in keys.tolist():
        node = root
        for token in key:
            node = node.setdefault(token, {})
    return root


def allowed_by(trie: dict[int, Any]) -> Callable[[int, torch.Tensor], list[int]]:
    """The function `generate` asks before every step, for every beam."""

    def allowed(batch: int, prefix: torch.Tensor) -> list[int]:
        node = trie
        for token in prefix.tolist()[1:]:
            node = node.get(token, {})
        return list(node)

    return allowed


def inputs_of(tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """A collated batch without padding."""
    return {"tokens": tokens, "where": torch.ones_like(tokens, dtype=torch.bool)}


class Contest:
    """One catalogue, one pair of networks, and every way to decode."""

    def __init__(self, count: int, seed: int, folder: Path, network: str = "small") -> None:
        codes = ids(count, seed)
        keys = codes + SPECIALS + np.arange(LEVELS) * CODES
        self.theirs, self.ours = networks(folder, seed, NETWORKS[network])
        self.table = DocidTable(
            tokens=keys.reshape(-1).astype(np.int32),
            offsets=np.arange(count + 1) * LEVELS,
            pairs=np.repeat(np.arange(count), 2).reshape(-1, 2),
            document_ids=tuple(str(row) for row in range(count)),
            level_sizes=(WORDS,) * LEVELS,
            shared_vocabulary=True,
        )
        self.trie = CsrTrie.from_table(self.table)
        self.allowed = allowed_by(dict_trie(keys))

    def queries(self, batch: int, seed: int) -> torch.Tensor:
        """(batch, tokens) random texts."""
        draw = np.random.default_rng(seed).integers(SPECIALS, WORDS, (batch, QUERY_TOKENS))
        return torch.from_numpy(draw)

    def generate(self, tokens: torch.Tensor, width: int, constrained: bool) -> Any:
        """Their beam search."""
        options = {"prefix_allowed_tokens_fn": self.allowed} if constrained else {}
        with torch.inference_mode():
            return self.theirs.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                num_beams=width,
                num_return_sequences=width,
                max_new_tokens=LEVELS,
                do_sample=False,
                length_penalty=0.0,
                eos_token_id=None,
                return_dict_in_generate=True,
                output_scores=True,
                **options,
            )

    def search(self, tokens: torch.Tensor, width: int, engine: str) -> BeamResult:
        """Our beam search: by `torch`, by `native`, or by `native:target:precision`, either part empty."""
        name, target, precision = (*engine.split(":"), "", "")[:3]
        os.environ["RETROGRAD_NATIVE_TARGET"] = target
        return search_keys(
            self.ours,
            inputs_of(tokens),
            self.trie,
            width=width,
            engine=name,
            precision=precision or "fp32",
        )

    def agreements(self, width: int) -> dict[str, dict[str, float]]:
        """What each precision does to the first 10 answers, against float32 weights."""
        inputs = inputs_of(self.queries(AGREEMENT_QUERIES, seed=4242))
        found = {
            name: vars(agreement_of_precision(self.ours, inputs, self.trie, name, width=width))
            for name in PRECISIONS[1:]
        }
        return {
            f"native::{name}": {n: round(v, 4) for n, v in values.items()} for name, values in found.items()
        }

    def products(self, batch: int, width: int) -> Callable[[torch.Tensor], None]:
        """The matrix products of one search, and nothing else."""
        shape = self.ours.shape
        d, inner, wide = shape.width, shape.heads * shape.head_width, shape.feed_forward
        own = [(d, 3 * inner), (inner, d), (d, wide), (wide, d)]
        cross = [(d, inner), (inner, d)]
        rows_of = [batch, *[batch * width] * (LEVELS - 1)]
        jobs = [(batch * QUERY_TOKENS, size) for size in [*own, (d, 2 * inner)] * shape.layers]
        jobs += [(rows, size) for rows in rows_of for size in (own + cross) * shape.layers + [(d, WORDS)]]
        left = {job: torch.randn(job[0], job[1][0]) for job in set(jobs)}
        out = {job: torch.empty(job[0], job[1][1]) for job in set(jobs)}
        # every layer has weights of its own: a product must not find another's in the cache
        of_step = len(own + cross) * shape.layers + 1
        first = [torch.randn(size) for _, size in jobs[: len(jobs) - (LEVELS - 1) * of_step]]
        right = first + first[-of_step:] * (LEVELS - 1)

        def run(_: torch.Tensor) -> None:
            for job, weights in zip(jobs, right, strict=True):
                torch.mm(left[job], weights, out=out[job])

        return run

    def check(self, batch: int, width: int, engines: list[str]) -> float:
        """All rankings must agree; returns the largest difference of scores."""
        tokens = self.queries(batch, seed=99)
        theirs, largest = self.generate(tokens, width, True), 0.0
        paths = theirs.sequences[:, 1:].view(batch, width, LEVELS)
        for engine in engines:
            if is_rounded(engine):
                continue
            ours = self.search(tokens, width, engine)
            if not torch.equal(paths, ours.paths):
                raise SystemExit(f"{batch} x {width}: the rankings of {engine} differ")
            gap = float((theirs.sequences_scores.view(batch, width) - ours.scores).abs().max())
            if gap > 1e-3:
                raise SystemExit(f"{batch} x {width}: scores of {engine} differ by {gap}")
            largest = max(gap, largest)
        return largest

    def measure(
        self, batch: int, width: int, repeats: int, engines: list[str]
    ) -> dict[str, tuple[float, float]]:
        """Median CPU and wall milliseconds of each way over interleaved repetitions."""
        ways: dict[str, Callable[[torch.Tensor], Any]] = {
            engine: functools.partial(self.search, width=width, engine=engine) for engine in engines
        }
        return self.timed(ways | self.rivals(batch, width), batch, repeats)

    def rivals(self, batch: int, width: int) -> dict[str, Callable[[torch.Tensor], Any]]:
        """What the loops are compared with."""
        return {
            "products": self.products(batch, width),
            "generate_trie": lambda tokens: self.generate(tokens, width, True),
            "generate_free": lambda tokens: self.generate(tokens, width, False),
        }

    def timed(
        self, ways: dict[str, Callable[[torch.Tensor], Any]], batch: int, repeats: int
    ) -> dict[str, tuple[float, float]]:
        """`measure` of any ways."""
        calls = max(1, CALLS // batch)
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for repeat in range(repeats + 1):
            tokens = self.queries(batch, seed=repeat)
            for name, way in ways.items():
                start = time.process_time(), time.perf_counter()
                for _ in range(calls):
                    way(tokens)
                took = time.process_time() - start[0], time.perf_counter() - start[1]
                if repeat:  # the first round warms up
                    spent[name].append((1e3 * took[0] / calls, 1e3 * took[1] / calls))
        return {
            name: (statistics.median(cpu for cpu, _ in times), statistics.median(wall for _, wall in times))
            for name, times in spent.items()
        }


def is_rounded(engine: str) -> bool:
    """Whether it keeps its weights in fewer bits."""
    return engine.count(":") == 2


def engines_here() -> list[str]:
    """The loops to compare, the compiled one first; its float32 target too where that is another."""
    library = find()
    if isinstance(library, str):
        return ["torch"]
    targets = list(library.targets)
    second = [f"native:{targets[1]}"] if targets[0] == "amx" else []
    return ["native", *second, *(f"native::{name}" for name in PRECISIONS[1:]), "torch"]


def row(contest: Contest, batch: int, width: int, repeats: int, network: str) -> dict[str, Any]:
    """One line of the table; ratios are of CPU time."""
    engines = engines_here()
    gap = contest.check(batch, width, engines)
    cost = contest.measure(batch, width, repeats, engines)
    trie, free, limit = (cost[name][0] for name in ("generate_trie", "generate_free", "products"))
    return {
        "batch": batch,
        "beam": width,
        "cpu_ms": {name: round(times[0], 2) for name, times in cost.items()},
        "wall_ms": {name: round(times[1], 2) for name, times in cost.items()},
        "over_trie": {engine: round(trie / cost[engine][0], 2) for engine in engines},
        "over_free": {engine: round(free / cost[engine][0], 2) for engine in engines},
        "over_trie_wall": {
            engine: round(cost["generate_trie"][1] / cost[engine][1], 2) for engine in engines
        },
        "times_the_products": {engine: round(cost[engine][0] / limit, 2) for engine in engines},
        "goal_over_trie": GOALS[batch, width] if network == "small" else "",
        "largest_score_gap": gap,
        "agreement": contest.agreements(width) if "native" in engines else {},
    }


def precision_row(contest: Contest, batch: int, width: int, repeats: int) -> dict[str, Any]:
    """One line of the table of precisions: CPU time of float32 weights over that of each."""
    engines = [engine for engine in engines_here() if engine == "native" or is_rounded(engine)]
    cost = contest.timed(
        {name: functools.partial(contest.search, width=width, engine=name) for name in engines},
        batch,
        repeats,
    )
    return {
        "batch": batch,
        "beam": width,
        "cpu_ms": {name: round(times[0], 2) for name, times in cost.items()},
        "over_fp32": {name: round(cost["native"][0] / cost[name][0], 2) for name in engines[1:]},
        "agreement": contest.agreements(width),
    }


def precision_page(report: dict[str, Any]) -> str:
    """The report of the precisions as a page."""
    names = list(report["rows"][0]["over_fp32"])
    head = ["batch x beam", *(f"fp32 / {name}" for name in names), *map(agreement_title, names)]
    lines = [
        [
            f"{r['batch']} x {r['beam']}",
            *r["over_fp32"].values(),
            *map(agreement_text, r["agreement"].values()),
        ]
        for r in report["rows"]
    ]
    return page_of("# Weights in fewer bits", report, [head, ["---"] * len(head), *lines])


def agreement_title(engine: str) -> str:
    """Heading of the column that `agreement_text` fills."""
    return f"{engine.split(':')[2]}: overlap / Kendall / score error at 10"


def agreement_text(values: dict[str, float]) -> str:
    """One cell."""
    return f"{values['overlap']:.3f} / {values['kendall']:.3f} / {values['score_error']:.3f}"


def as_markdown(report: dict[str, Any]) -> str:
    """The report as a page."""
    rounded = list(report["rows"][0]["agreement"])
    engines = list(report["rows"][0]["over_trie"])
    columns = [
        "batch x beam",
        *(f"generate + trie / {engine}" for engine in engines),
        *(f"generate / {engine}" for engine in engines),
        *(f"{engine} / products" for engine in engines),
        "goal",
        "score gap",
        *map(agreement_title, rounded),
    ]
    lines = [
        [f"{r['batch']} x {r['beam']}"]
        + [r[name][engine] for name in ("over_trie", "over_free", "times_the_products") for engine in engines]
        + [r["goal_over_trie"], f"{r['largest_score_gap']:.0e}"]
        + [agreement_text(r["agreement"][name]) for name in rounded]
        for r in report["rows"]
    ]
    title = f"# Constrained decoding, {report['threads']} thread(s)"
    return page_of(title, report, [columns, ["---"] * len(columns), *lines])


def page_of(title: str, report: dict[str, Any], table: list[list[Any]]) -> str:
    """A title, what the report says about its setting, and a table."""
    setting = "\n".join(f"- {name}: {value}" for name, value in report.items() if name != "rows")
    body = "\n".join(f"| {' | '.join(map(str, line))} |" for line in table)
    return f"{title}\n\n{setting}\n\n{body}\n"


def processor() -> str:
    """Model name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def commit() -> str:
    """The commit of the tree that runs, and whether it has been changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def main() -> None:
    """Run, print and write `results/decoding[-large]-<date>-<threads>threads.{json,md}`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--ids", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", choices=NETWORKS, default="small")
    parser.add_argument("--precisions", action="store_true", help="only the compiled loop, at each precision")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        contest = Contest(options.ids, options.seed, Path(folder), options.network)
    shapes = SHAPES if options.network == "small" else SHAPES[:3]
    date = datetime.date.today().isoformat()
    report = {
        "date": date,
        "commit": commit(),
        "threads": options.threads,
        "clock": "median of interleaved repetitions; CPU time of the process, and wall time",
        "note": "ratios in one run on a machine shared with other work; absolute times are not to be quoted",
        "repeats": f"{options.repeats}, each of {CALLS} calls at batch 1 and one call at batch 32",
        "seed": options.seed,
        "ids": options.ids,
        "network": f"T5-like, {NETWORKS[options.network]} in encoder and decoder, float32, random weights",
        "native": f"{', '.join(engines_here())}; best target {engine_of('auto', contest.ours, contest.trie)}",
        "query_tokens": QUERY_TOKENS,
        "load_average_at_start": round(os.getloadavg()[0], 1),
        "processor": processor(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "packed_mib": {
            name: round(native_decoder(contest.ours, name).num_bytes / 2**20, 2)
            for name in PRECISIONS
            if not isinstance(find(), str)
        },
    }
    if options.precisions:
        report["rows"] = [precision_row(contest, *shape, options.repeats) for shape in shapes]
    else:
        report["rows"] = [row(contest, *shape, options.repeats, options.network) for shape in shapes]
    page = precision_page(report) if options.precisions else as_markdown(report)
    print(page)
    options.out.mkdir(parents=True, exist_ok=True)
    name = ("-precisions" if options.precisions else "") + (
        "" if options.network == "small" else f"-{options.network}"
    )
    stem = options.out / f"decoding{name}-{date}-{options.threads}threads"
    stem.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    stem.with_suffix(".md").write_text(page)


if __name__ == "__main__":
    main()

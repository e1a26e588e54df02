"""Constrained decoding: our loop against Hugging Face `generate` with a dict trie, same weights.

Both sides decode the same T5-like network over the same ids; the sequences must come out the same,
in the same order, with scores within 1e-3, or the run fails. Repetitions are interleaved and the
median of process CPU time is reported, so that other work on the machine disturbs both alike.

    PYTHONPATH=src python benchmarks/decoding.py --threads 1 --repeats 7
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
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
from retrograd.search.beam import BeamResult, beam_search

LEVELS, CODES, SPECIALS = 4, 256, 2
WORDS = LEVELS * CODES + SPECIALS
SHAPES = ((1, 10), (1, 50), (32, 10), (32, 50))
QUERY_TOKENS = 16
CALLS = 10
"""Searches behind one another in one repetition at batch 1, the same for each side: a server's case,
not that of a process that wakes up for one query."""
GOALS = {(1, 10): 3.5, (1, 50): 4.0, (32, 10): 3.0, (32, 50): 8.0}
RESULTS = Path(__file__).parent / "results"


def ids(count: int, seed: int) -> np.ndarray:
    """(count, 4) unique random codes in lexicographic order."""
    draw = np.random.default_rng(seed).integers(0, CODES, (count + count // 10, LEVELS))
    unique = np.unique(draw, axis=0)
    kept = np.random.default_rng(seed + 1).permutation(len(unique))[:count]
    return unique[np.sort(kept)]


def networks(folder: Path, seed: int) -> tuple[Any, EncoderDecoderModel]:
    """The same random weights in their model and in ours."""
    torch.manual_seed(seed)
    config = transformers.T5Config(
        vocab_size=WORDS,
        d_model=128,
        d_kv=32,
        d_ff=512,
        num_layers=4,
        num_decoder_layers=4,
        num_heads=4,
        decoder_start_token_id=0,
        tie_word_embeddings=False,
    )
    theirs = transformers.T5ForConditionalGeneration(config).eval()
    # an output table of its own, small enough that the distribution is neither flat nor one-hot
    theirs.lm_head.weight = torch.nn.Parameter(torch.randn(WORDS, 128) * 0.2)
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


class Contest:
    """One catalogue, one pair of networks, three ways to decode."""

    def __init__(self, count: int, seed: int, folder: Path) -> None:
        codes = ids(count, seed)
        keys = codes + SPECIALS + np.arange(LEVELS) * CODES
        self.theirs, self.ours = networks(folder, seed)
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

    def search(self, tokens: torch.Tensor, width: int) -> BeamResult:
        """Our beam search."""
        inputs = {"tokens": tokens, "where": torch.ones_like(tokens, dtype=torch.bool)}
        return beam_search(self.ours, inputs, self.trie, width=width)

    def check(self, batch: int, width: int) -> float:
        """Both rankings must agree; returns the largest difference of scores."""
        tokens = self.queries(batch, seed=99)
        theirs, ours = self.generate(tokens, width, True), self.search(tokens, width)
        paths = theirs.sequences[:, 1:].view(batch, width, LEVELS)
        if not torch.equal(paths, ours.paths):
            raise SystemExit(f"{batch} x {width}: the rankings differ")
        gap = float((theirs.sequences_scores.view(batch, width) - ours.scores).abs().max())
        if gap > 1e-3:
            raise SystemExit(f"{batch} x {width}: scores differ by {gap}")
        return gap

    def measure(self, batch: int, width: int, repeats: int) -> dict[str, float]:
        """Median CPU milliseconds of each way over interleaved repetitions, some calls at a time."""
        calls = max(1, CALLS // batch)
        ways: dict[str, Callable[[torch.Tensor], Any]] = {
            "ours": lambda tokens: self.search(tokens, width),
            "generate_trie": lambda tokens: self.generate(tokens, width, True),
            "generate_free": lambda tokens: self.generate(tokens, width, False),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(repeats + 1):
            tokens = self.queries(batch, seed=repeat)
            for name, way in ways.items():
                start = time.process_time()
                for _ in range(calls):
                    way(tokens)
                if repeat:  # the first round warms up
                    spent[name].append(1e3 * (time.process_time() - start) / calls)
        return {name: statistics.median(times) for name, times in spent.items()}


def row(contest: Contest, batch: int, width: int, repeats: int) -> dict[str, Any]:
    """One line of the table."""
    gap = contest.check(batch, width)
    cost = contest.measure(batch, width, repeats)
    return {
        "batch": batch,
        "beam": width,
        **{f"{name}_cpu_ms": round(value, 2) for name, value in cost.items()},
        "speedup_over_trie": round(cost["generate_trie"] / cost["ours"], 2),
        "speedup_over_free": round(cost["generate_free"] / cost["ours"], 2),
        "goal": GOALS[batch, width],
        "largest_score_gap": gap,
    }


def as_markdown(report: dict[str, Any]) -> str:
    """The report as a page."""
    setting = "\n".join(f"- {name}: {value}" for name, value in report.items() if name != "rows")
    columns = "batch x beam", "ours, ms", "generate + trie, ms", "generate, ms", "over trie", "over free"
    head = f"| {' | '.join(columns)} | goal over trie | score gap |"
    lines = [
        f"| {r['batch']} x {r['beam']} | {r['ours_cpu_ms']} | {r['generate_trie_cpu_ms']} | "
        f"{r['generate_free_cpu_ms']} | {r['speedup_over_trie']} | {r['speedup_over_free']} | {r['goal']} | "
        f"{r['largest_score_gap']:.1e} |"
        for r in report["rows"]
    ]
    title = f"# Constrained decoding, {report['threads']} thread(s)"
    return "\n".join([title, "", setting, "", head, "|---" * 8 + "|", *lines, ""])


def processor() -> str:
    """Model name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def main() -> None:
    """Run, print and write `results/decoding-<date>-<threads>threads.{json,md}`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--ids", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        contest = Contest(options.ids, options.seed, Path(folder))
    date = datetime.date.today().isoformat()
    report = {
        "date": date,
        "threads": options.threads,
        "clock": "process CPU time, median of interleaved repetitions",
        "repeats": f"{options.repeats}, each of {CALLS} calls at batch 1 and one call at batch 32",
        "seed": options.seed,
        "ids": options.ids,
        "network": "T5-like, d=128, 4+4 layers, 4 heads of 32, feed-forward 512, float32, random weights",
        "query_tokens": QUERY_TOKENS,
        "load_average_at_start": round(os.getloadavg()[0], 1),
        "processor": processor(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "rows": [row(contest, batch, width, options.repeats) for batch, width in SHAPES],
    }
    page = as_markdown(report)
    print(page)
    options.out.mkdir(parents=True, exist_ok=True)
    stem = options.out / f"decoding-{date}-{options.threads}threads"
    stem.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    stem.with_suffix(".md").write_text(page)


if __name__ == "__main__":
    main()

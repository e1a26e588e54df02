"""The long form of every promise that is tested by sampling, one after the other, with the figures it gave.

    python -m reliability.full                          # everything
    RELIABILITY_MINUTES=3 python -m reliability.full    # a tenth of that
    python -m reliability.full --only kill_fit load     # some of it
    python -m reliability.full --table                  # what was found so far, for docs/reliability.md

Each item runs in a process of its own and its result is written down at once, so that an interrupted run goes
on behind the last finished one. Results of other sources than the present ones are measured again, unless
`--keep` is given.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retrograd.artifacts import write_json

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "build" / "reliability.json"
MINUTES = "RELIABILITY_MINUTES"
"""Environment variable: how long the longest item takes; all others are shortened as much."""

LONGEST = 30.0
SLOWER = 2.0
"""Times that a writer may slow down the slowest hundredth of the readers' answers."""

GROWTH, DESCRIPTORS = 1.05, 4
"""Memory at the end over that after a quarter, and open files more, that count as flat."""


@dataclass(frozen=True)
class Outcome:
    """What one item gave."""

    done: str
    """How often, of what."""

    result: str
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """One long form."""

    promise: str
    """Its number in docs/reliability.md; several with commas."""

    what: str
    run: Callable[[float], Outcome]
    """Told which share of the whole to do."""


def _kill_training(share: float) -> Outcome:
    from reliability.kill_training import kill_training

    report = kill_training(_some(50, share))
    result = "weights byte for byte, `metrics.jsonl` line for line but for `seconds`"
    return Outcome(f"{report.kills} kills, {report.finished_runs} runs", result, report.differences)


def _kill_fit(share: float) -> Outcome:
    from reliability.kill_fit import LEARNT, kill_fit

    report = kill_fit(_some(50, share))
    result = f"{', '.join(LEARNT)} byte for byte"
    return Outcome(f"{report.kills} kills, {report.finished_runs} fits", result, report.differences)


def _kill_updates(share: float) -> Outcome:
    from reliability.kill_updates import kill_updates

    report = kill_updates(_some(200, share))
    result = "every acknowledged change there, none by half, answers those of a clean fold"
    return Outcome(f"{report.kills} kills, opened again after each", result, report.differences)


def _lost_writes(share: float) -> Outcome:
    from reliability.lost_writes import lose_writes

    cuts, faults = lose_writes(_some(40, share))
    return Outcome(f"{cuts:,} power cuts", "the old or the new generation opened after each", tuple(faults))


def _flip_bytes(share: float) -> Outcome:
    from reliability.flip_bytes import flip_bytes
    from reliability.small_served import changed_systems

    flips, damages, faults, kinds = _some(100, share), 0, [], set()
    with tempfile.TemporaryDirectory() as name:
        for folder in changed_systems(Path(name)):
            report = flip_bytes(folder, flips)
            damages += sum(report.flips.values())
            kinds |= report.flips.keys()
            faults += [f"{folder.name}: {line}" for line in report.unreported]
    done = f"{damages:,} damages: {flips} flips and {max(flips // 10, 1)} cuts of each of {len(kinds)} kinds"
    return Outcome(f"{done} of files, in 3 systems", "each reported with the file's name", tuple(faults))


def _damage_derived(share: float) -> Outcome:
    from reliability.damage_derived import damage_derived
    from reliability.small_served import changed_systems

    with tempfile.TemporaryDirectory() as name:
        report = damage_derived(changed_systems(Path(name)), _some(100, share))
    done = f"{report.damages.total():,} damages to {len(report.damages)} files and indexes of 3 systems"
    return Outcome(done, "the same ten answers with the same scores, and a sound folder", report.faults)


def _full_disk(share: float) -> Outcome:
    from reliability.full_disk import STEPS, full_disk
    from reliability.small_served import changed_systems

    with tempfile.TemporaryDirectory() as name:
        report = full_disk(changed_systems(Path(name)), _some(40, share))
    ways = "limits per file and a small disk" if report.own_disk else "limits per file"
    done = f"{report.refused.total()} refusals in {len(STEPS)} kinds of steps, by {ways}"
    return Outcome(done, "the old state answers, and the step works once there is room", report.faults)


def _hostile_folders(share: float) -> Outcome:
    from reliability.hostile_folders import hostile_folders
    from reliability.small_served import changed_systems

    with tempfile.TemporaryDirectory() as name:
        report = hostile_folders(changed_systems(Path(name)), _some(1500, share))
    done = f"{report.attempts:,} folders, of which {report.accepted:,} opened"
    return Outcome(done, "nothing ran, nothing outside was touched, one line for each refusal", report.faults)


def _fuzz_server(share: float) -> Outcome:
    from reliability.fuzz_server import fuzz
    from reliability.small_served import small_systems

    examples = _some(1000, share)
    with tempfile.TemporaryDirectory() as name:
        report = fuzz(small_systems(Path(name)), examples)
    done = f"{examples:,} requests to each of {report.operations} operations"
    statuses = ", ".join(f"{count:,} x {status}" for status, count in sorted(report.statuses.items()))
    return Outcome(done, f"no 5xx ({statuses})", report.failures)


def _fuzz_parsers(share: float) -> Outcome:
    from reliability.fuzz_parsers import fuzz_parsers

    report = fuzz_parsers(_some(3000, share))
    done = f"{sum(report.inputs.values()):,} inputs to {len(report.inputs)} parsers"
    result = f"{sum(report.refused.values()):,} refused in one line, the rest read"
    return Outcome(done, result, tuple(report.faults))


def _readers_and_writer(share: float) -> Outcome:
    return _load(60 * 10 * share, alone=60 * 4 * share, flat=False)


def _load_for_long(share: float) -> Outcome:
    return _load(60 * LONGEST * share, alone=60 * share, flat=True)


def _load(seconds: float, *, alone: float, flat: bool) -> Outcome:
    from reliability.mixed_load import mixed_load
    from reliability.small_served import small_systems

    with tempfile.TemporaryDirectory() as name:
        report = mixed_load(small_systems(Path(name))[-1], seconds, alone_seconds=alone)
    first, last = report.samples[len(report.samples) // 4], report.samples[-1]
    slower = report.beside.p99_ms / max(report.alone.p99_ms, 1e-9)
    counted = {
        "errors": report.alone.errors + report.beside.errors + report.change_errors,
        "deleted documents returned": report.beside.stale,
        "acknowledged documents missing": report.missing,
        "readers without their share": int(8 * 2 * report.beside.fewest < report.beside.answers),
    }
    faults = [f"{count} {what}" for what, count in counted.items() if count]
    faults += report.why
    done = (
        f"8 readers and a writer for {seconds / 60:.3g} minutes: {report.beside.answers:,} answers, "
        f"{report.changes:,} changes"
    )
    said = [f"{count} {what}" for what, count in counted.items()]
    if flat:
        said += [f"memory {first.megabytes:.0f} to {last.megabytes:.0f} MB (x {report.growth:.3f})"]
        said += [f"descriptors {first.descriptors} to {last.descriptors}"]
        if report.growth > GROWTH or report.descriptor_growth > DESCRIPTORS:
            faults.append(f"not flat: {said[-2]}, {said[-1]}")
    else:
        said += [
            f"p99 {report.beside.p99_ms:.1f} ms against {report.alone.p99_ms:.1f} ms alone (x {slower:.2f})"
        ]
        if slower > SLOWER:
            faults.append(f"the writer slows readers down: {said[-1]}")
    return Outcome(done, "; ".join(said), tuple(faults))


ITEMS: dict[str, Item] = {
    "kill_training": Item("1", "the training loop killed at random moments and resumed", _kill_training),
    "kill_fit": Item("1", "a whole fit killed at random moments and resumed", _kill_fit),
    "kill_updates": Item("2", "whoever changes a system killed at random moments", _kill_updates),
    "lost_writes": Item("3", "power cut at every operation of a change, unsynced writes lost", _lost_writes),
    "flip_bytes": Item("4", "a byte flipped, or the file cut, in systems that changed", _flip_bytes),
    "damage_derived": Item("5", "derived files deleted, emptied, flipped, cut", _damage_derived),
    "full_disk": Item("11", "the disk full in the middle of a fit, save or change", _full_disk),
    "hostile_folders": Item("13", "folders made to do harm", _hostile_folders),
    "fuzz_parsers": Item("21", "anything fed to every parser", _fuzz_parsers),
    "fuzz_server": Item("14, 15", "schemathesis on the running server", _fuzz_server),
    "readers_and_writer": Item("9", "readers beside a writer, over HTTP", _readers_and_writer),
    "load": Item("18", "mixed load", _load_for_long),
}
"""In the order in which they run, the longest last."""


def sources() -> str:
    """Hash of everything that an item runs."""
    digest = hashlib.sha256()
    for folder in ("src", "reliability"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def run_all(names: Sequence[str], share: float, results: Path, *, keep: bool, again: bool) -> dict[str, Any]:
    """Run what is not done yet; the results of all, also written to `results` after each."""
    found: dict[str, Any] = json.loads(results.read_text()) if results.exists() else {}
    results.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        before = found.get(name, {})
        sound = before.get("share") == share and not before.get("faults")
        if sound and not again and (keep or before.get("sources") == sources()):
            print(f"{name}: done on {before['date']}", flush=True)
            continue
        print(f"{name}: {ITEMS[name].what} ...", flush=True)
        found[name] = _in_a_process(name, share)
        write_json(results, found)
        for fault in found[name]["faults"]:
            print(f"  {fault}", flush=True)
        print(
            f"  {'FAILED' if found[name]['faults'] else 'passed'} in {found[name]['minutes']:.1f} min",
            flush=True,
        )
    return found


def _in_a_process(name: str, share: float) -> dict[str, Any]:
    began = time.monotonic()
    command = [sys.executable, "-m", "reliability.full", "--item", name, "--share", repr(share)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.splitlines()
    outcome = json.loads(lines[-1]) if done.returncode == 0 and lines else None
    if outcome is None:
        outcome = asdict(Outcome("", "", (f"ended with exit code {done.returncode}",)))
    return {
        **outcome,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "minutes": (time.monotonic() - began) / 60,
        "share": share,
        "sources": sources(),
    }


def table(found: dict[str, Any]) -> str:
    """Markdown, for docs/reliability.md."""
    rows = ["| promise | what | how often | result | date | minutes |", "|---|---|---|---|---|---:|"]
    for name, item in ITEMS.items():
        if name in found:
            one = found[name]
            result = f"FAILED: {len(one['faults'])} faults" if one["faults"] else one["result"]
            cells = (item.promise, item.what, one["done"], result, one["date"], f"{one['minutes']:.1f}")
            rows.append(f"| {' | '.join(cells)} |")
        else:
            rows.append(f"| {item.promise} | {item.what} | | not run yet on this version | | |")
    about = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, seed 0"
    return "\n".join([*rows, "", about])


def _some(count: int, share: float) -> int:
    return max(1, round(count * share))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=ITEMS, metavar="ITEM", default=list(ITEMS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--keep", action="store_true", help="what passed with other sources counts too")
    parser.add_argument("--again", action="store_true", help="nothing that was done counts")
    parser.add_argument("--table", action="store_true", help="print what was found so far and stop")
    parser.add_argument("--item", choices=ITEMS, help=argparse.SUPPRESS)
    parser.add_argument("--share", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.item:
        print(json.dumps(asdict(ITEMS[given.item].run(given.share))))
        return
    if given.table:
        print(table(json.loads(given.results.read_text()) if given.results.exists() else {}))
        return
    share = min(1.0, float(os.environ.get(MINUTES, LONGEST)) / LONGEST)
    found = run_all(given.only, share, given.results, keep=given.keep, again=given.again)
    print(f"\n{table(found)}\n\nwritten to {given.results}")
    raise SystemExit(any(found[name]["faults"] for name in given.only))


if __name__ == "__main__":
    main()

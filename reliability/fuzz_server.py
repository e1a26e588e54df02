"""Whatever the description of the API allows, and what it does not, gets an answer that it describes.

    python -m reliability.fuzz_server --examples 1000

Schemathesis draws requests from the server's own OpenAPI description, half of them valid and half not,
and sends them to a real `retrograd serve` over small systems. Any status of 500 and above, any status or
content type that is not described, any answer of another shape and any error body of 4 KB is a failure.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reliability.servers import Running, running
from reliability.small_served import small_systems

LARGEST_ERROR = 4096


@dataclass(frozen=True)
class FuzzReport:
    """What came back."""

    operations: int
    statuses: Counter[int]
    failures: tuple[str, ...]
    """One line each; empty is what is promised."""


def fuzz(folders: Sequence[Path], examples: int, *, seed: int = 0) -> FuzzReport:
    """`examples` requests to every operation of a server over these folders, which are changed."""
    with running(folders, ["--deadline", "30"]) as server:
        report = _fuzz(server, examples, seed)
        stopped = server.stop()
    failures = report.failures if stopped == 0 else (*report.failures, f"the server ended with {stopped}")
    return FuzzReport(report.operations, report.statuses, failures)


def _fuzz(server: Running, examples: int, seed: int) -> FuzzReport:
    import requests
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st
    from schemathesis.generation import GenerationMode

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")
    session = requests.Session()
    statuses: Counter[int] = Counter()
    failures: dict[str, None] = {}
    systems = session.get(f"http://127.0.0.1:{server.port}/v1/systems").json()["systems"]
    names = [one["name"] for one in systems]
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:
        cases = st.one_of(
            operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
            operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
        )

        @seeded(seed)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, name=st.sampled_from([*names, *names, None]))
        def one_operation(case: Any, name: str | None) -> None:
            # drawn names are nobody's: the greater part of the requests shall reach a system
            if name is not None and "name" in (case.path_parameters or {}):
                case.path_parameters["name"] = name
            response = case.call(session=session)
            statuses[response.status_code] += 1
            for fault in _faults(case, response):
                failures.setdefault(fault)

        one_operation()
    crashes = [record["trace"].splitlines()[-1] for record in server.log() if "trace" in record]
    return FuzzReport(len(operations), statuses, (*failures, *dict.fromkeys(crashes)))


def _faults(case: Any, response: Any) -> list[str]:
    from schemathesis.core.failures import FailureGroup

    where = f"{case.method} {case.path}"
    found = []
    if response.status_code >= 500:
        found.append(f"{where}: {response.status_code} {response.text[:200]}")
    if response.status_code >= 400 and len(response.content) >= LARGEST_ERROR:
        found.append(f"{where}: an error of {len(response.content)} bytes")
    try:
        case.validate_response(response, checks=_checks())
    except FailureGroup as group:
        found += [f"{where}: {type(one).__name__}: {str(one)[:300]}" for one in group.exceptions]
    return found


def _checks() -> list[Any]:
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    return [status_code_conformance, content_type_conformance, response_schema_conformance]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--examples", type=int, default=1000, help="per operation")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        report = fuzz(small_systems(Path(name)), arguments.examples, seed=arguments.seed)
    seconds = time.monotonic() - began
    print(f"{report.operations} operations, {report.statuses.total()} requests, {seconds:.0f} s")
    for status, count in sorted(report.statuses.items()):
        print(f"  {status}: {count}")
    raise SystemExit("\n".join(report.failures) or 0)


if __name__ == "__main__":
    main()

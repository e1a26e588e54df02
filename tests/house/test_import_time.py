"""`import retrograd` and `retrograd --help` answer at once: nothing heavy loads before it is needed."""

import os
import subprocess
import sys
import time

import pytest

from tests.house.tree import SRC

HEAVY = ("torch", "sklearn", "scipy", "transformers", "matplotlib", "faiss", "tantivy", "tokenizers", "apsw")
LIMIT_SECONDS = 0.5
GENEROSITY = 3
"""A busy machine is slower than the promise; the list of modules is what cannot flake."""

HELP = "import sys; from retrograd.cli.door import main; main(['--help'])"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(SRC)}
PROGRAMS = {"import": "import retrograd", "help": HELP}


def loaded(program: str) -> list[str]:
    """Heavy libraries that are loaded after a program has run."""
    found = f"(name for name in {HEAVY!r} if name in sys.modules)"
    report = f"{program}\nimport sys; print('loaded', *{found}, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    return done.stderr.splitlines()[-1].split()[1:]


def seconds(program: str) -> float:
    """Best of several runs, above what the interpreter itself takes."""
    return min(_timed(program) for _ in range(3)) - min(_timed("pass") for _ in range(2))


def _timed(program: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=True, env=ENVIRONMENT)
    return time.perf_counter() - start


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_heavy_is_loaded(program):
    found = loaded(PROGRAMS[program])
    assert not found, (
        f"{found} load too early: import them inside the function that uses them (-X importtime says who)"
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_answers_within_half_a_second(program):
    limit = LIMIT_SECONDS * GENEROSITY
    assert seconds(PROGRAMS[program]) < limit, "see who is slow: python -X importtime -c 'import retrograd'"


def test_a_heavy_or_slow_program_is_caught():
    assert loaded("import sys, types; sys.modules['faiss'] = types.ModuleType('faiss')") == ["faiss"]
    assert (
        seconds(f"import time; time.sleep({LIMIT_SECONDS * GENEROSITY})") >= LIMIT_SECONDS * GENEROSITY * 0.9
    )

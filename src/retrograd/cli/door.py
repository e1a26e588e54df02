"""The outer edge of the command line: whatever goes wrong leaves as one line and an exit code.

0 done, 2 the input's fault (`error: ...` on stderr, no traceback), 130 interrupted, 141 the reader
of a pipe went away. Anything else is our mistake and keeps its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from retrograd.cli.app import app
from retrograd.errors import RetrogradError

USAGE, INTERRUPTED, BROKEN_PIPE = 2, 130, 141

EXTRA_OF = {
    "transformers": "hf",
    "huggingface_hub": "hf",
    "faiss": "faiss",
    "ir_datasets": "ir-datasets",
    "pandas": "pyterrier",
    "pyterrier": "pyterrier",
    "mteb": "mteb",
    "pyarrow": "parquet",
    "qdrant_client": "qdrant",
    **dict.fromkeys(
        ("fastapi", "starlette", "pydantic", "pydantic_core", "uvicorn", "prometheus_client"), "serve"
    ),
}
"""Optional library -> the extra that brings it."""


def run() -> None:
    """The `retrograd` command."""
    if sys.argv[1:2] != ["serve"]:
        # threads that spin while they wait made training five times slower on a busy two-core machine; a
        # server waits for its next question, and threads that sleep cost it twice the time of an encoding
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    >>> main(["recipes", "show"])
    2
    """
    try:
        code = app(args=list(arguments), prog_name="retrograd", standalone_mode=False)
        sys.stdout.flush()
    except RetrogradError as error:
        return _complain(str(error), error.exit_code)
    except typer.TyperException as error:
        return _complain(f"{error.format_message()} (see `retrograd --help`)", USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(arguments)
    except (BrokenPipeError, SystemExit):  # typer turns a broken pipe into SystemExit
        return _reader_left()
    except ModuleNotFoundError as error:
        return _missing(error)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}", USAGE)
    return _interrupted(arguments) if code == INTERRUPTED else int(code or 0)


def _complain(message: str, code: int) -> int:
    print("error: " + "; ".join(message.split("\n")), file=sys.stderr)
    return code


def _interrupted(arguments: Sequence[str]) -> int:
    resumable = list(arguments[:1]) == ["fit"]
    hint = "; the same command with --resume goes on from the last checkpoint" if resumable else ""
    print(f"interrupted{hint}", file=sys.stderr)
    return INTERRUPTED


def _reader_left() -> int:
    # what is still buffered would fail again, loudly, when the interpreter closes stdout
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _missing(error: ModuleNotFoundError) -> int:
    library = (error.name or "").partition(".")[0]
    if library not in EXTRA_OF:
        raise error
    return _complain(f"{library} is not installed; pip install 'retrograd[{EXTRA_OF[library]}]'", USAGE)

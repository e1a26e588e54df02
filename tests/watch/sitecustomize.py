"""Notices every pickle that the library loads, in this process and in every Python that it starts.

Python imports a module of this name by itself wherever its folder stands in PYTHONPATH. Nobody else's pickles
count: a load is ours when a file of the package is on the stack. Knows the interpreter only.
"""

import importlib.util
import os
import sys
import types

REPORT = "RETROGRAD_PICKLE_REPORT"
"""Environment variable: the file that gets one line for each load."""

WATCHED = {"pickle.find_class", "marshal.load", "marshal.loads", "open"}
IMPORTING = ("<frozen ", os.path.join("_pytest", "assertion", "rewrite.py"))  # noqa: PTH118
"""Where marshal reads compiled modules."""

TORCH_LOAD = os.path.join("torch", "serialization.py")  # noqa: PTH118
_INSTALLED = "_retrograd_watch"


class PickleLoadedError(BaseException):
    """Something that can run what it reads was read; no `except Exception` hides it."""


def install() -> None:
    """Watch this process from now on; a second call does nothing."""
    found = importlib.util.find_spec("retrograd")
    if hasattr(sys, _INSTALLED) or found is None or found.origin is None:
        return
    setattr(sys, _INSTALLED, True)
    package = os.path.join(os.path.dirname(found.origin), "")  # noqa: PTH118, PTH120 (pathlib is not there yet)
    reporting: list[bool] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event not in WATCHED or reporting:
            return
        if said := _ours(event, arguments, sys._getframe(1), package):
            reporting.append(True)  # writing it down opens a file
            _report(said)
            reporting.clear()
            raise PickleLoadedError(said)

    sys.addaudithook(hook)


def _ours(event: str, arguments: tuple[object, ...], frame: types.FrameType, package: str) -> str:
    """What was loaded and from where, if the package had it loaded; "" otherwise."""
    if event.startswith("marshal") and any(part in frame.f_code.co_filename for part in IMPORTING):
        return ""
    walked: types.FrameType | None = frame
    through_torch = event != "open"
    while walked is not None:
        name = walked.f_code.co_filename
        through_torch = through_torch or (name.endswith(TORCH_LOAD) and walked.f_code.co_name == "load")
        if through_torch and name.startswith(package):
            what = "torch.load" if event == "open" else event
            return f"{what} {arguments!r:.200} from {name}:{walked.f_lineno}"
        walked = walked.f_back
    return ""


def _report(said: str) -> None:
    path = os.environ.get(REPORT)
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(descriptor, said.encode() + b"\n")
        os.close(descriptor)


install()

"""No pickle is ever loaded: an audit hook watches the whole test run, and these tests watch the hook.

The hook is installed by `tests/conftest.py` in this process and in every Python that a test starts.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.watch import sitecustomize as watch

LOADS = {
    "pickle": "import pickle; pickle.loads(pickle.dumps(pathlib.PurePath('a')))",
    "a subclass of the unpickler": "import io, pickle; type('U', (pickle.Unpickler,), {})"
    "(io.BytesIO(pickle.dumps(pathlib.PurePath('a')))).load()",
    "marshal": "import marshal; marshal.loads(marshal.dumps([1]))",
    "numpy": "import numpy; numpy.save('a.npy', numpy.array([{1}], object)); "
    "numpy.load('a.npy', allow_pickle=True)",
    "shelve": "import shelve; s = shelve.open('s'); s['a'] = pathlib.PurePath('a'); s['a']",
    "torch, weights only": "import torch; torch.save({'a': 1}, 'a.pt'); "
    "torch.load('a.pt', weights_only=True)",
}
HARMLESS = {
    "an import": "import colorsys",
    "a copy": "import copy; copy.deepcopy([pathlib.PurePath('a')])",
    "numpy": "import numpy; numpy.save('a.npy', numpy.ones(3)); numpy.load('a.npy')",
    "a file": "pathlib.Path('a').write_text('x'); pathlib.Path('a').read_text()",
}


def ran(code: str, folder: Path, *, ours: bool = True) -> tuple[subprocess.CompletedProcess[str], str]:
    """A fresh Python that calls `code` as if a file of the library held it, and what the hook wrote down."""
    package = ROOT / "src" / "retrograd" if ours else folder
    report = folder / "report"
    source = f"import pathlib\ndef load():\n    {code}\n"
    script = (
        f"scope = {{}}\nexec(compile({source!r}, {str(package / 'planted.py')!r}, 'exec'), scope)\n"
        "try:\n    scope['load']()\nexcept Exception as error:\n    print('hidden', repr(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=os.environ | {watch.REPORT: str(report)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, report.read_text() if report.exists() else ""


@pytest.mark.parametrize("kind", LOADS)
def test_a_load_in_the_library_ends_the_process_and_is_written_down(kind, tmp_path):
    done, report = ran(LOADS[kind], tmp_path)
    assert done.returncode == 1
    assert "PickleLoadedError" in done.stderr, done.stdout + done.stderr
    assert "hidden" not in done.stdout
    assert "planted.py:3" in report


@pytest.mark.parametrize("kind", LOADS)
def test_a_load_by_somebody_else_is_none_of_our_business(kind, tmp_path):
    done, report = ran(LOADS[kind], tmp_path, ours=False)
    assert (done.returncode, done.stdout, report) == (0, "", ""), done.stderr


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_loads_no_pickle_is_let_through(kind, tmp_path):
    done, report = ran(HARMLESS[kind], tmp_path)
    assert (done.returncode, done.stdout, report) == (0, "", ""), done.stderr


def test_this_process_is_watched_as_well(tmp_path, monkeypatch):
    monkeypatch.setenv(watch.REPORT, str(tmp_path / "report"))
    source = (
        "def load():\n    import pickle, pathlib\n    pickle.loads(pickle.dumps(pathlib.PurePath('a')))\n"
    )
    scope: dict = {}
    exec(compile(source, str(ROOT / "src" / "retrograd" / "planted.py"), "exec"), scope)
    with pytest.raises(BaseException, match="planted") as caught:
        scope["load"]()
    # a worker imported the module by itself, so its class is another of the same name
    assert type(caught.value).__name__ == watch.PickleLoadedError.__name__
    assert (tmp_path / "report").read_text().count("\n") == 1


def test_a_run_in_which_a_pickle_was_loaded_fails_even_if_every_test_passes(tmp_path):
    (tmp_path / "test_planted.py").write_text(
        "import os\n"
        "def test_it():\n"
        "    assert os.environ['RETROGRAD_PICKLE_REPORT']\n"
        "    open(os.environ['RETROGRAD_PICKLE_REPORT'], 'a').write('planted\\n')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", str(tmp_path), "-c"]
    environment = {name: value for name, value in os.environ.items() if name != watch.REPORT}
    done = subprocess.run(
        [*command, str(ROOT / "pyproject.toml"), "-o", f"cache_dir={tmp_path}", "--rootdir", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "the library loaded a pickle: planted" in done.stdout

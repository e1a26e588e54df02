"""What every test runs under: one thread, no network, no pickle, one hypothesis profile, an own cache."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RETROGRAD_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import HealthCheck, settings

from retrograd.cli.door import main
from retrograd.data.sample import sample_path
from tests.cli.tiny import Cli, Outcome, shrink
from tests.watch import sitecustomize as watch

REPORT = pytest.StashKey[Path]()
"""Where this run's loads of pickles are written down."""

settings.register_profile(
    "retrograd",
    deadline=None,  # torch's first call is slow
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("retrograd")


def pytest_configure(config: pytest.Config) -> None:
    """Keep embeddings inside the checkout, never in the user's own cache, and have every Python that a test
    starts watched for pickles as this one is."""
    os.environ.setdefault("RETROGRAD_CACHE", str(config.cache.mkdir("retrograd")))
    if watch.REPORT not in os.environ:  # a worker has its controller's
        os.environ[watch.REPORT] = tempfile.mkstemp(prefix="pickles-")[1]
        config.stash[REPORT] = Path(os.environ[watch.REPORT])
    folders = [str(Path(watch.__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(folder for folder in folders if folder))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A pickle that was loaded anywhere fails the whole run, whoever caught the error."""
    report = session.config.stash.get(REPORT, None)
    if report is not None and report.read_text():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Which pickles were loaded."""
    report = config.stash.get(REPORT, None)
    if report is not None:
        for line in report.read_text().splitlines():
            terminalreporter.write_line(f"the library loaded a pickle: {line}", red=True)
        report.unlink()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`cli("search", folder, "text")` -> exit code, stdout, stderr."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty documents of the shipped sample with the queries that ask for them; not to be written to."""
    return shrink(sample_path("apibench"), tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of development collections; tests that need one skip without them."""
    folder = os.environ.get("RETROGRAD_DATA")
    if not folder:
        pytest.skip("RETROGRAD_DATA is unset: the development collections are not on this machine")
    return Path(folder)


@pytest.fixture
def script(monkeypatch):
    """A function that gives a program of `benchmarks` by name, as it is run: beside those it shares code
    with. The test is skipped where what the program needs is not installed."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return pytest.importorskip


@pytest.fixture
def operators(script):
    """What the programs that measure operators share."""
    return script("operator_results")

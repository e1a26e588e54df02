"""What every test runs under: one thread, no network, one hypothesis profile, a cache of its own."""

import os
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

settings.register_profile(
    "retrograd",
    deadline=None,  # torch's first call is slow
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("retrograd")


def pytest_configure(config: pytest.Config) -> None:
    """Keep embeddings between runs inside the checkout, never in the user's own cache."""
    os.environ.setdefault("RETROGRAD_CACHE", str(config.cache.mkdir("retrograd")))


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

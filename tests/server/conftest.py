"""A server in this process over small systems, and what asks it."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from retrograd.data.dataset import load_dataset
from retrograd.recipes import recipe
from retrograd.server.application import build
from retrograd.server.settings import Settings
from retrograd.training.fit import fit
from retrograd.updates.live import LiveSystem
from tests.small_systems import small


@dataclass
class Served:
    """A client, the application behind it, and the lines it logged."""

    client: TestClient
    app: Any
    log: list[dict[str, Any]]

    def live(self, name: str) -> Any:
        """The live system of a name."""
        return self.app.state.hosted[name].live


Serve = Callable[..., Served]


@pytest.fixture(scope="session")
def fitted(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Recipe -> folder of a small system; not to be written to."""
    folders: dict[str, Path] = {}

    def made(name: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("systems") / name
            fit(small(recipe(name)), load_dataset(tiny_data), folders[name])
        return folders[name]

    return made


@pytest.fixture
def copied(fitted: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """The same in a folder of its own, to be changed."""
    count = itertools.count()

    def made(name: str) -> Path:
        return Path(shutil.copytree(fitted(name), tmp_path / f"{next(count)}" / name))

    return made


@pytest.fixture(scope="module")
def shared(fitted: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running application over a lexical system, for requests that change nothing that matters."""
    folder = Path(shutil.copytree(fitted("bm25"), tmp_path_factory.mktemp("shared") / "bm25"))
    served = _started({"bm25": LiveSystem.open(folder)}, {})
    yield served
    served.client.__exit__(None, None, None)


def _started(systems: dict[str, Any], options: dict[str, Any]) -> Served:
    extra = {key: options.pop(key) for key in ("read_only", "page") if key in options}
    log: list[dict[str, Any]] = []
    app = build(systems, Settings(**options), log=log.append, **extra)
    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    client.__enter__()
    return Served(client, app, log)


@pytest.fixture
def serve(copied: Callable[[str], Path]) -> Iterator[Serve]:
    """`serve("bm25", "generative", token=...)` -> a running application over copies of these recipes."""
    clients: list[TestClient] = []

    def started(*names: str, **options: Any) -> Served:
        served = _started({name: LiveSystem.open(copied(name)) for name in names}, options)
        clients.append(served.client)
        return served

    yield started
    for client in clients:
        client.__exit__(None, None, None)

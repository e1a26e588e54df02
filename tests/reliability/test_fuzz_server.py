"""Promise 15: whatever a description of the API leads people to send, no answer is a 5xx."""

import shutil

import pytest

from reliability.fuzz_server import fuzz
from reliability.small_served import small_systems

SHORT = 15


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    """Not to be written to."""
    return small_systems(tmp_path_factory.mktemp("fuzz"), documents=60)


def _fuzzed(systems, tmp_path, examples):
    folders = [shutil.copytree(folder, tmp_path / folder.name) for folder in systems]
    report = fuzz(folders, examples)
    assert report.operations >= 15
    assert report.statuses[200]
    assert report.statuses[422]
    assert not report.failures, "\n".join(report.failures)


def test_a_few_requests_to_every_operation_find_no_5xx(systems, tmp_path):
    _fuzzed(systems, tmp_path, SHORT)

"""The change log: whole generations come back, torn ones do not, and every flipped byte is noticed."""

import random
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd import change_log
from retrograd.change_log import ChangeLog, Generation, Kept, Net, Step, unsound_pages
from retrograd.errors import ArtifactError, InputError, StorageError
from retrograd.types import Document

FIRST = Step(Generation(0, "2026-01-01T00:00:00", "fit", 3, 0, 0, 3), level_sizes=(4, 2))


def step(number: int, put=(), gone=(), **more) -> Step:
    return Step(
        Generation(number, "t", "put", len(put), len(gone), 0, 9), tuple(put), tuple(gone), (4, 2), **more
    )


def kept(place: int, text: str = "text", **more) -> Kept:
    return Kept(place, Document(f"d{place}", text, "title", {"place": place}), ((place % 4, 1),), **more)


def said(steps: list[Step]) -> list:
    """Steps as values that can be compared."""

    def plain(one: Kept):
        learnt = {name: array.tolist() for name, array in one.learnt.items()}
        return one.place, one.document, one.keys, one.texts, learnt

    return [
        (
            s.generation,
            [*map(plain, s.put)],
            [*map(plain, s.gone)],
            s.level_sizes,
            {n: a.tolist() for n, a in s.state.items()},
        )
        for s in steps
    ]


def test_steps_come_back_as_they_were_written(tmp_path):
    steps = [
        step(1, put=[kept(3, learnt={"row": np.arange(3.0)}, texts={"lexical-a": "rain"})]),
        step(2, gone=[kept(0), kept(3)], state={"next": np.arange(4)}),
    ]
    with ChangeLog.create(tmp_path / "log", FIRST) as log:
        for one in steps:
            log.append(one)
        assert said(log.steps()) == said([FIRST, *steps])
    with ChangeLog.open(tmp_path / "log") as log:
        assert said(log.steps(after=1)) == said(steps[1:])
        assert [one.number for one in log.generations()] == [0, 1, 2]
        assert log.last_place() == 3
        assert log.put_rows({3, 7}).keys() == {3}
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_generation_is_written_once(tmp_path):
    with ChangeLog.create(tmp_path / "log", FIRST) as log, pytest.raises(InputError, match="surrogate"):
        log.append(step(1, put=[kept(3, "\ud800")]))
    with ChangeLog.open(tmp_path / "log", write=True) as log:
        assert len(log.generations()) == 1, "a refused step leaves nothing"
        log.append(step(1))


@pytest.mark.parametrize("column", ["metadata", "keys", "texts"])
def test_json_nested_too_deeply_is_damage_and_no_traceback(tmp_path, column):
    path = tmp_path / "log"
    with ChangeLog.create(path, FIRST) as log:
        log.append(step(1, put=[kept(3)]))
        log._connection.execute(f"UPDATE changes SET {column} = ?", ('{"a":' * 100_000,))
    with ChangeLog.open(path) as log, pytest.raises(ArtifactError, match="nested too deeply"):
        log.steps()


def test_every_flipped_byte_and_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "log"
    with ChangeLog.create(path, FIRST) as log:
        for number in range(1, 9):
            log.append(step(number, put=[kept(number, "words " * 800)]))
    whole, draw = path.read_bytes(), random.Random(0)
    assert unsound_pages(path) == ""
    for at in [*range(0, 100, 4), *(draw.randrange(len(whole)) for _ in range(100))]:
        damaged = bytearray(whole)
        damaged[at] ^= draw.randrange(1, 256)
        path.write_bytes(damaged)
        assert unsound_pages(path)
    for at in [0, 1, 4096, *(draw.randrange(len(whole)) for _ in range(20))]:
        path.write_bytes(whole[:at])
        assert unsound_pages(path)


@pytest.mark.parametrize("content", [None, b"", b"no database", b"SQLite format 3\0" + b"\1" * 5000])
def test_a_file_that_is_no_log_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "log").write_bytes(content)
    with pytest.raises(ArtifactError, match="log"):
        ChangeLog.open(tmp_path / "log").steps()


TORN = """
import os, signal, sys
from retrograd.change_log import ChangeLog
from tests.test_change_log import kept, step
log = ChangeLog.open(sys.argv[1], write=True)
log._connection.execute("PRAGMA cache_size = 2; BEGIN IMMEDIATE")
for number in range(200):
    log._connection.execute("INSERT INTO changes (generation, text) VALUES (2, ?)", ("words " * 900,))
os.kill(os.getpid(), signal.SIGKILL)
"""


def torn(tmp_path):
    """A log whose writer was killed after pages had reached the file, before the commit."""
    with ChangeLog.create(tmp_path / "log", FIRST) as log:
        log.append(step(1, put=[kept(3)]))
    done = subprocess.run([sys.executable, "-c", TORN, str(tmp_path / "log")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "log-journal").exists()
    return tmp_path / "log"


@pytest.mark.parametrize("write", [True, False])
def test_what_a_kill_left_half_done_is_undone(tmp_path, write):
    path = torn(tmp_path)
    with ChangeLog.open(path, write=write) as log:
        assert len(log.steps()) == 2
    assert not unsound_pages(path)


def test_it_is_undone_in_a_copy_where_the_folder_cannot_be_written(tmp_path, monkeypatch):
    path = torn(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(change_log.os, "access", lambda *_: False)
    with ChangeLog.open(path) as log:
        assert len(log.steps()) == 2
    assert path.read_bytes() == before


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path):
    with ChangeLog.create(tmp_path / "log", FIRST) as log:
        log.append(step(1, put=[kept(3)]))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
        try:
            with pytest.raises(StorageError, match="what was stored before is unchanged"):
                log.append(step(2, put=[kept(4, "words " * 20_000)]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert [one.number for one in log.generations()] == [0, 1]
        log.append(step(2))
    assert not unsound_pages(tmp_path / "log")


@given(
    st.lists(st.tuples(st.sampled_from(["put", "gone", "swap"]), st.integers(0, 11)), max_size=12), st.data()
)
def test_undoing_steps_gives_what_was_there_before_them(choices, data):
    base, states, steps = set(range(4)), [Net()], []
    for number, (kind, place) in enumerate(choices, 1):
        there = (base - states[-1].gone) | states[-1].joined.keys()
        put = [kept(place)] if kind != "gone" and place not in there else []
        gone = [kept(p) for p in sorted(there)[:1]] if kind != "put" else []
        steps.append(step(number, put=put, gone=[one for one in gone if one.place != place]))
        states.append(states[-1].after(steps[-1:]))
    at = data.draw(st.integers(0, len(steps)))
    assert places(states[-1].before(steps[at:][::-1], level_sizes=())) == places(states[at])
    assert places(Net().after(steps[:at])) == places(states[at])


def places(net: Net):
    return net.gone, net.joined.keys()


def test_a_copy_is_a_log(tmp_path):
    with ChangeLog.create(tmp_path / "log", FIRST) as log:
        log.append(replace(step(1), put=(kept(3),)))
        log.copy(tmp_path / "copy")
        assert said(ChangeLog.open(tmp_path / "copy").steps()) == said(log.steps())
    shutil.rmtree(tmp_path)

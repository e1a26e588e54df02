"""A file appears whole or not at all."""

import pytest

from retrograd.adapters.whole_file import replaced


def test_a_file_appears_when_it_is_finished(tmp_path):
    path = tmp_path / "new" / "file"
    with replaced(path) as partial:
        partial.write_text("half")
        assert not path.exists()
        partial.write_text("whole")
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_goes_wrong_leaves_the_older_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with replaced(path) as partial:
            partial.write_text("half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]

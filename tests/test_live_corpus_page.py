"""Every file, command and line of Python in the page on changing corpora works, in the order shown."""

import re
import shlex
import shutil

from tests.house.tree import ROOT

PAGE = (ROOT / "docs" / "live-corpus.md").read_text(encoding="utf-8")
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)


def test_the_page_runs_from_top_to_bottom(cli, monkeypatch, tmp_path, tiny_data, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_data, "my-data")
    ran = set()
    for language, title, text in BLOCK.findall(PAGE):
        if title:
            (tmp_path / title).write_text(text)
        elif language == "bash":
            for line in text.splitlines():
                program, *words = shlex.split(line)
                assert program == "retrograd"
                done = cli(*words)
                assert done.code == 0, f"{line}\n{done.err}"
                assert done.out.strip(), line
                assert "no document matches" not in done.out, line
                ran.add(words[0])
        else:
            assert language == "python"
            capsys.readouterr()
            exec(compile(text, "live-corpus.md", "exec"), {})
            assert "n4" in capsys.readouterr().out
    assert {"add", "update", "delete", "history", "rollback", "search"} <= ran

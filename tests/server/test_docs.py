"""The examples of the page about the server run as they stand there."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from reliability.servers import running
from retrograd.server.settings import LARGEST_BODY, LARGEST_HEAD, LONGEST_ID, LONGEST_QUERY

PAGE = Path(__file__).parents[2] / "docs" / "server.md"


def examples():
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    commands = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in commands if line.startswith("curl ")]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are for curl")
def test_every_example_is_answered(copied):
    folder = copied("generative")
    with running([f"my-system={folder}"]) as server:
        for command in examples():
            here = [part.replace("localhost:8765", f"localhost:{server.port}") for part in command]
            done = subprocess.run([*here, "--fail-with-body"], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
        described = {line["route"] for line in server.log() if "route" in line}
    assert len(described) >= 12


def test_the_bounds_on_the_page_are_those_of_the_server():
    text = PAGE.read_text()
    assert (LARGEST_BODY, LARGEST_HEAD) == (1 << 20, 16 << 10)
    assert "1 MiB" in text
    assert "16 KiB" in text
    assert f"{LONGEST_QUERY:,} characters" in text
    assert f"id {LONGEST_ID} characters" in text

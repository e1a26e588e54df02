"""Every block of the page on adapters runs as it stands."""

import re

import pytest

from tests.adapters.systems import fitted
from tests.house.tree import ROOT, SRC

PAGE = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
OPTIONAL = ("pyterrier", "pandas", "faiss", "pyarrow", "qdrant_client")
NEEDS = {"faiss_export": "faiss", "parquet": "pyarrow", "qdrant": "qdrant_client"}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.search(r"adapters\.(\w+)", block)[1])
def test_python_runs(block, monkeypatch, tmp_path, capsys):
    imported = re.findall(r"^import (\w+)|adapters\.(\w+)", block, re.MULTILINE)
    named = {NEEDS.get(word, word) for pair in imported for word in pair}
    for library in [name for name in OPTIONAL if name in named]:
        if library != "pyterrier" or "import pyterrier" in block:
            pytest.importorskip(library, reason=f"{library} is not installed")
    fitted("dense").save(tmp_path / "my-system")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "adapters.md", "exec"), {})
    assert capsys.readouterr().out.strip()
    assert len([line for line in block.splitlines() if line.strip()]) <= 10


def test_every_adapter_is_on_the_page():
    doors = {"pyterrier", "mteb", "faiss_export", "parquet", "qdrant", "sentence_encoder"}
    assert doors <= {path.stem for path in (SRC / "retrograd" / "adapters").glob("*.py")}
    assert doors == set(re.findall(r"adapters\.(\w+)", " ".join(BLOCKS))) - {"source"}

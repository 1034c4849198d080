# Mien. `make` alone explains itself.
PYTHON ?= python3
VENV   ?= .venv
# the CPU build is small; on Linux with a GPU choose your own: make test TORCH='torch==2.13.0+cu130'
TORCH  ?= torch==2.13.0
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help live demo test lint check bench supply lrs clean

help:  ## say what each target does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

live: $(VENV)/.live  ## set up what live needs (no deep-learning framework), then watch the camera or the demo
	@$(BIN)/mien fetch || true
	$(BIN)/mien live

demo: $(VENV)/.live  ## watch the built-in demo: no camera needed
	$(BIN)/mien live --source demo

test: $(VENV)/.dev  ## set up everything for development and run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.dev  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test  ## lint and test: what must pass before a commit

bench: $(VENV)/.dev  ## the benchmarks that need no data set
	$(BIN)/python benchmarks/live.py

supply: $(VENV)/.supply  ## what is installed (CycloneDX) and what is known against it (pip-audit); works offline, and says so
	$(BIN)/python tools/supply_chain.py

lrs: $(VENV)-lrs/.ready  ## a real learning record store (Ralph) for the tests; then: MIEN_RALPH_PYTHON=$(VENV)-lrs/bin/python make test

clean:  ## remove the virtual environment and caches (no data, no models, no results)
	rm -rf $(VENV) $(VENV)-lrs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist

$(VENV)-lrs/.ready:
	$(PYTHON) -m venv $(VENV)-lrs
	$(VENV)-lrs/bin/python -m pip install --quiet --disable-pip-version-check 'ralph-malph[cli,lrs]' requests
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.live: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[window,demo]'
	@touch $@

$(VENV)/.supply: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[supply]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

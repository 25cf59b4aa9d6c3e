# Nudge needs python3 (3.11 or later, with pip and venv) and make; everything else is installed, locked, into .venv.

PYTHON ?= python3
SEED ?= 7
SERVE ?= 1
JOBS ?= 2
WORKSPACE ?= demo
ROOMS := decisioning estimators measurement features ledger training serving simulation nudge
CODE := $(ROOMS) benchmarks docs scripts tests

# Threads that wait for each other sleep instead of spinning: on a busy machine LightGBM is several times faster so.
export OMP_WAIT_POLICY ?= PASSIVE

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo test laws check static format bench bench-peers lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## install everything, locked, into .venv

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "Nudge needs Python 3.11 or later; '$(PYTHON)' was not found. Hint: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Nudge needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Hint: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "'$(PYTHON)' cannot make a virtual environment. Hint: on Debian and Ubuntu install the package python3-venv" >&2; exit 1; }
	@echo "Installing the locked dependencies into $(VENV): about two minutes the first time." >&2
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python scripts/openmp_runtime.py
	@$(BIN)/python scripts/compile_kernels.py
	@touch $@

demo: $(STAMP) ## the demo business, end to end, then API and console on 127.0.0.1:8000 (SERVE=0 stops before; SEED=7)
	@$(BIN)/nudge demo -w $(WORKSPACE) --seed $(SEED) $(if $(filter 0,$(SERVE)),--no-serve,--serve)

test: $(STAMP) ## the whole test suite, the examples in docstrings included (JOBS=2 processes, a file of tests at a time)
	@$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder

laws: $(STAMP) ## the laws of the decision core, thousands of random cases each (CASES=3000)
	@LAW_CASES=$(or $(CASES),3000) $(BIN)/python -m pytest -q --hypothesis-show-statistics tests/decisioning/test_laws.py tests/decisioning/test_laws_of_everything.py

check: static test ## what CI runs: format, lint, types, import contracts, tests, doctests

static: $(STAMP) ## format, lint, types and import contracts, without the tests
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(STAMP) ## put every file into the house format
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix-only $(CODE)

bench: $(STAMP) ## measure, write benchmarks/results.json and the tables of benchmarks/README.md (ONLY=name for one)
	@$(BIN)/python -m benchmarks $(ONLY)

bench-peers: $(STAMP) ## train beside causalml and EconML, which are installed into .venv-peers (optional; some minutes)
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --disable-pip-version-check --quiet "causalml>=0.15" "econml>=0.15" lightgbm
	@$(BIN)/python -m benchmarks peers

lock: ## resolve pyproject.toml anew into requirements.lock (needs uv)
	@uv pip compile pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 \
		--no-header --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock

clean: ## remove the installation and the caches; data, models and workspaces stay
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

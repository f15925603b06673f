# Every verb of the project. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help demo test lint unit services integration acceptance bench bench-convert bench-fleet chaos fuzz format clean

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Nightread needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.run

demo: $(VENV)/.run ## Set up, write a demo archive, run the night on it, show the reports
	@deploy/demo.sh $(BIN)/nightread demo

test: $(VENV)/.dev lint services ## Set up, then pass every check and every test
	$(PYTEST) --cov --cov-report=term:skip-covered tests

lint: $(VENV)/.dev ## ruff, mypy --strict, import contracts, migrations against models
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@database=$$(mktemp -d)/check.db; for verb in "upgrade head" check; do \
		$(BIN)/python -m alembic -c migrations/alembic.ini -x url=sqlite:///$$database $$verb || exit; done

services: ## Install what the tests' services need (PostgreSQL, Ceph S3, Chromium), where apt can
	@tests/services/install

unit: $(VENV)/.dev ## The unit tests alone: no service, seconds
	$(PYTEST) tests/unit

integration: $(VENV)/.dev services ## The tests against real PostgreSQL, S3, Chromium and model
	$(PYTEST) tests/integration

acceptance: $(VENV)/.dev services ## The tests with real worker processes, killed and restarted
	$(PYTEST) tests/acceptance

bench: $(VENV)/.dev ## Print the benchmarks: ratios, never assertions
	$(BIN)/python -m tests.benchmarks.overlap
	$(BIN)/python -m tests.benchmarks.findings

bench-convert: $(VENV)/.dev ## Print what converting costs, beside the plain way, each decoder alone and the memory's speed
	$(BIN)/python -m tests.benchmarks.convert

bench-fleet: $(VENV)/.dev services ## Print what messages and ledger cost, how soon a report comes, what a million studies cost
	$(BIN)/python -m tests.benchmarks.fleet_overhead
	$(BIN)/python -m tests.benchmarks.latency
	$(BIN)/python -m tests.benchmarks.ledger_scale --postgresql 1000 1000000

fuzz: $(VENV)/.dev ## Convert 20,000 damaged and hostile objects, each under limits: minutes
	$(BIN)/python -m tests.benchmarks.fuzz --inputs 20000

chaos: $(VENV)/.dev services ## Five nights of 1,000 studies, everything killed at random: half an hour
	$(BIN)/python -m tests.benchmarks.chaos --studies 1000 --seeds 5

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what the verbs above made
	rm -rf $(VENV) demo nightread-data build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage

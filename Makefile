# Wiredesk. `make run` and `make test` do their own set-up on a machine with Python >= 3.11 and make.
PYTHON ?= $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE := 1
export HYPOTHESIS_STORAGE_DIRECTORY := .venv/.hypothesis
export TOKENIZERS_PARALLELISM := false

.PHONY: run test lint bench clean help environment environment-dev

run: environment  ## start redis, worker, flower, feeder and api; print the first label
	@$(BIN)/python -m deploy.up

test: lint  ## lint, types, layers and the whole test suite
	@$(BIN)/python -m pytest

lint: environment-dev  ## ruff, mypy and the import layers
	@$(BIN)/ruff check --no-cache .
	@$(BIN)/ruff format --no-cache --check .
	@$(BIN)/mypy --cache-dir=/dev/null
	@$(BIN)/lint-imports --no-cache --no-logo

bench: environment-dev  ## engine and service benchmarks, each with a table and a JSON line
	@$(BIN)/python -m bench.engine
	@$(BIN)/python -m bench.service

environment:
	@$(PYTHON) deploy/bootstrap.py

environment-dev:
	@$(PYTHON) deploy/bootstrap.py --dev

clean:  ## remove the environment and caches; data/ and runs/ stay
	rm -rf .venv .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## */\t/'

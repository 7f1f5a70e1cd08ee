# Everything here sets itself up: .venv/ by scripts/setup, an etcd by scripts/get-etcd, databases (for tests and
# benchmarks only) by scripts/get-debian.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage unit lint format docs bench chaos clean

BIN := .venv/bin
# Scripts, tests and `gluon up` take the etcd that this names.
WITH_ETCD = GLUON_ETCD="$$(scripts/get-etcd)"; export GLUON_ETCD;
SERVERS := postgresql-15 mariadb-server-core mariadb-client-core mariadb-server galera-4 galera-arbitrator-4 rsync haproxy systemd etcd-client openvswitch-switch ovn-common ovn-central ovn-host libyang2-tools
WITH_SERVERS = scripts/get-debian $(SERVERS); $(WITH_ETCD)

# How many tests run at a time, those of a file one after the other: most of them wait for something.
JOBS ?= 2

# What `make unit` runs: a folder, a file, or one test by the name that pytest prints.
TEST ?= tests

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv/ and install into it (every other target does this itself)
	@scripts/setup

demo: setup ## Show the product: from a YAML file to a bound port, in under a minute
	@$(WITH_ETCD) $(BIN)/python scripts/demo.py

test: lint ## Everything that a change must pass: lint, and all tests
	@$(WITH_SERVERS) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

coverage: setup ## All tests, and which lines of each file they reached; takes half as long again
	@$(WITH_SERVERS) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --cov --cov-report=term:skip-covered

unit: setup ## Some tests without the rest: make unit TEST=tests/model/test_compiler.py::test_name
	@$(WITH_SERVERS) $(BIN)/python -m pytest '$(TEST)'

lint: setup ## Style, format, strict types, and that imports go down the floors of the house only
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: run make format" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports >.setup.lint 2>&1 || { cat .setup.lint >&2; exit 1; }

format: setup ## Format the code, and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

docs: setup ## Write the sample configurations, and check that docs/ says everything it must
	@$(BIN)/python scripts/sample_configs.py
	@$(BIN)/python -m pytest tests/docs tests/model/test_docs.py

bench: setup ## Measure: figures beside raw floors of the same run, as a table and as JSON
	@$(WITH_SERVERS) PYTHONPATH=tests $(BIN)/python -m benchmarks $(BENCH)

chaos: setup ## Kill, stop and cut off at random while clients write: make chaos CHAOS='--seed 7 --seconds 600'
	@$(WITH_SERVERS) PYTHONPATH=tests $(BIN)/python -m system.chaos $(CHAOS)

clean: ## Remove what make has made: .venv/, .tools/, caches
	rm -rf .venv .tools .setup.* dist build .coverage* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# Every chore of a developer. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help dev-up dev-down test test-engines test-kubernetes lint requirements bench lock clean
SHELL := /bin/bash

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# The command line's own choice of a platform must not leak in from the surroundings.
export STUDIOLO_DATA_DIR ?= $(CURDIR)/.studiolo
DATA_DIR_LOG := $(STUDIOLO_DATA_DIR)/logs/supervisor.log
# Side by side, a file of tests each, in an order of their own (tests/conftest.py). Tests wait for half of their time, so
# that three keep two processors busy. One after the other: WORKERS=0.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) * 3 / 2)))
BESIDE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
TEST_ENV := env -u STUDIOLO_DATA_DIR -u STUDIOLO_PORT -u STUDIOLO_URL -u STUDIOLO_KEY -u STUDIOLO_CONFIG

help: ## list the chores
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

dev-up: $(STAMP) ## start the platform of this clone (STUDIOLO_DATA_DIR, STUDIOLO_PORT) and print its address
	@$(BIN)/studiolo up --detach || { code=$$?; if [ -s "$(DATA_DIR_LOG)" ]; then \
	  echo; echo "The end of $(DATA_DIR_LOG):"; tail -n 20 "$(DATA_DIR_LOG)"; fi; exit $$code; } >&2

dev-down: $(STAMP) ## stop it; sessions go on
	@$(BIN)/studiolo down

test: $(STAMP) ## run all tests but those on real engines
	@scripts/test-packages.sh
	@$(TEST_ENV) $(BIN)/pytest -m "not engine" $(BESIDE) $(PYTEST_ARGS)

test-engines: $(STAMP) ## run the slow tests on real engines, which it sets up (as root) and ends again
	@scripts/test-packages.sh
	@$(TEST_ENV) scripts/test-engines.sh $(BIN)/pytest -m engine $(BESIDE) $(PYTEST_ARGS)

test-kubernetes: $(STAMP) ## hold a real cluster to the contract of engines (KUBECONFIG, IMAGE, NAMESPACE)
	@STUDIOLO_TEST_KUBECONFIG="$(KUBECONFIG)" STUDIOLO_TEST_IMAGE="$(IMAGE)" \
	  STUDIOLO_TEST_NAMESPACE="$(or $(NAMESPACE),studiolo)" STUDIOLO_TEST_ISOLATION="$(or $(ISOLATION),L1)" \
	  STUDIOLO_TEST_LIMITS_PROCESSES="$(LIMITS_PROCESSES)" STUDIOLO_TEST_PLATFORM_CIDRS="$(PLATFORM_CIDRS)" \
	  $(BIN)/pytest tests/engines/kubernetes/test_kubernetes_contract.py -k cluster $(PYTEST_ARGS)

lint: $(STAMP) ## check style, types and who imports whom
	@echo "ruff check";          $(BIN)/ruff check .
	@echo "ruff format --check"; $(BIN)/ruff format --check .
	@echo "mypy";                $(BIN)/mypy
	@echo "lint-imports";        $(BIN)/lint-imports --no-logo

requirements: $(STAMP) ## run the tests and print which requirement each closes; writes docs/reference/requirements.md
	@scripts/test-packages.sh
	@$(TEST_ENV) PYTHONPATH=tests $(BIN)/pytest -q -p requirements_report --requirements=docs/reference/requirements.md \
	  $(BESIDE) $(PYTEST_ARGS)

bench: $(STAMP) ## run all benchmarks against their peers
	@for file in bench/[a-z]*.py; do echo "$$file"; $(BIN)/python "$$file" || exit 1; done

lock: $(STAMP) ## choose the newest versions that fit and write the locks
	@echo "Writing requirements.lock and requirements-build.lock"
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --generate-hashes --universal --no-emit-index-url \
	  --python-version 3.11 --upgrade --quiet -o requirements.lock
	@$(BIN)/uv pip compile requirements-build.in -c requirements.lock --generate-hashes --universal \
	  --no-emit-index-url --python-version 3.11 --upgrade --quiet -o requirements-build.lock

clean: ## remove what can be made again: the virtual environment and caches, not the data
	@echo "Removing .venv and caches; .studiolo stays"
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist

$(STAMP): pyproject.toml requirements.lock requirements-build.lock scripts/install.sh
	@PYTHON="$(PYTHON)" scripts/install.sh
	@touch $@

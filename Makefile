# The one door. It needs Python 3.11 or later and make, and puts everything else into .venv and
# .consul. Some tests only: make test ARGS='-k retry'. Another Python: make clean, then
# make test PYTHON=python3.12.

PYTHON ?= python3
WORKERS ?= 3
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

.PHONY: help demo test httpx2 cov lint types examples endpoints what-happens fuzz chaos flakes bench package \
	consul clean all

help:  ## this list
	@awk -F ':.*##' '/^[a-z0-9-]+:.*##/ { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/.runtime  ## a short story, told by an agent in memory; CONSUL=real for a real one
	@test "$(CONSUL)" != real || $(BIN)/python -m tests.support.consul_binary
	@$(BIN)/python -m tests.demo $(CONSUL)

test: .venv/.dev  ## every test; those with a real Consul too, where there is one
	@$(BIN)/python -m tests.support.consul_binary || { test "$$CONSUL_REQUIRED" != 1 && \
		echo "So the tests that need a Consul are skipped." >&2; }
	@$(BIN)/python $(UNDER) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

httpx2: .venv/.dev consul  ## the tests once more, with httpx2 in httpx's place
	@$(PIP) install --group httpx2
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -p tests.support.alias_httpx $(ARGS)

cov: .venv/.dev  ## the tests, and whether they reach enough of the code
	@$(BIN)/coverage erase
	@$(MAKE) --no-print-directory test UNDER='-m coverage run'
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=95
	@$(BIN)/coverage report --fail-under=100 --include='consul_onex/transport/*'

lint: .venv/.dev  ## ruff: style, and mistakes that show in the text
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/.dev  ## mypy and pyright, over the tests and the examples too
	@$(BIN)/mypy
	@$(BIN)/pyright

examples: .venv/.dev consul  ## the examples and the code in the pages, against a real Consul
	@CONSUL_REQUIRED=1 $(BIN)/python -m pytest --quiet tests/test_examples.py tests/test_readme.py

endpoints: .venv/.dev  ## write docs/endpoints.md anew, from the docstrings
	@$(BIN)/python -m tests.endpoints

what-happens: .venv/.dev  ## write docs/what-happens.md anew, from the table of faults
	@$(BIN)/python -m tests.chaos.page

fuzz: .venv/.dev  ## a million damaged answers through the client; RUNS=..., SEED=...
	@$(BIN)/python -m tests.chaos.fuzz $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

chaos: .venv/.dev consul  ## torment real clusters, then every figure; MINUTES=1, SEED=...
	@$(BIN)/python -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)); \
		told=$$?; $(BIN)/python -m tests.chaos.figures && exit $$told

flakes: .venv/.dev consul  ## the tests of faults fifty times, and how many failed; RUNS=...
	@$(BIN)/python -m tests.chaos.flakes $(if $(RUNS),--runs $(RUNS)) -n $(WORKERS) tests/chaos

bench: .venv/.dev consul  ## how fast, beside httpx, py-consul, Go and others; BENCH='get layers'
	@$(PIP) install --group bench || true
	@$(BIN)/python -m tests.bench --json bench.json $(BENCH)

package: .venv/.dev consul  ## build, install the wheel in an empty environment, run it there
	@$(BIN)/python -m tests.package

consul: $(BIN)/python  ## find a Consul to test with, or fetch one
	@$(BIN)/python -m tests.support.consul_binary

clean:  ## delete what make has made, except .consul
	@rm -rf .venv dist bench.json .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

all: lint types cov examples package  ## what must pass before a change goes in

# Stamps: installed again only when pyproject.toml has changed.

.venv/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing consul_onex and its development tools into .venv ..."
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable . --group dev
	@touch .venv/.runtime $@

.venv/.runtime: pyproject.toml | $(BIN)/python
	@echo "Installing consul_onex into .venv ..."
	@$(PIP) install --editable .
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c '' 2>/dev/null || { echo "There is no $(PYTHON) here. consul_onex needs Python" \
		"3.11 or later. Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "consul_onex needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) --version)." \
		"Name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual" \
		"environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear .venv

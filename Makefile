# Every command a newcomer needs. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help setup setup-tests demo check test bench faults lock schemas clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s '	'

setup: .venv/.ready  ## make .venv with what the demo and production need

.venv/.ready: requirements.lock pyproject.toml
	@bash deploy/setup.sh runtime "$(PYTHON)"

setup-tests: .venv/.ready-tests  ## setup, and what the tests need

.venv/.ready-tests: requirements-dev.lock pyproject.toml .venv/.ready
	@bash deploy/setup.sh tests "$(PYTHON)"

demo: setup  ## the whole loop on this machine, with real faces
	@$(BIN)/cloud-hub demo $(DEMO)

check: setup-tests  ## lint, types, arrows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_arrows.py

test: setup-tests  ## set up what the tests need and run all of them (ARGS=… for pytest)
	@bash deploy/test.sh $(ARGS)

bench: setup-tests  ## figures, with n and seed
	$(BIN)/python -m tests.benchmarks $(ARGS)

faults: setup-tests  ## the fault campaigns; report in build/faults (ARGS="--quick" for a short run)
	@$(PIP) install --quiet --no-deps --require-hashes --only-binary :all: -r requirements-fuzz.lock \
		|| echo "no atheris for this Python or machine: the parsers are fuzzed by Hypothesis alone"
	$(BIN)/python -m tests.faults $(ARGS)

lock:  ## resolve both lock files again (needs uv)
	@bash deploy/lock.sh

schemas: setup  ## write the JSON Schemas of the wire messages
	$(BIN)/python -m firmware_config.schemas docs/schemas

clean:  ## remove what setup and tests made
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

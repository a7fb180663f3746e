# Two commands: `make run` trains, grades and reports; `make test` runs the tests. Each makes .venv when it is missing.
PYTHON ?= python3
PIP_ARGS ?=
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test proof lint bench pretrained clean

$(VENV)/.train: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[train,report]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.train

run: $(VENV)/.train
	$(BIN)/python -m train --preset quick --log-folder runs
	$(BIN)/python -m evaluate --latest

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto

proof: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m proof

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.environments
	$(BIN)/python -m benchmarks.solver

pretrained: $(VENV)/.train
	$(BIN)/python -m benchmarks.pretrained

clean:
	rm -rf $(VENV) build dist *.egg-info

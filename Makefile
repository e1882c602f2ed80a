# Targets: setup (install), demo (the main job on synthetic worlds), test, recipes (all of them at their tiny size), slow (tests that take
# minutes), lint, docs, bench.
# On Windows run make in Git Bash: the recipes need its bash, rm and touch.
SHELL := bash
VENV  ?= .venv
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN    := $(VENV)/Scripts
else
PYTHON ?= python3
BIN    := $(VENV)/bin
endif
# CONSTRAINTS=constraints-lowest.txt installs the lowest versions we support; PYTEST=--durations=25 prints the slowest tests.
CONSTRAINTS ?= constraints.txt
PYTEST      ?=

.PHONY: setup demo test recipes slow lint style types format docs bench clean
setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit("geopretrain needs Python 3.11 or newer; pass PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/geopretrain demo --out demo

test: setup
	$(BIN)/python -m pytest $(PYTEST)

recipes: setup
	$(BIN)/python -m pytest -m recipes $(PYTEST)

slow: setup
	$(BIN)/python -m pytest -m slow $(PYTEST)

lint: style types

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup
	$(BIN)/python docs/write_options.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: setup
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/loader.py

clean:
	rm -rf $(VENV) demo site .hypothesis .pytest_cache .mypy_cache .ruff_cache

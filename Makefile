# `make demo` paints a first picture, `make test` runs the tests. Both make the virtual environment .venv if need be.

PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test lint format clean

demo: .venv/installed
	$(BIN)/nst-numpy demo

test: .venv/installed-test
	$(BIN)/pytest -q

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf .venv out .pytest_cache .ruff_cache .hypothesis

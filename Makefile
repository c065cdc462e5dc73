# `make demo` paints a first picture, `make studio` opens the page on which one paints, `make test` runs the tests,
# `make notebooks` runs the notebooks and writes them to out/notebooks, `make docs` makes the documentation,
# out/docs/index.html, `make figures` draws the papers' figures into out/figures (SIZE and WEIGHTS can be set), `make
# mutants` tests the tests by mutating the modules, `make coverage` says which lines and branches the tests do not reach,
# `make bench` measures the speed against PyTorch, `make fuzz` tries hostile inputs (N of them, 20000 by default), `make
# versions` runs the tests with the lowest and the newest dependencies on each Python that is found. All make the virtual
# environment .venv if need be.

PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo studio test notebooks docs figures lint format mutants coverage bench fuzz versions clean

demo: .venv/installed
	$(BIN)/nst-numpy demo

studio: .venv/installed-studio
	$(BIN)/nst-numpy studio

test: .venv/installed-test
	$(BIN)/pytest -q -n auto --maxprocesses 8

notebooks: $(patsubst notebooks/%.py,out/notebooks/%.ipynb,$(wildcard notebooks/*.py))

out/notebooks/%.ipynb: notebooks/%.py $(shell find nst_numpy -name '*.py') .venv/installed-notebooks
	mkdir -p out/notebooks
	$(BIN)/jupytext --quiet --to ipynb --execute --output $@ $<

# The sources of the pages go side by side into out/site, as they are here, so that their links hold.
docs: notebooks .venv/installed-docs
	rm -rf out/site out/docs
	mkdir -p out/site
	cp -r LICENSE benchmarks docs figures notebooks weights out/site
	cp out/notebooks/*.ipynb out/site/notebooks
	cat README.md docs/site/contents.md > out/site/index.md
	mv out/site/docs/site/* out/site
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going out/site out/docs

SIZE ?= 256
WEIGHTS ?= vgg19-mini

figures: $(patsubst %.py,%,$(filter-out figures/sheet.py,$(wildcard figures/*.py)))

figures/%: figures/%.py .venv/installed
	$(BIN)/python $< --size $(SIZE) --weights $(WEIGHTS)

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# MODULES="nst_numpy/losses.py …" for some modules; see tests/mutants/mutate.py for what else it can do.
mutants: .venv/installed-mutants
	$(BIN)/python tests/mutants/mutate.py $(MODULES)

# The second run sees the compiled functions, which are Python there.
coverage: .venv/installed-coverage
	rm -rf out/coverage
	mkdir -p out/coverage
	$(BIN)/coverage run -m pytest -q -n auto --maxprocesses 8
	NUMBA_DISABLE_JIT=1 $(BIN)/coverage run -m pytest -q -n auto --maxprocesses 8 tests/test_loops.py tests/test_transforms.py
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: .venv/installed-oracle
	$(BIN)/python benchmarks/speed.py --against torch
	$(BIN)/python benchmarks/speed.py --against torch --weights vgg19-mini

N ?= 20000

fuzz: .venv/installed-test
	$(BIN)/python tests/fuzzing.py $(N)

# It takes the time of `make test` for each of them, twice. TESTS="tests/test_layers.py …" for some tests, ON=3.12 for one Python.
versions: .venv/installed-versions
	$(BIN)/python tests/versions.py $(addprefix --python=,$(ON)) $(TESTS)

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

.venv/installed-studio: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[studio]'
	touch $@

.venv/installed-oracle: .venv/installed-test
	$(BIN)/python -m pip install --quiet --editable '.[oracle]'
	touch $@

.venv/installed-mutants: .venv/installed-test
	$(BIN)/python -m pip install --quiet --editable '.[mutants]'
	touch $@

.venv/installed-coverage: .venv/installed-test
	$(BIN)/python -m pip install --quiet --editable '.[coverage]'
	touch $@

.venv/installed-versions: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[versions]'
	touch $@

.venv/installed-notebooks: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[notebooks]'
	touch $@

.venv/installed-docs: .venv/installed-notebooks
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv out .pytest_cache .ruff_cache .hypothesis

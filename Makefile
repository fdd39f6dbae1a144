# make serve      install what serving needs into .venv, and serve the bundled store
# make test       install the rest, and run the tests
# make test-slow  run the tests that take minutes: long fuzzing, many processes, deep networks
# make check      formatting, lint and types
# make bench      time our engines beside other people's, and write what was found as JSON and as a page: minutes that
#                 want a machine with nothing else to do
# make bench-serve  the same of whole services, under load: six minutes that want an idle machine, and wrk if it is there
# make results-check  decode every bundle of the store, and measure it anew where CSRVE_DATA names a folder with cifar10
#
# On the command line: HOST, PORT, STORE and DEFAULT_MODEL (which answers where a request names none) of `serve`; PYTHON
# that makes .venv; TESTS for some of the tests only; BENCH for the JSON file of `bench`, the page lying beside it;
# BENTOML_PYTHON, the interpreter of an environment with BentoML, which pins other versions than ours, for `bench-serve`.

PYTHON := python3
HOST := 127.0.0.1
PORT := 8000
STORE := store
TESTS := tests
DEFAULT_MODEL = $(if $(filter store,$(STORE)),resnet20-cifar10)
BENCH := docs/benchmarks.json
BENCH_SERVE := docs/serving-benchmarks.json
BENCH_NETWORKS := store/resnet20-cifar10/1.csrve synthetic:sparse95 synthetic:uniform95

VENV := .venv
PIP_INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: serve test test-slow check bench bench-serve results-check format clean

serve: $(VENV)/.serve
	$(VENV)/bin/python -m service --host $(HOST) --port $(PORT) --store $(STORE)$(DEFAULT_MODEL:%= --default-model %)

test: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -m "not slow" $(TESTS)

test-slow: $(VENV)/.dev
	$(VENV)/bin/python -m pytest -m slow $(TESTS)

check: $(VENV)/.dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

bench: $(VENV)/.bench
	$(VENV)/bin/python -m service bench $(BENCH_NETWORKS) --json $(BENCH)
	$(VENV)/bin/python -m service bench --render $(BENCH) > $(BENCH:.json=.md)

bench-serve: $(VENV)/.bench
	$(VENV)/bin/python -m service bench-serve --overload$(BENTOML_PYTHON:%= --bentoml-python %) --json $(BENCH_SERVE)
	$(VENV)/bin/python -m service bench-serve --render $(BENCH_SERVE) > $(BENCH_SERVE:.json=.md)

results-check: $(VENV)/.dev
	$(VENV)/bin/python -m compressor check --store $(STORE)

format: $(VENV)/.dev
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find compressor model_store service tests -name __pycache__ -prune -exec rm -rf {} +

# The stamps stand in one environment: .dev and .bench hold all that .serve does.
$(VENV)/.serve: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) --editable .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) --editable ".[dev]"
	touch $@ $(VENV)/.serve

$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) --editable ".[bench]"
	touch $@ $(VENV)/.serve

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

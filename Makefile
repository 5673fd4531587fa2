# The few commands of this project. `make demo` and `make test` need nothing but Python 3.11 to 3.14.
PYTHON ?= python3
# Which PyTorch a new environment gets: `make TORCH=cpu demo` takes it without CUDA, from PyTorch's own index.
TORCH ?=
VENV ?= .venv
BIN = $(VENV)/bin
SCHEMA = $(BIN)/check-jsonschema --quiet --builtin-schema vendor.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow check format docs reference clean

help:  ## Say what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

$(BIN)/python:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not (3, 11) <= v[:2] <= (3, 14) and f"lthray needs Python 3.11 to 3.14, but this is {v.major}.{v.minor}; say which with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH),$(BIN)/python -m pip install --quiet --disable-pip-version-check torch torchvision --index-url https://download.pytorch.org/whl/$(TORCH))

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'torchattacks>=3.5.1'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed  ## Run the quickstart sweep (about a minute) and draw its report
	$(BIN)/lthray sweep sweeps/quickstart.yaml --out results/quickstart
	$(BIN)/lthray report results/quickstart
	@echo 'next, a sweep of your own: $(BIN)/lthray init my-sweep'

test: $(VENV)/.installed-dev  ## Run the tests
	$(BIN)/python -m pytest -m 'not slow' --numprocesses 2 --dist loadfile

test-slow: $(VENV)/.installed-dev  ## Run the tests that take long
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-dev  ## Lint, types, imports, and the files that GitHub and Docker read
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	PATH="$(abspath $(BIN)):$$PATH" actionlint .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/hadolint Dockerfile deploy/Dockerfile
	$(SCHEMA)github-workflows .github/workflows/*.yml
	$(SCHEMA)dependabot .github/dependabot.yml
	$(SCHEMA)github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA)github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(SCHEMA)citation-file-format --force-filetype yaml CITATION.cff

format: $(VENV)/.installed-dev  ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.installed-docs  ## Build the documentation into build/site
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -c docs . build/site
	@echo build/site/index.html

reference: $(VENV)/.installed-dev  ## Write the generated parts of docs/reference anew
	$(BIN)/python docs/tools/generate.py

clean:  ## Remove the virtual environment and caches, not the results
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

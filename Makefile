# A fresh machine with Python (3.11 or newer) and git is enough: every target sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check fix bench clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.demo  ## The whole loop, for real, in a minute. YES=1 merges as you; without it the review page waits for you.
	@$(BIN)/learner demo $(if $(YES),--yes)

test: $(VENV)/.dev check  ## Everything that must hold.
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -n $$($(BIN)/python -c "import os; print((os.cpu_count() or 1) + 1)") --dist loadfile

check: $(VENV)/.dev  ## Style, types, layers, and generated files that must not drift.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 4
	@$(BIN)/learner schema --check
	@$(BIN)/learner validate runbooks learner/demo/runbooks

fix: $(VENV)/.dev  ## Formats, and writes everything anew that is generated.
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/learner schema
	@$(BIN)/python -m learner.cli.reference
	@$(BIN)/python -m learner.actions.catalogue_page
	@$(BIN)/python -m learner.setup.settings_text

bench: $(VENV)/.dev  ## Tables with ratios against floors measured in the same run.
	@for bench in telemetry executor repair; do $(BIN)/python -m benchmarks.$$bench; done

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "learner needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing (on Debian: apt-get install python3-venv)"; exit 1; }

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .hypothesis

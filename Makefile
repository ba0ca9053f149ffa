# Everything that a person types here. Needs python3 (3.11 or newer), git and make; nothing else.
#   make lab    set up the course and open it in JupyterLab (BROWSER=none: print the address instead)
#   make test   set up and run every test, the slow ones too

PYTHON ?= python3
VENV := .venv
TEST := .venv-test
LAB_PORT ?= 8888
FIRST := notebooks/00-first-packet.ipynb
export PATH := $(CURDIR)/$(TEST)/bin:$(PATH)
export JUPYTER_PLATFORM_DIRS := 1
NBVAL := --nbval-current-env --nbval-cell-timeout=60 --nbval-sanitize-with=tests/sanitize.cfg
# Two workers, one file of tests each at a time: a notebook's cells must stay together.
WORKERS ?= 2
PYTEST := $(TEST)/bin/python -m pytest -n $(WORKERS) --dist=loadfile

.PHONY: help lab test check lint notebooks exercises conformance benchmarks clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

lab: $(VENV)/.stamp ## set up the learner's environment and open the course in JupyterLab
	@$(VENV)/bin/python -m jupyterlab --port=$(LAB_PORT) $(if $(filter none,$(BROWSER)),--no-browser) \
	  $(if $(filter 0,$(shell id -u)),--allow-root) --LabApp.default_url=/lab/tree/$(FIRST) $(LAB_ARGS)

test: $(VENV)/.stamp $(TEST)/.stamp lint ## set up and run all tests: units, conformance, kernel, notebooks, browser
	$(PYTEST) tests
	K8SNET_PROGRESS=none $(PYTEST) --nbval $(NBVAL) notebooks
	K8SNET_PROGRESS=none $(PYTEST) --nbval-lax $(NBVAL) solutions exercises

check: $(TEST)/.stamp ## the quick tests only: nothing slow, no browser, no root
	$(PYTEST) -m "not slow and not browser and not root" tests

lint: $(TEST)/.stamp ## ruff, mypy and the contract between the rooms
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/mypy
	$(TEST)/bin/lint-imports

notebooks: $(TEST)/.stamp ## run the notebooks again and keep their outputs
	$(TEST)/bin/python -m tests.refresh_notebooks

exercises: $(TEST)/.stamp ## generate exercises/ from solutions/ (nbgrader's own generate_assignment)
	$(TEST)/bin/python -m tests.generate_exercises

conformance: $(TEST)/.stamp ## hold the simulator to the case files beside the project (or K8SNET_CONFORMANCE)
	$(TEST)/bin/python -m tests.conformance

benchmarks: $(TEST)/.stamp ## print times, with cores and Python; nothing is asserted
	@for b in benchmarks/[a-z]*.py; do echo "== $$b"; $(TEST)/bin/python $$b; done

clean: ## remove both environments and what tests leave behind
	rm -rf $(VENV) $(TEST) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis artefacts

# uv installs in seconds what takes pip a minute; where it cannot be had, pip does the same.
SETTINGS := $(VENV)/share/jupyter/lab/settings
# JupyterLab would ask every learner about news and updates before anything else.
QUIET := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}

define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "k8snet needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@rm -rf $(1) && $(PYTHON) -m venv $(1)
	@if $(1)/bin/python -m pip install -q --disable-pip-version-check uv; then \
	  $(1)/bin/uv pip install -q --python $(1)/bin/python -c constraints.txt $(2); \
	else \
	  $(1)/bin/python -m pip install -q --disable-pip-version-check --upgrade pip && \
	  $(1)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt $(2); \
	fi
endef

$(VENV)/.stamp: pyproject.toml constraints.txt
	@echo "Setting up the course in $(VENV) (once, under a minute) …"
	$(call install,$(VENV),-e .)
	@mkdir -p $(SETTINGS) && echo '$(QUIET)' > $(SETTINGS)/overrides.json
	@touch $@

$(TEST)/.stamp: pyproject.toml constraints.txt
	@echo "Setting up the tests in $(TEST) (once, about a minute) …"
	$(call install,$(TEST),-e .[grade] --group test)
	@touch $@

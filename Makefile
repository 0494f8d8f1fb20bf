# The few words everything is done with. CI calls what a laptop calls.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIT := .venv/audit
SEMGREP := PATH=$(AUDIT)/bin:$$PATH $(AUDIT)/bin/semgrep scan --metrics off --disable-version-check
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
  --custom-compile-command 'make lock' --quiet
PACKAGES := auth bench checks demo fleet graph pages realfleet release rest_compat server tests
CLUSTERS ?= 3
MEMBERS ?= 3
PODS ?= 300
PORT ?= 8080
WORKERS ?= 4
MINUTES ?= 30

.PHONY: help setup demo test coverage real fleet check audit bench sizing soak wheel image release lock manifests schema picture graphiql format clean docs reference screenshot

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

setup: $(VENV)/.stamp ## .venv with the project and its tools, from the lock file

$(VENV)/.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@echo 'installing the server and its tools into $(VENV): a minute or two, once' >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## a simulated fleet and the server in front of it, on http://127.0.0.1:8080
	@$(BIN)/openmcp-apiserver demo --port $(PORT)

test: setup ## all tests, some files at a time; REQUIRE_REAL=1 makes a missing real server a failure
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

coverage: setup ## all tests, and the lines of auth, fleet and graph that they reach; fails below the floor (pyproject.toml)
	@PYTEST_ADDOPTS=--cov $(MAKE) --no-print-directory test

real: setup ## builds the real servers that tests use into a cache outside the clone
	@$(BIN)/python -m realfleet build

fleet: setup ## a real fleet on loopback until Ctrl-C; writes .fleet/kubeconfig and .fleet/env
	@$(BIN)/python -m realfleet up --members $(MEMBERS) --pods $(PODS)

check: setup ## formatter, linter, types, import contracts, schema drift and breaking changes
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/openmcp-apiserver schema | diff -u schema.graphql - || (echo 'schema.graphql is not what the code says: run make schema' && exit 1)
	@$(BIN)/python -m graph.schema_changes docs/schema-baseline.graphql schema.graphql CHANGELOG.md

audit: setup $(AUDIT)/.stamp ## bandit, rules of our own, and what is known against dependencies; UNAUDITED=told where nobody can be asked
	@$(BIN)/python -m checks.code $(AUDIT)/bin/bandit
	@$(SEMGREP) --quiet --test --config rules rules >/dev/null || (echo 'a rule of rules does not find its example' && exit 1)
	@$(SEMGREP) --quiet --error --config rules $(PACKAGES)
	@$(BIN)/python -m checks.dependencies $(AUDIT)/bin/pip-audit

$(AUDIT)/.stamp: checks/requirements.lock
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

bench: setup ## side-by-side measurements with their goals, as a table; `make bench sizing`: CPU and memory by size of fleet
	@$(BIN)/python -m $(if $(filter sizing,$(MAKECMDGOALS)),bench.sizing,bench) --write

sizing: # what `make bench` is asked for
	@:

soak: setup ## queries, calls, watches and subscriptions for MINUTES (30) at half of peak, under churn and faults in turn
	@$(BIN)/python -m bench.soak --minutes $(MINUTES)

wheel: setup ## build/openmcp_apiserver-VERSION-py3-none-any.whl
	@$(BIN)/python -m release wheel

image: setup ## the image as an OCI archive in build/, and what is in it in CycloneDX beside it (needs Debian's buildah and mmdebstrap)
	@$(BIN)/python -m release image

release: setup ## VERSION=1.2.3: commits, builds wheel, image, chart, schema, notes and sums into build/release, and tags (needs make real)
	@$(BIN)/python -m release release $(or $(VERSION),$(error say which: make release VERSION=1.2.3))

schema: setup ## writes schema.graphql from the code
	@$(BIN)/openmcp-apiserver schema > schema.graphql

manifests: setup ## renders k8s/base, the overlays and the chart's rights (needs make real)
	@$(BIN)/python -m checks.manifests

docs: setup ## the documentation as a site, in build/site
	@$(BIN)/python -m pages.site

reference: setup ## writes the pages of docs/reference that are made from the code
	@$(BIN)/python -m pages.reference

screenshot: setup ## draws the picture of the README from the demo (needs chromium)
	@$(BIN)/python -m pages.screenshot

picture: ## draws docs/contributing/architecture.svg from the text beside it (needs Graphviz)
	@dot -Tsvg docs/contributing/architecture.dot -o docs/contributing/architecture.svg

graphiql: ## builds the GraphiQL page from its npm packages (needs Node and npm)
	@graph/graphiql/build.sh

format: setup ## formats, and mends what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## re-resolves requirements.lock, those of the image and of the audit (needs uv)
	@$(COMPILE) --all-extras --output-file requirements.lock pyproject.toml
	@$(COMPILE) --constraint requirements.lock --output-file image/requirements.lock pyproject.toml
	@$(COMPILE) --output-file image/installer.lock image/installer.in
	@$(COMPILE) --output-file checks/requirements.lock checks/requirements.in

clean: ## removes .venv and the tools' caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage

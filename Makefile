# The tasks of this project, one name each. A fresh Debian machine with python3, node, npm and git is enough: each task first sets up what it
# needs (a virtual environment in .venv, packages from the registries, Chromium from apt) and says so; what is done already is not done again.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
STAMPS := .venv/stamps
SAY := @printf '\n\033[1m==> %s\033[0m\n'
# pip wants its own tools on the path (jlpm for the lab extension), and bytecode is worth its disk space.
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH
# Yarn reads neither npm's settings nor the certificates of the system: where packages come from is decided once per machine, for all tools.
ifndef YARN_NPM_REGISTRY_SERVER
export YARN_NPM_REGISTRY_SERVER := $(shell npm config get registry 2>/dev/null)
endif
ifndef NODE_EXTRA_CA_CERTS
export NODE_EXTRA_CA_CERTS := $(wildcard /etc/ssl/certs/ca-certificates.crt)
endif

PACKAGE_SOURCES := pyproject.toml $(wildcard server_ext/jupyter-config/*/*)
LAB_SOURCES := $(wildcard labextension/*.json labextension/yarn.lock labextension/src/* labextension/page/* labextension/style/* labextension/schema/* widgets/modelbox_widgets/static/*)

.PHONY: help lab test check pytest bench bench-peers build pictures clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: $(STAMPS)/lab ## Start JupyterLab on the quickstart notebook (ARGS="--no-browser --port=8899")
	$(SAY) "Starting JupyterLab on notebooks/00_quickstart.ipynb"
	exec jupyter lab --LabApp.default_url=/lab/tree/notebooks/00_quickstart.ipynb $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS)

test: check pytest ## Set up, check, and run every test (ARGS="tests/client -k flush")

check: $(STAMPS)/python $(STAMPS)/node ## Run the linters and type checkers, and the tests of the lab extension
	$(SAY) "Checking Python: ruff, mypy, pyright, import-linter"
	@ruff check .
	@ruff format --check .
	@mypy
	@pyright
	@lint-imports
	$(SAY) "Checking TypeScript: tsc, vitest"
	@cd labextension && jlpm check && jlpm test

pytest: $(STAMPS)/python $(STAMPS)/browser $(STAMPS)/engines $(STAMPS)/bundling
	$(SAY) "Running the tests"
ifeq ($(ARGS),)
	@python tests/tools/halves.py
else
	@python -m pytest $(ARGS)
endif

bench: $(STAMPS)/python $(STAMPS)/engines ## Run the benchmarks; each prints its figures as lines of JSON (ARGS="log bulk" for some rows beside peers)
	$(SAY) "Running the benchmarks beside peers and limits, for notebooks/bench.ipynb"
	@python tests/bench/bench_peers.py --save $(ARGS)
ifeq ($(ARGS),)
	$(SAY) "Running the benchmarks of the parts"
	@for bench in $(filter-out %/bench_peers.py,$(wildcard tests/bench/bench_*.py)); do echo "$$bench"; python "$$bench"; done
endif

bench-peers: $(STAMPS)/python ## Install the peers that benchmarks compare with, each into a place of its own (PEERS="trackio mlflow")
	$(SAY) "Installing peers into .tmp/bench; 2.5 GB for all"
	@python tests/bench/peers/environments.py $(PEERS)

build: $(STAMPS)/python $(STAMPS)/node $(STAMPS)/bundling ## Build the sdist, the wheel and a one-file executable into dist/, with checksums
	$(SAY) "Building the lab extension"
	@cd labextension && jlpm build:prod
	$(SAY) "Building the sdist and the wheel into dist/"
	@rm -rf dist && python -m build
	$(SAY) "Building the one-file executable into dist/"
	@python deploy/executable/build.py dist/modelbox
	@cd dist && sha256sum -- * >SHA256SUMS && cat SHA256SUMS

pictures: $(STAMPS)/python $(STAMPS)/browser ## Take the pictures of the documentation anew
	$(SAY) "Taking pictures into notebooks/pictures/"
	@python tests/tools/pictures.py

clean: ## Remove everything that these tasks made, the virtual environment included
	rm -rf .venv dist .tmp .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf labextension/node_modules labextension/lib labextension/dist labextension/*.tsbuildinfo server_ext/modelbox_server/page_files
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the tasks need, each with a stamp that says it is there ------------------------------------------------------------------------

# Runs apt-get as root, or through sudo, or says what to install: $(call apt,packages,what for)
define apt
	@if [ "$$(id -u)" = 0 ]; then run=; \
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then run=sudo; \
	else echo "$(2) needs the Debian packages $(1), and only root may install them: run 'apt-get install $(1)' as root, then this again." >&2; exit 1; fi; \
	command -v apt-get >/dev/null || { echo "$(2) needs what Debian calls $(1): install it, then run this again." >&2; exit 1; }; \
	export DEBIAN_FRONTEND=noninteractive; \
	$$run apt-get update -qq && $$run apt-get install -qq -y --no-install-recommends $(1)
endef

$(STAMPS)/venv:
	$(SAY) "Making the virtual environment .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, but '$(PYTHON)' is missing or older: install it, or say which with 'make PYTHON=…'." >&2; exit 1; }
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(MAKE) apt-venv; fi
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@mkdir -p $(STAMPS) && touch $@

.PHONY: apt-venv apt-browser apt-engines apt-bundling node-version
apt-venv:
	$(call apt,python3-venv,A virtual environment)

apt-browser:
	$(call apt,chromium fonts-dejavu-core,The browser tests)

apt-engines:
	$(call apt,postgresql mariadb-server sqlite3 haproxy nginx-light prometheus openssl fuse3,The tests of storage engines)

apt-bundling:
	$(call apt,binutils libpython$$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])'),The one-file executable)

node-version:
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)' \
		|| { echo "Node 20.19 or 22.12 or newer is needed to build the lab extension, but 'node' is $$(node --version 2>/dev/null || echo missing): install it." >&2; exit 1; }

$(STAMPS)/lab: $(STAMPS)/venv $(PACKAGE_SOURCES) $(LAB_SOURCES)
	@$(MAKE) node-version
	$(SAY) "Installing ModelBox with JupyterLab, and building its lab extension (a few minutes the first time)"
	@rm -rf labextension/dist # whatever changed, the lab extension is built from it
	@python -m pip install --quiet --editable '.[lab]'
	@touch $@

$(STAMPS)/python: $(STAMPS)/lab
	$(SAY) "Installing what tests, checks and builds need"
	@python -m pip install --quiet --group test --group check --group build
	@touch $@

$(STAMPS)/node: $(STAMPS)/python labextension/package.json labextension/yarn.lock
	$(SAY) "Installing what the lab extension is built with"
	@cd labextension && jlpm install --immutable >$(CURDIR)/$(STAMPS)/node.log || { cat $(CURDIR)/$(STAMPS)/node.log; exit 1; }
	@touch $@

$(STAMPS)/browser: $(STAMPS)/venv
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
		printf '\n==> %s\n' "Installing Chromium for the browser tests"; $(MAKE) apt-browser; }
	@touch $@

# PostgreSQL and MariaDB, SQLite's shell for backups, the load balancers of the deployment examples, promtool, and file systems in user space, for which the tests look in these folders.
$(STAMPS)/engines: $(STAMPS)/venv
	@PATH="$$PATH:/usr/sbin:$$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"; \
	for program in initdb mariadbd sqlite3 haproxy nginx promtool openssl fusermount3; do command -v $$program >/dev/null || missing=yes; done; \
	[ -z "$${missing:-}" ] || { printf '\n==> %s\n' "Installing PostgreSQL, MariaDB, HAProxy, nginx and Prometheus for the tests"; $(MAKE) apt-engines; }
	@touch $@

# PyInstaller looks into libraries with objdump, and takes the interpreter from libpython, which Debian packs apart.
$(STAMPS)/bundling: $(STAMPS)/venv
	@{ command -v objdump && python -c 'from ctypes import CDLL; from sysconfig import get_config_vars as v; CDLL(v()["INSTSONAME"])'; } >/dev/null 2>&1 || { \
		printf '\n==> %s\n' "Installing what the one-file executable is made with"; $(MAKE) apt-bundling; }
	@touch $@

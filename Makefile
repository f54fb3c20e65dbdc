# One entry for everything: people, CI and agents run these targets and nothing else.
# Needs Python 3.11 or newer, git and make. Everything is kept in .venv; nothing else is written.
# pip installs the locked sets, because it reads the user's own pip configuration (index,
# certificates, proxies), which uv does not.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup runtime demo test test-full lint fix bench docs lock clean

BIN := .venv/bin
PY := $(BIN)/python
PIP := $(PY) -m pip install --disable-pip-version-check --no-input -qq
LINTED := $(wildcard src tests bench docs/generate.py)
PYTEST := $(PY) -m pytest -n 3

# A stamp is named after what it was made from, so a changed lock file installs and an unchanged
# one costs nothing; the folder is part of it, because scripts in .venv hold its absolute path.
digest = $(shell { echo '$(CURDIR)'; cat $(1); } | git hash-object --stdin)
RUNTIME := .venv/.runtime-$(call digest,requirements/build.txt requirements/runtime.txt pyproject.toml)
DEV := .venv/.dev-$(call digest,requirements/dev.txt pyproject.toml)

help:
	@echo 'make demo       a real run on a toy project, with scripted agents'
	@echo 'make test       lint, types, contracts and the quick tests'
	@echo 'make test-full  what takes longer: every seed, every kill point'
	@echo 'make setup      .venv with everything for development'
	@echo 'make fix | lint | bench | docs | lock | clean'

setup: $(DEV)
	@sh tools/require bwrap=bubblewrap strace=strace gh=gh

runtime: $(RUNTIME)
	@sh tools/require bwrap=bubblewrap

demo: runtime
	@$(BIN)/autopack demo

test: lint
	@$(PYTEST) -m 'not slow and not full'

test-full: setup
	@$(PYTEST) -m 'slow or full'

lint: setup
	@$(BIN)/ruff format --check --quiet $(LINTED)
	@$(BIN)/ruff check --quiet $(LINTED)
	@$(PY) -m mypy $(LINTED)
	@$(BIN)/lint-imports

fix: setup
	@$(BIN)/ruff check --quiet --fix $(LINTED); $(BIN)/ruff format --quiet $(LINTED)

bench: setup
	@$(PY) -m bench

docs: setup
	@$(PY) docs/generate.py

# Needs the network; changes the locked versions. `make lock UPGRADE=--upgrade` takes newer ones.
lock: setup
	@for name in runtime dev build; do \
	  $(BIN)/uv pip compile -q --universal --generate-hashes --no-strip-extras --no-header \
	    --no-emit-index-url --python-version 3.11 $(UPGRADE) requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done

clean:
	@rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME):
	@sh tools/venv .venv
	@echo 'installing the locked runtime packages into .venv' >&2
	@$(PIP) --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) --no-index --no-deps --no-build-isolation -e .
	@rm -f .venv/.runtime-* && touch $@

$(DEV): $(RUNTIME)
	@echo 'installing the locked development packages into .venv' >&2
	@$(PIP) --require-hashes -r requirements/dev.txt
	@rm -f .venv/.dev-* && touch $@

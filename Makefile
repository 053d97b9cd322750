# thanksd: `make demo` shows it, `make test` checks it, `make help` lists the rest.
# Everything lives in .venv; nothing is installed elsewhere, except by `make install` into your home, and by `make parts`
# as root (see .ci/parts).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PIP_COMPILE := $(VENV)/tools/bin/pip-compile --quiet --no-header --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host $(UPGRADE)
ARGS ?=
EXTRAS ?=

# Settings that would send an installation somewhere else than into .venv.
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONHOME PYTHONPATH

# Debian's python3 has neither pip nor ensurepip, and `python3 -m venv` would leave half an environment behind: ask first.
define need_python
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo \
		'thanksd needs Python 3.11 or newer as $(PYTHON) (Debian: apt install python3; another one: make PYTHON=...).' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo \
		'$(PYTHON) can not make virtual environments yet (Debian: apt install python3-venv).' >&2; exit 1; }
endef

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo install uninstall test matrix parts lint types package bench keystrokes templates lock clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/make \1\t\2/p' Makefile | expand -t 16

demo: $(VENV)/runtime  ## see the main job: a meeting, a nudge, a letter
	@$(BIN)/thanksd demo

install:  ## thanksd for you, menu entry, completion, man page; again: upgraded (EXTRAS=postgres: a shared ledger's driver; EXTRAS=push: nudges on a phone)
	$(need_python)
	@$(PYTHON) -IB .ci/install.py install $(EXTRAS)

uninstall:  ## remove what make install made; your ledger, settings and templates stay
	@$(PYTHON) -IB .ci/install.py uninstall

test: parts $(VENV)/dev  ## run every test (ARGS="-k word" for some)
	$(BIN)/pytest --no-fold-skipped -n 4 --dist loadgroup $(ARGS)
	@$(BIN)/python tests/corpus_table.py

matrix: parts $(VENV)/dev  ## every kill, fault and clock case; writes docs/RELIABILITY.md
	$(BIN)/pytest --no-fold-skipped -n 3 --dist loadgroup --cells=$(VENV)/cells.json $(ARGS)
	$(BIN)/python tests/reliability.py $(VENV)/cells.json

parts:  ## the Debian packages real-part tests need: root installs them, others read the line
	@bash .ci/parts

lint: $(VENV)/dev  ## ruff: every rule but those with a reason beside them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev  ## mypy, strict
	$(BIN)/mypy --strict thanksd tests .ci/install.py

package: $(VENV)/dev  ## sdist, wheel from it, and what a stranger sees who installs that
	@PYTHON="$(PYTHON)" bash .ci/package

bench: $(VENV)/dev  ## speed, as ratios measured in one run (ARGS=burst: one part)
	$(BIN)/python tests/bench.py $(ARGS)

keystrokes: $(VENV)/dev  ## write docs/EXPERIENCE.md anew: what ten tasks cost
	$(BIN)/python tests/keystrokes.py

templates: $(VENV)/dev  ## write docs/TEMPLATES.md anew: every note that ships
	$(BIN)/python tests/templates_page.py

# pip-tools is a maintainer's tool and stays out of the locks. Run this with the oldest Python we support: what only
# that one needs (backports) is then locked too, and does no harm to newer ones. UPGRADE=--upgrade takes new versions.
lock:  ## make the five locks anew from pyproject.toml
	$(PYTHON) -m venv $(VENV)/tools
	$(VENV)/tools/bin/pip install --quiet pip-tools
	$(PIP_COMPILE) -o requirements.lock pyproject.toml
	$(PIP_COMPILE) -c requirements.lock --extra postgres -o requirements-postgres.lock pyproject.toml
	$(PIP_COMPILE) -c requirements-postgres.lock --extra push -o requirements-push.lock pyproject.toml
	$(PIP_COMPILE) -c requirements.lock --only-build-deps --build-deps-for editable -o requirements-build.lock pyproject.toml
	$(PIP_COMPILE) -c requirements-postgres.lock -c requirements-push.lock -c requirements-build.lock --extra dev --build-deps-for editable \
		-o requirements-dev.lock pyproject.toml

clean:  ## remove what make made here
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find thanksd tests migrations -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/made:
	$(need_python)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The demo needs the runtime lock and the build backend that links this checkout into .venv; no test or lint tool.
$(VENV)/runtime: requirements.lock requirements-build.lock pyproject.toml $(VENV)/made
	@echo 'Setting up $(VENV) (what thanksd needs to run; once) ...'
	@$(PIP) install --require-hashes -r requirements.lock -r requirements-build.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/runtime
	@echo 'Setting up $(VENV) (what its tests need; once) ...'
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

# One command each; every one sets up what it needs by itself.
#   make run [FACES=path]   set up, run the whole graph, serve the page        make test   set up, run the tests
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PORT ?= 8000
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: setup run test lint browser bench bench-quality

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON) found, Genga needs Python 3.11; install it (Debian: apt-get install python3.11 python3.11-venv) or pass PYTHON=..." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setup: installing the pinned packages into $(VENV) (about 2 minutes)"
	@$(BIN)/python -m pip install -q "$$(grep '^torch==' requirements.lock)"
	@$(BIN)/python -m pip install -q -r requirements.lock
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $(READY)

run: setup
ifdef FACES
	@genga import "$(FACES)"
endif
	@genga repro
	@genga serve --port $(PORT)

browser: setup
	@genga doctor --browser

test: setup browser
	@pytest

lint: setup
	@ruff check .
	@ruff format --check .
	@mypy

bench: setup
	@for promise in drawing import nearest serve store tag_speed weak_labels; do echo "bench.$$promise"; python -m bench.$$promise; done

bench-quality: setup  # an hour: trainings
	@for promise in pose_quality sketch_quality outside_drawings tagger_quality active_learning; do echo "bench.$$promise"; python -m bench.$$promise; done

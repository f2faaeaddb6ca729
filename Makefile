# One command each; every one sets up what it needs by itself.
#   make run [FACES=path]   set up, run the whole graph, serve the page        make test   set up, run the tests
#   make label-studio       set up Label Studio in an environment of its own and start it
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LABEL_VENV := .venv-label-studio
LABEL_READY := $(LABEL_VENV)/.ready
PORT ?= 8000
PEERS ?= ../peers
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: setup run label-studio label-studio-ready test test-slow test-labels lint browser bench bench-quality bench-peers

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: no $(PYTHON) found, Genga needs Python 3.11; install it (Debian: apt-get install python3.11 python3.11-venv) or pass PYTHON=..." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setup: installing the pinned packages into $(VENV) (a minute or two)"
	@# torch brings what its build needs; the rest of the lock is whole, so nothing is left to resolve, and two pips unpack side by side
	@$(BIN)/python -m pip install -q --no-compile "$$(grep '^torch==' requirements.lock)"
	@grep -v '^#\|^torch==' requirements.lock | xargs -n 66 -P 2 $(BIN)/python -m pip install -q --no-compile --no-deps
	@# all cores compile, where pip takes one
	@$(BIN)/python -m compileall -qq -j 0 -x "/tests?/" $(VENV)/lib || true  # not all that ends in .py there is Python 3
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $(READY)

ifdef FACES
# as it was written, each $ in it too
override export FACES := $(value FACES)
endif

run: setup
ifdef FACES
	@genga import "$$FACES"
endif
	@genga repro
	@genga serve --port $(PORT) --review annotations/review.jsonl

label-studio-ready: $(LABEL_READY)

label-studio: setup $(LABEL_READY)
	@genga label up

$(LABEL_READY): labeling/label-studio.lock
	@test -x $(LABEL_VENV)/bin/python || $(PYTHON) -m venv $(LABEL_VENV)
	@echo "setup: installing Label Studio into $(LABEL_VENV) (about a minute)"
	@$(LABEL_VENV)/bin/python -m pip install -q --no-deps -r labeling/label-studio.lock
	@touch $(LABEL_READY)

browser: setup
	@genga doctor --browser

test: setup browser  # in three processes of one thread each: tests of the page and of servers leave a core free every now and then
	@OMP_NUM_THREADS=1 pytest -n 3

test-slow: setup
	@OMP_NUM_THREADS=1 pytest -n 2 -m slow

test-labels: setup browser $(LABEL_READY)
	@pytest -m label_studio tests/labeling tests/flows

lint: setup
	@ruff check .
	@ruff format --check .
	@mypy

bench: setup
	@for promise in drawing drawing_kinds figures_memory import loop_speed memory nearest serve store tag_speed weak_labels; do echo "bench.$$promise"; python -m bench.$$promise; done

bench-peers: setup  # hours: beside other people's networks, whose checkouts lie in PEERS
	@for promise in train_speed gpu_speed sample_speed face_quality; do echo "bench.$$promise"; python -m bench.$$promise --peers $(PEERS); done

bench-quality: setup  # hours: trainings
	@for promise in pose_quality sketch_quality outside_drawings tagger_quality upscaler_quality active_learning collapse originals; do echo "bench.$$promise"; python -m bench.$$promise; done

# The workshop's manual: every target makes the environment it needs. PYTHON=python3.12 chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo serve test test-all lint loadtest loadtest-web overhead train configure clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# torch first: with it in place nothing else asks for another build of it. A machine without libGL gets the headless
# build of OpenCV, which is the same module.
$(VENV)/.serving: pyproject.toml clients/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) -e clients -e .
	$(BIN)/python -c "import cv2" 2>/dev/null || \
	  { $(BIN)/pip uninstall -qy opencv-python; $(PIP) opencv-python-headless; }
	touch $@

$(VENV)/.developing: $(VENV)/.serving
	$(PIP) -e clients -e ".[dev]"
	$(BIN)/python -c "import cv2" 2>/dev/null || \
	  { $(BIN)/pip uninstall -qy opencv-python; $(PIP) --force-reinstall --no-deps opencv-python-headless; }
	touch $@

demo: $(VENV)/.serving  ## start a server, send it a picture, show who was found (OUT=out)
	$(BIN)/python -m demo --out $(OUT)

serve: $(VENV)/.serving  ## serve on 127.0.0.1:8000 (HTTP), 8001 (gRPC), 8002 (metrics) until Ctrl-C
	$(BIN)/poseserve serve

test: $(VENV)/.developing  ## the tests, without the slow ones
	$(BIN)/python -m pytest -m "not slow"

test-all: $(VENV)/.developing  ## all tests
	$(BIN)/python -m pytest

lint: $(VENV)/.developing  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

loadtest: $(VENV)/.developing  ## a minute of load on a server of its own: throughput, latency, failures
	$(BIN)/python -m loadtest.run

loadtest-web: $(VENV)/.developing  ## a server and Locust's web page on http://127.0.0.1:8089, until Ctrl-C
	$(BIN)/python -m loadtest.run --web

overhead: $(VENV)/.developing  ## what the server adds to the same steps run in one process
	$(BIN)/python -m loadtest.overhead

# Otherwise glibc gives the pages of every large tensor back, and half of the time goes into faulting them in again.
train: export MALLOC_MMAP_THRESHOLD_ = 1073741824
train: export MALLOC_TRIM_THRESHOLD_ = 4294967296
train: $(VENV)/.developing  ## render scenes, train the demo networks and export them (hours; resumable)
	$(BIN)/python -m demo.dataset
	for task in detector pose parts pose_133 geometry; do $(BIN)/python -m demo.train $$task || exit 1; done
	$(BIN)/python -m demo.export

configure: $(VENV)/.serving  ## write every config.pbtxt from the catalogue
	$(BIN)/poseserve configure

clean:  ## remove the environment and what was written
	rm -rf $(VENV) out

# The workshop's manual: every target makes the environment it needs. PYTHON=python3.12 chooses the interpreter.
# CPU=1 takes the CPU build of torch where no environment has been made yet.
VENV ?= .venv
OUT ?= out
BIN := $(VENV)/bin
export VENV PYTHON CPU

.PHONY: help demo serve test test-all lint loadtest loadtest-web overhead train configure clean serving developing
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

serving developing:
	@sh scripts/environment.sh $@

demo: serving  ## start a server, send it a photograph, show who was found (PHOTO=yours.jpg OUT=out)
	$(BIN)/python -m demo --out "$(OUT)" $(if $(PHOTO),"$(PHOTO)")

serve: serving  ## serve on 127.0.0.1:8000 (HTTP), 8001 (gRPC), 8002 (metrics) until Ctrl-C
	$(BIN)/poseserve serve

test: developing  ## the tests, without the slow ones
	$(BIN)/python -m pytest -m "not slow"

test-all: developing  ## all tests
	$(BIN)/python -m pytest

lint: developing  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for step in preprocess/*/1; do $(BIN)/mypy $$step || exit 1; done  # each has a model.py

loadtest: developing  ## a minute of load on a server of its own: throughput, latency, failures
	$(BIN)/python -m loadtest.run

loadtest-web: developing  ## a server and Locust's web page on http://127.0.0.1:8089, until Ctrl-C
	$(BIN)/python -m loadtest.run --web

overhead: developing  ## what the server adds to the same steps run in one process
	$(BIN)/python -m loadtest.experiments.overhead

# Otherwise glibc gives the pages of every large tensor back, and half of the time goes into faulting them in again.
train: export MALLOC_MMAP_THRESHOLD_ = 1073741824
train: export MALLOC_TRIM_THRESHOLD_ = 4294967296
train: developing  ## render scenes, train the demo networks and export them (hours; resumable)
	$(BIN)/python -m demo.dataset
	for task in detector pose parts pose_133 geometry; do $(BIN)/python -m demo.train $$task || exit 1; done
	$(BIN)/python -m demo.export

configure: serving  ## write every config.pbtxt from the catalogue
	$(BIN)/poseserve configure --root .

clean:  ## remove the environment and what was written
	rm -rf $(VENV) out

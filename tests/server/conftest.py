"""Small model repositories without torch, so that a server starts in a second."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ECHO = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        answers = [pb_utils.Tensor("OUT", request.inputs()[0].as_numpy()) for request in requests]
        return [pb_utils.InferenceResponse([answer]) for answer in answers]
"""
REFUSING = """
class TritonPythonModel:
    def initialize(self, args):
        raise ValueError("this model has its reasons")
"""
BLOCKING = """
from pathlib import Path


class TritonPythonModel:
    def initialize(self, args):
        Path(__file__).with_name("gate").read_bytes()
"""
GATED = """
from pathlib import Path

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        Path(__file__).with_name("gate").read_bytes()
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", r.inputs()[0].as_numpy())]) for r in requests]
"""
TENSORS = """
input { name: "IN" data_type: TYPE_STRING dims: 1 }
output { name: "OUT" data_type: TYPE_STRING dims: 1 }
"""
ENSEMBLE = """
name: "everything"
platform: "ensemble"
input { name: "IMAGE" data_type: TYPE_STRING dims: 1 }
output { name: "ECHO" data_type: TYPE_STRING dims: 1 }
ensemble_scheduling { step {
  model_name: "echo" model_version: -1
  input_map { key: "IN" value: "IMAGE" } output_map { key: "OUT" value: "ECHO" }
} }
"""


def write_model(repository: Path, name: str, source: str) -> Path:
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(f'name: "{name}" backend: "python" {TENSORS}', encoding="utf-8")
    (folder / "1" / "model.py").write_text(source, encoding="utf-8")
    return folder / "1"


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """A repository with one Python model that returns what it gets."""
    write_model(tmp_path / "steps", "echo", ECHO)
    return tmp_path / "steps"


@pytest.fixture
def ensembles(tmp_path: Path) -> Path:
    """A repository with one ensemble, for a server of `steps`."""
    folder = tmp_path / "ensembles" / "everything"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(ENSEMBLE, encoding="utf-8")
    return tmp_path / "ensembles"


@pytest.fixture
def refusing(tmp_path: Path) -> Path:
    """A repository with a model that does not load."""
    write_model(tmp_path / "refusing", "refusing", REFUSING)
    return tmp_path / "refusing"


@pytest.fixture
def loading_gate(tmp_path: Path) -> Path:
    """A named pipe in a model: opening it for writing waits until the model is loading, closing lets that go on."""
    return _gate(tmp_path / "blocking", "blocking", BLOCKING)


@pytest.fixture
def answering_gate(tmp_path: Path) -> Path:
    """The same for a request to the model `gated`."""
    return _gate(tmp_path / "gated", "gated", GATED)


def _gate(repository: Path, name: str, source: str) -> Path:
    path = write_model(repository, name, source) / "gate"
    os.mkfifo(path)
    return path

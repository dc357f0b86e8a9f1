"""Python models that need no torch, and their folders in a model repository."""

from __future__ import annotations

from pathlib import Path

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

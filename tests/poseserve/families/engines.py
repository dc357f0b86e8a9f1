"""A network in the files that Triton gets, and what each engine makes of them, without a server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import torch

from poseserve.catalogue import Network
from poseserve.deployment import Deployment
from poseserve.export.onnx import export_onnx
from poseserve.export.torchscript import export
from poseserve.networks import build

ENGINES = ("torch", "onnxruntime", "openvino")


def write_files(network: Network, checkpoint: Path, folder: Path) -> Path:
    """The folder, with the network as TorchScript and as ONNX."""
    for write, name in ((export, "model.pt"), (export_onnx, "model.onnx")):
        write(build.load(network, checkpoint, Deployment()), build.example(network), folder / name)
    return folder


def answer(engine: str, files: Path, *inputs: np.ndarray) -> torch.Tensor:
    """What one of ENGINES answers to the inputs of the contract."""
    if engine == "torch":
        with torch.inference_mode():
            return torch.jit.load(files / "model.pt")(*map(torch.from_numpy, inputs))
    named = {f"INPUT__{number}": array for number, array in enumerate(inputs)}
    if engine == "onnxruntime":
        session = onnxruntime.InferenceSession(files / "model.onnx", providers=["CPUExecutionProvider"])
        return torch.from_numpy(session.run(None, named)[0])
    options = {"INFERENCE_PRECISION_HINT": "f32"}  # else it is half precision where the processor has that
    model = openvino.Core().compile_model(files / "model.onnx", "CPU", options)
    return torch.from_numpy(model(named)[0].copy())

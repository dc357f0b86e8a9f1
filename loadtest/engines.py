"""`python -m loadtest.engines`: one network on every engine that this machine has, without a server.

TorchScript, ONNX Runtime, OpenVINO and AOTInductor, all cores each, in turns in one run; random weights. What
`poseserve tune` picks should be within 5 % of the best of its precision.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import torch
from openvino.properties import hint
from torch import nn

from loadtest.filled import filled_checkpoint
from loadtest.turns import times_in_turns
from poseserve import zoo
from poseserve.catalogue import CATALOGUE, Network
from poseserve.repository import Deployment
from poseserve.tune import exporting

Call = Callable[[], object]


def engines(network: Network, arrays: tuple[np.ndarray, ...], folder: Path) -> Iterator[tuple[str, Call]]:
    """Name and call of each, all with the same arrays: a batch of the contract's inputs."""
    export = exporting(network, filled_checkpoint(network, folder))
    tensors = [torch.from_numpy(array) for array in arrays]

    def exported(deployment: Deployment) -> str:
        return str(export(deployment, folder / deployment.precision))

    def of_torch(module: Callable[..., torch.Tensor]) -> Call:
        def call() -> object:
            with torch.inference_mode():
                return module(*tensors)

        return call

    def of_openvino(precision: openvino.Type) -> Call:
        model = openvino.Core().compile_model(file, "CPU", dict([hint.inference_precision(precision)]))
        request = model.create_infer_request()
        return lambda: request.infer(list(arrays))

    for precision in ("fp32", "bf16"):
        deployment = Deployment(precision=precision)
        yield f"TorchScript {precision}", of_torch(torch.jit.load(exported(deployment)))
        yield f"AOTInductor {precision}", of_torch(_compiled(zoo.build(network), network, precision, folder))
    file = exported(Deployment(format="onnx"))
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in session.get_inputs()]
    yield "ONNX Runtime fp32", lambda: session.run(None, dict(zip(names, arrays, strict=True)))
    yield "OpenVINO fp32", of_openvino(openvino.Type.f32)
    yield "OpenVINO bf16", of_openvino(openvino.Type.bf16)


def _compiled(bare: nn.Module, network: Network, precision: str, folder: Path) -> Callable[..., torch.Tensor]:
    """The network alone: what its contract adds is small."""
    dtype = zoo.DTYPES[precision]
    example = torch.zeros(2, 3, *network.input_size, dtype=dtype)
    with torch.no_grad():
        rows = torch.export.Dim("rows", max=64)
        program = torch.export.export(bare.to(dtype), (example,), dynamic_shapes=({0: rows},))
        package = torch._inductor.aoti_compile_and_package(program, package_path=str(folder / f"{precision}.pt2"))
    runner = torch._inductor.aoti_load_package(package)
    return lambda images, *_: runner(images.permute(0, 3, 1, 2).to(dtype).contiguous())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="vitpose-s-coco_25")
    parser.add_argument("--rows", type=int, default=4)
    args = parser.parse_args()
    network = CATALOGUE[args.network]
    arrays = tuple(x.numpy().repeat(args.rows, 0) for x in zoo.example(network))
    with tempfile.TemporaryDirectory() as folder:
        ways = dict(engines(network, arrays, Path(folder)))
        times = times_in_turns(ways, warm_up=3, rounds=5, requests=3)
    rates = {name: args.rows / np.median(values) * 1000 for name, values in times.items()}
    print(f"{network.name}, {args.rows} rows a call, {len(os.sched_getaffinity(0))} cores")
    for name, rate in sorted(rates.items(), key=lambda item: -item[1]):
        print(f"{name:20} {rate:8.1f} rows/s")


if __name__ == "__main__":
    main()

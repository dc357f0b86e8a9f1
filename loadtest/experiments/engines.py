"""`python -m loadtest.experiments.engines`: one network on every engine that this CPU has, and what
`poseserve tune` picks.

TorchScript, AOTInductor, ONNX Runtime and OpenVINO do the same work, normalisation and decoding included, in one
process, with the instances and threads that tune tries through Triton, in turns in one run; random weights.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import torch
from numpy.typing import NDArray
from openvino.properties import hint, inference_num_threads
from torch import Tensor, nn

from loadtest.experiments.random_weights import random_checkpoint, tuned_deployment
from loadtest.experiments.turns import (
    CORES,
    Variant,
    Worker,
    check_equal,
    instances_and_threads,
    median_ratio,
    restart_with_server_environment,
)
from poseclient.columns import columns
from poseserve import tune
from poseserve.catalogue import CATALOGUE, Network
from poseserve.deployment import PRECISIONS, Deployment
from poseserve.networks import build

TITLES = {"torchscript": "TorchScript", "onnx": "ONNX Runtime", "openvino": "OpenVINO"}

Arrays = Sequence[NDArray[Any]]
Inference = Callable[[], NDArray[Any]]  # of one batch
Engine = Callable[[int], Inference]  # one for each worker, with so many threads


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.experiments.engines", description=__doc__)
    parser.add_argument("--network", default="vitpose-s-coco_25", help="of the catalogue, with random weights")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS[:2], default=PRECISIONS[:2])
    parser.add_argument("--rows", type=int, default=4, help="of a batch")
    parser.add_argument("--seconds", type=float, default=2, help="of a turn")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    if torch.cuda.is_available():
        parser.error("these are engines of a CPU: hide the GPU, CUDA_VISIBLE_DEVICES=")
    restart_with_server_environment("loadtest.experiments.engines", argv)
    network = CATALOGUE[arguments.network]
    picked = tuned_deployment(network.name, tune.engines(arguments.precision))
    arrays = [x.numpy().repeat(arguments.rows, 0) for x in build.example(network)]
    with tempfile.TemporaryDirectory(prefix="poseserve-engines-") as folder:
        variants = [v for p in arguments.precision for v in variants_of(network, p, arrays, Path(folder, p))]
        rates: dict[str, list[float]] = {variant.name: [] for variant in variants}
        for _ in range(arguments.rounds):
            for variant in variants:
                rates[variant.name].append(variant.rate(arguments.seconds))
    pick = variant_name(f"{TITLES[picked.format]} {picked.precision}", picked.instances, picked.threads)
    print(f"\n{network.name}, {arguments.rows} rows a batch, {CORES} cores")
    print(columns(summary(rates, pick), left=1))
    return 0


def variants_of(network: Network, precision: str, arrays: Arrays, folder: Path) -> Iterator[Variant]:
    """Every engine of that precision with every number of workers and threads. RuntimeError when the output of one
    differs from TorchScript's."""
    found = {f"{title} {precision}": engine for title, engine in engines(network, precision, arrays, folder)}
    torch.set_num_threads(CORES)
    expected, *others = (comparable(network, engine(CORES)()) for engine in found.values())
    for output in others:
        check_equal(output, expected)
    for title, engine in found.items():
        for workers, threads in instances_and_threads(CORES):
            inferences = [engine(threads) for _ in range(workers)]
            yield Variant(variant_name(title, workers, threads), [_worker(infer) for infer in inferences], threads)


def _worker(infer: Inference) -> Worker:
    return lambda: len(infer())


def variant_name(engine: str, workers: int, threads: int) -> str:
    """As the table has it."""
    return f"{engine}, {workers} x {threads} threads"


def comparable(network: Network, output: NDArray[Any]) -> NDArray[Any]:
    """The numbers of an output that must be equal: of keypoints their positions."""
    return output[..., :2] if network.task == "pose" else output


def summary(rates: dict[str, list[float]], pick: str) -> list[tuple[str, ...]]:
    """Rows of the table, the fastest first: the median rate of each, and its share of the best; then that of `pick`."""
    order = sorted(rates, key=lambda name: -np.median(rates[name]))
    share = {name: f"{median_ratio(rates[name], rates[order[0]]):.3f}" for name in order}
    rows = [(name, f"{np.median(rates[name]):.1f}", share[name]) for name in order]
    return [("", "rows/s", "of the best"), *rows, (f"what tune picks: {pick}", "", share[pick])]


def engines(network: Network, precision: str, arrays: Arrays, folder: Path) -> Iterator[tuple[str, Engine]]:
    """By title; all with the same `arrays`, a batch of the contract's inputs. ONNX Runtime has no bf16 on a CPU."""
    folder.mkdir()
    checkpoint = random_checkpoint(network, folder)
    export = tune.exporting(network, checkpoint)
    tensors = [torch.from_numpy(array) for array in arrays]
    deployment = Deployment(precision=precision)

    def of_torch(module: Callable[..., Tensor]) -> Inference:
        def infer() -> NDArray[Any]:
            with torch.inference_mode():
                return module(*tensors).numpy()

        return infer

    def of_onnxruntime(threads: int) -> Inference:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        inputs = dict(zip((tensor.name for tensor in session.get_inputs()), arrays, strict=True))
        return lambda: session.run(None, inputs)[0]

    def of_openvino(threads: int) -> Inference:
        kind = openvino.Type.bf16 if precision == "bf16" else openvino.Type.f32
        properties = [hint.inference_precision(kind), inference_num_threads(threads), hint.enable_cpu_pinning(False)]
        request = openvino.Core().compile_model(onnx, "CPU", dict(properties)).create_infer_request()
        return lambda: request.infer(list(arrays))[0]

    module = torch.jit.load(str(export(deployment, folder)))
    yield TITLES["torchscript"], lambda _: of_torch(module)
    package = _package(build.load(network, checkpoint, deployment).get_submodule("network"), network, precision, folder)

    def of_package(_: int) -> Inference:
        contract = build.load(network, checkpoint, deployment)
        contract.network = _Packaged(package)
        return of_torch(contract)

    yield "AOTInductor", of_package
    onnx = str(export(Deployment(format="onnx"), folder))
    if precision == "fp32":
        yield TITLES["onnx"], of_onnxruntime
    yield TITLES["openvino"], of_openvino


def _package(bare: nn.Module, network: Network, precision: str, folder: Path) -> str:
    example = torch.zeros(2, 3, *network.input_size, dtype=build.DTYPES[precision])
    with torch.no_grad():
        program = torch.export.export(bare, (example,), dynamic_shapes=({0: torch.export.Dim("rows", max=64)},))
    settings = {"cpp.dynamic_threads": True}  # otherwise as many as while it is compiled
    return torch._inductor.aoti_compile_and_package(
        program, package_path=str(folder / "network.pt2"), inductor_configs=settings
    )


class _Packaged(nn.Module):
    """A network compiled by AOTInductor, in the network's place. It runs one batch at a time."""

    def __init__(self, package: str) -> None:
        super().__init__()
        self.run = torch._inductor.aoti_load_package(package)

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.run(images.contiguous())
        return output


if __name__ == "__main__":
    sys.exit(main())

"""`python -m loadtest.engines`: one network on every engine that this CPU has, and what `poseserve tune` picks.

TorchScript, AOTInductor, ONNX Runtime and OpenVINO do the same work, normalisation and decoding with it, in one
process, in every layout that tune tries through Triton, in turns in one run; random weights.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import torch
from openvino.properties import hint, inference_num_threads
from torch import Tensor, nn

from loadtest.filled import fastest, filled_checkpoint
from loadtest.turns import CORES, Call, Way, as_the_server, check_equal, paired, shares
from poseclient.columns import columns
from poseserve import tune
from poseserve.catalogue import CATALOGUE, Network
from poseserve.deployment import PRECISIONS, Deployment
from poseserve.networks import build

NAMES = {"torchscript": "TorchScript", "onnx": "ONNX Runtime", "openvino": "OpenVINO"}

Run = Callable[[], np.ndarray]
Engine = Callable[[int], Run]  # a run of its own for each call, with so many threads
Arrays = Sequence[np.ndarray]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.engines", description=__doc__)
    parser.add_argument("--network", default="vitpose-s-coco_25", help="of the catalogue, with random weights")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS[:2], default=PRECISIONS[:2])
    parser.add_argument("--rows", type=int, default=4, help="of a call")
    parser.add_argument("--seconds", type=float, default=2, help="of a turn")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    if torch.cuda.is_available():
        parser.error("these are engines of a CPU: hide the GPU, CUDA_VISIBLE_DEVICES=")
    as_the_server("loadtest.engines", argv)
    network = CATALOGUE[arguments.network]
    picked = fastest(network.name, tune.engines(arguments.precision))
    arrays = [x.numpy().repeat(arguments.rows, 0) for x in build.example(network)]
    with tempfile.TemporaryDirectory(prefix="poseserve-engines-") as folder:
        ways = [way for p in arguments.precision for way in ways_of(network, p, arrays, Path(folder, p))]
        rates: dict[str, list[float]] = {way.name: [] for way in ways}
        for _ in range(arguments.rounds):
            for way in ways:
                rates[way.name].append(way.rate(arguments.seconds))
    pick = name(f"{NAMES[picked.format]} {picked.precision}", picked.instances, picked.threads)
    print(f"\n{network.name}, {arguments.rows} rows a call, {CORES} cores")
    print(columns(summary(rates, pick), left=1))
    return 0


def ways_of(network: Network, precision: str, arrays: Arrays, folder: Path) -> Iterator[Way]:
    """Every engine of that precision in every layout. RuntimeError when one answers otherwise than TorchScript."""
    found = {f"{engine} {precision}": run_of for engine, run_of in engines(network, precision, arrays, folder)}
    torch.set_num_threads(CORES)
    expected, *others = (numbers(network, run_of(CORES)()) for run_of in found.values())
    for answer in others:
        check_equal(answer, expected)
    for engine, run_of in found.items():
        for calls, threads in shares(CORES):
            runs = [run_of(threads) for _ in range(calls)]
            yield Way(name(engine, calls, threads), [_counting(run) for run in runs], threads)


def _counting(run: Run) -> Call:
    return lambda: len(run())


def name(engine: str, calls: int, threads: int) -> str:
    return f"{engine}, {calls} x {threads} threads"


def numbers(network: Network, answer: np.ndarray) -> np.ndarray:
    """Of an answer what must be equal: of keypoints their places."""
    return answer[..., :2] if network.task == "pose" else answer


def summary(rates: dict[str, list[float]], pick: str) -> list[tuple[str, ...]]:
    """Rows of the table, the fastest first: the median rate of each, and its share of the best; then that of `pick`."""
    order = sorted(rates, key=lambda way: -np.median(rates[way]))
    share = {way: f"{paired(rates[way], rates[order[0]]):.3f}" for way in order}
    rows = [(way, f"{np.median(rates[way]):.1f}", share[way]) for way in order]
    return [("", "rows/s", "of the best"), *rows, (f"what tune picks: {pick}", "", share[pick])]


def engines(network: Network, precision: str, arrays: Arrays, folder: Path) -> Iterator[tuple[str, Engine]]:
    """All with the same `arrays`, a batch of the contract's inputs. ONNX Runtime has no bf16 on a CPU."""
    folder.mkdir()
    checkpoint = filled_checkpoint(network, folder)
    export = tune.exporting(network, checkpoint)
    tensors = [torch.from_numpy(array) for array in arrays]
    deployment = Deployment(precision=precision)

    def of_torch(module: Callable[..., Tensor]) -> Run:
        def run() -> np.ndarray:
            with torch.inference_mode():
                return module(*tensors).numpy()

        return run

    def of_onnxruntime(threads: int) -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        inputs = dict(zip((tensor.name for tensor in session.get_inputs()), arrays, strict=True))
        return lambda: session.run(None, inputs)[0]

    def of_openvino(threads: int) -> Run:
        kind = openvino.Type.bf16 if precision == "bf16" else openvino.Type.f32
        properties = [hint.inference_precision(kind), inference_num_threads(threads), hint.enable_cpu_pinning(False)]
        request = openvino.Core().compile_model(onnx, "CPU", dict(properties)).create_infer_request()
        return lambda: request.infer(list(arrays))[0]

    module = torch.jit.load(str(export(deployment, folder)))
    yield NAMES["torchscript"], lambda _: of_torch(module)
    package = _package(build.load(network, checkpoint, deployment).get_submodule("network"), network, precision, folder)

    def of_package(_: int) -> Run:
        contract = build.load(network, checkpoint, deployment)
        contract.network = _Packaged(package)
        return of_torch(contract)

    yield "AOTInductor", of_package
    onnx = str(export(Deployment(format="onnx"), folder))
    if precision == "fp32":
        yield NAMES["onnx"], of_onnxruntime
    yield NAMES["openvino"], of_openvino


def _package(bare: nn.Module, network: Network, precision: str, folder: Path) -> str:
    example = torch.zeros(2, 3, *network.input_size, dtype=build.DTYPES[precision])
    with torch.no_grad():
        program = torch.export.export(bare, (example,), dynamic_shapes=({0: torch.export.Dim("rows", max=64)},))
    settings = {"cpp.dynamic_threads": True}  # otherwise as many as while it is compiled
    return torch._inductor.aoti_compile_and_package(
        program, package_path=str(folder / "network.pt2"), inductor_configs=settings
    )


class _Packaged(nn.Module):
    """What AOTInductor made of a network, in the network's place. It runs one batch at a time."""

    def __init__(self, package: str) -> None:
        super().__init__()
        self.run = torch._inductor.aoti_load_package(package)

    def forward(self, images: Tensor) -> Tensor:
        return self.run(images.contiguous())


if __name__ == "__main__":
    sys.exit(main())

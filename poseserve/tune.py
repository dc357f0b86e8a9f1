"""What serves a network fastest on this machine, measured through Triton itself: `poseserve tune`."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import tritonclient.grpc

from poseserve import zoo
from poseserve.catalogue import Network
from poseserve.config import network_files
from poseserve.install import exporter
from poseserve.repository import FORMATS, Deployment, Installed
from poseserve.server import Server

DELAYS_US = (0, 500, 2000)
WORTH = 1.02  # a delay must be that much faster: it costs the requests that come alone
SECONDS = 4.0


def engines(precisions: Collection[str]) -> list[Deployment]:
    """The engines that this machine has, in these precisions."""
    wanted = [Deployment(precision=p) for p in precisions]
    if not torch.cuda.is_available():
        if find_spec("onnxruntime") and "fp32" in precisions:
            wanted.append(Deployment(format="onnx"))
        if find_spec("openvino") and "bf16" in precisions:
            wanted.append(Deployment(format="openvino", precision="bf16"))
    return wanted


def layouts(deployment: Deployment, cores: int) -> Iterator[Deployment]:
    """Instances and threads that share the cores, instances x threads <= cores; on a GPU one to three instances."""
    if torch.cuda.is_available():
        yield from (replace(deployment, instances=n) for n in (1, 2, 3))
        return
    instances = 1
    while instances <= cores:
        yield replace(deployment, instances=instances, threads=cores // instances)
        instances *= 2


def exporting(network: Network, checkpoint: Path) -> Callable[[Deployment, Path], Path]:
    """A function that writes the model file for a deployment below a folder, and returns its path."""

    def exported(deployment: Deployment, folder: Path) -> Path:
        file = folder / FORMATS[deployment.format]
        exporter(deployment.format)(zoo.load(network, checkpoint, deployment), zoo.example(network), file)
        return file

    return exported


def tune(
    network: Network,
    exported: Callable[[Deployment, Path], Path],
    candidates: Iterable[Deployment],
    people: int,
    say: Callable[[str], None] = print,
) -> Deployment:
    """The fastest deployment: first of engines, instances and threads by requests of `people` rows, then of delays by
    requests of one row. exported: see `exporting`."""
    cores = len(os.sched_getaffinity(0))
    best, most = Deployment(), 0.0
    with tempfile.TemporaryDirectory(prefix="poseserve-tune-") as folder:
        for engine in candidates:
            file = exported(engine, Path(folder) / f"{engine.format}-{engine.precision}")
            for deployment in layouts(engine, cores):
                rate = throughput(Installed(network, deployment), file, people, 2 * deployment.instances)
                say(f"{describe(deployment)}: {rate:.1f} rows/s")
                if rate > most:
                    best, most, best_file = deployment, rate, file
        most = 0.0
        for delay in DELAYS_US:
            deployment = replace(best, delay_us=delay)
            rate = throughput(Installed(network, deployment), best_file, 1, 8 * best.instances)
            say(f"{describe(deployment)}, single rows: {rate:.1f} rows/s")
            if rate > WORTH * most:
                chosen, most = deployment, rate
    return chosen


def describe(deployment: Deployment) -> str:
    """Its options of `poseserve add`."""
    options = {
        "--format": deployment.format,
        "--precision": deployment.precision,
        "--instances": deployment.instances,
        "--threads": deployment.threads,
        "--delay-us": deployment.delay_us,
    }
    return " ".join(f"{name} {value}" for name, value in options.items() if value)


def throughput(installed: Installed, file: Path, rows: int, callers: int) -> float:
    """Rows per second that a server of this network alone answers, `callers` requests of `rows` rows on their way."""
    name = installed.network.name
    with tempfile.TemporaryDirectory(prefix="poseserve-tune-") as root:
        folder = Path(root) / name
        for path, content in network_files(installed, folder).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / "1").symlink_to(file.parent)
        arrays = [x.numpy().repeat(rows, 0) for x in zoo.example(installed.network)]
        with Server([Path(root)], http_port=0, grpc_port=0, metrics_port=0) as server:
            return _load(server.grpc_url, name, arrays, callers, SECONDS)


def _load(url: str, name: str, arrays: list[np.ndarray], callers: int, seconds: float) -> float:
    tensors = []
    for i, array in enumerate(arrays):
        tensor = tritonclient.grpc.InferInput(f"INPUT__{i}", list(array.shape), "UINT8" if i == 0 else "FP32")
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    with tritonclient.grpc.InferenceServerClient(url) as client, ThreadPoolExecutor(callers) as pool:
        list(pool.map(lambda _: client.infer(name, tensors), range(2 * callers)))  # sizes of batches not seen before
        began = time.perf_counter()

        def call(_: int) -> int:
            answered = 0
            while time.perf_counter() < began + seconds:
                client.infer(name, tensors)
                answered += len(arrays[0])
            return answered

        answered = sum(pool.map(call, range(callers)))
        return answered / (time.perf_counter() - began)

"""What serves a network fastest on this machine, measured through Triton itself: `poseserve tune`."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import tritonclient.grpc
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from poseserve.catalogue import Network
from poseserve.deployment import INSTALL, Deployment
from poseserve.errors import InputError, PoseserveError
from poseserve.networks import build
from poseserve.repository.config import network_config, network_files
from poseserve.repository.install import write_model
from poseserve.repository.installed import Installed
from poseserve.serving.server import scratch_server

DELAYS_US = (0, 500, 2000)
WORTH = 1.02  # a delay must be that much faster: it costs the requests that come alone
SECONDS = 3.0
PACKAGES = {"onnx": ("onnxruntime", "fp32"), "openvino": ("openvino", "bf16")}  # of an engine, and its precision


def engines(precisions: Collection[str], installed: Deployment | None = None) -> list[Deployment]:
    """The engines that this machine has and that of `installed`, in these precisions; its other options stay."""
    installed = installed or Deployment()
    wanted = [("torchscript", p) for p in precisions]
    if not torch.cuda.is_available():
        for engine, (package, precision) in PACKAGES.items():
            if find_spec(package) and precision in precisions and not (engine == "openvino" and installed.gpus):
                wanted.append((engine, precision))
    if installed.precision in precisions:
        wanted.append((installed.format, installed.precision))
    return [
        replace(installed, format=f, precision=p, accelerator=installed.accelerator if f == "onnx" else "")
        for f, p in dict.fromkeys(wanted)
    ]


def not_tried(precisions: Collection[str]) -> list[str]:
    """A line for each engine that often wins on CPUs and whose packages this machine lacks."""
    if torch.cuda.is_available():
        return []
    return [
        f"not tried: --format {engine} --precision {precision}, for {package} is missing: {INSTALL.format(engine)}"
        for engine, (package, precision) in PACKAGES.items()
        if precision in precisions and not find_spec(package)
    ]


def layouts(deployment: Deployment, cores: int) -> Iterator[Deployment]:
    """Instances and threads that share the cores, instances x threads <= cores; on a GPU one to three instances."""
    if torch.cuda.is_available():
        yield from (replace(deployment, instances=n) for n in (1, 2, 3))
        return
    instances = 1
    while instances <= cores:
        yield replace(deployment, instances=instances, threads=cores // instances)
        instances *= 2


def exporting(network: Network, checkpoint: Path, config: str = "") -> Callable[[Deployment, Path], Path]:
    """A function that writes the model file for a deployment below a folder, and returns its path. config: path of that
    of an mmdet detector."""

    def exported(deployment: Deployment, folder: Path) -> Path:
        return write_model(Installed(network, deployment, config=config), checkpoint, folder, say=lambda text: None)

    return exported


def tune(
    network: Network,
    exported: Callable[[Deployment, Path], Path],
    candidates: Sequence[Deployment],
    people: int,
    say: Callable[[str], None] = print,
) -> Deployment:
    """The fastest deployment: first of engines, instances and threads by requests of `people` rows, or as many as the
    network takes, then of delays by requests of one row. All of them get the same load, and the best two meet again.

    exported: see `exporting`. candidates: engines for one network, see `engines`. Those that cannot serve it are passed
    over; ValueError when none can.
    """
    cores = len(os.sched_getaffinity(0))
    installed = Installed(network, candidates[0])
    rows = min(people, installed.max_batch_size)
    crowd = callers(installed, rows, cores)
    files: dict[tuple[str, str], Path] = {}
    rates: dict[Deployment, float] = {}

    def measure(deployment: Deployment, rows: int, callers: int, note: str = "") -> float:
        file = files[deployment.format, deployment.precision]
        rate = throughput(Installed(network, deployment), file, rows, callers)
        say(f"{describe(deployment)}{note}: {rate:.1f} rows/s")
        return rate

    with tempfile.TemporaryDirectory(prefix="poseserve-tune-") as folder:
        for engine in candidates:
            key = engine.format, engine.precision
            try:
                files[key] = exported(engine, Path(folder) / "-".join(key))
                for deployment in layouts(engine, cores):
                    rates[deployment] = measure(deployment, rows, crowd)
            except (PoseserveError, ValueError, InferenceServerException) as error:
                say(f"{engine.format} {engine.precision}: {error}")
        if not rates:
            raise InputError(f"no engine can serve {network.name}")
        best, *others = sorted(rates, key=lambda d: -rates[d])[:2]
        if others:  # one sample may be luck; in this order a machine that slows down is fair to both
            turns = [best, *others, *others, best]
            sums = dict.fromkeys(turns, 0.0)
            for deployment in turns:
                sums[deployment] += measure(deployment, rows, crowd, ", again")
            best = max(sums, key=lambda d: sums[d])
        most = 0.0
        for delay in DELAYS_US:
            deployment = replace(best, delay_us=delay)
            rate = measure(deployment, 1, 8 * best.instances, ", single rows")
            if rate > WORTH * most:
                chosen, most = deployment, rate
    return chosen


def callers(installed: Installed, rows: int, cores: int) -> int:
    """Requests of `rows` rows to keep on their way, whatever the layout: as many as give each instance of the one with
    the most instances a batch that is as large as Triton aims at, and another that waits."""
    *_, widest = layouts(installed.deployment, cores)
    aims = network_config(installed).dynamic_batching.preferred_batch_size or [installed.max_batch_size]
    batch, devices = aims[0], 1
    if torch.cuda.is_available():
        batch, devices = aims[-1], len(widest.gpus) or torch.cuda.device_count()
    return int(2 * math.ceil(batch / rows) * widest.instances * devices)


def describe(deployment: Deployment) -> str:
    """Its options of `poseserve add`: engine and instances, and what else differs from the defaults."""
    words = []
    for field in fields(Deployment):
        value = getattr(deployment, field.name)
        if value != field.default or field.name in ("precision", "format", "instances"):
            words.append(f"--{field.name.replace('_', '-')}")
            if value is not True:
                words.append(",".join(map(str, value)) if isinstance(value, tuple) else str(value))
    return " ".join(words)


def throughput(installed: Installed, file: Path, rows: int, callers: int) -> float:
    """Rows per second that a server of this network alone answers, `callers` requests of `rows` rows on their way."""
    name = installed.network.name
    with tempfile.TemporaryDirectory(prefix="poseserve-tune-") as root:
        folder = Path(root) / name
        for path, content in network_files(installed, folder).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / "1").symlink_to(file.parent)
        arrays = [x.numpy().repeat(rows, 0) for x in build.example(installed.network)]
        with scratch_server([Path(root)]) as server:
            return _load(server.grpc_url, name, arrays, callers, SECONDS)


def _load(url: str, name: str, arrays: list[NDArray[Any]], callers: int, seconds: float) -> float:
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

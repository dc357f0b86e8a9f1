"""`python -m loadtest.experiments.gpu`: the speed of the Sapiens networks on one GPU, alone and through the server, in
ten minutes.

Weights are random and everything is in bfloat16. Speeds are shares of what the same GPU reaches in large matrix
products in the same run. What was not reached in time, or failed, is in the table as not measured.
"""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from demo.evaluate import evaluation_scene
from loadtest.experiments.random_weights import repository_with_random_weights
from poseclient import AsyncPoseClient
from poseclient.columns import columns
from poseserve.catalogue import CATALOGUE, Network
from poseserve.deployment import Deployment
from poseserve.export.torchscript import export
from poseserve.networks import build
from poseserve.repository.config import write_configs
from poseserve.repository.installed import Installed, Repository
from poseserve.serving.server import Server

SECONDS = 540  # for everything; then a server may have to be stopped
POSE = CATALOGUE["sapiens-1b-pose-308"]
NETWORKS = (
    CATALOGUE["sapiens-0.3b-pose-308"],
    POSE,
    CATALOGUE["sapiens-1b-parts"],
    CATALOGUE["sapiens-0.6b-pose-308"],
    replace(POSE, name="sapiens-2b-pose-308", size="2b", checkpoint=None),  # the catalogue has other keypoints of it
)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
BATCH = 8  # at which compilers are compared
PEOPLE, IN_FLIGHT = 16, 64  # crops of one pose request, of all requests at a time
LOAD_SECONDS = 10.0  # of them
BYTES = {"UINT8": 1, "FP16": 2, "FP32": 4}
HEADER = ("network", "TFLOP", "variant", "batch", "crops/s", "TFLOP/s", "of matmul", "of alone", "kB to GPU", "kB back")


@dataclass(frozen=True)
class Measurement:
    """A row of the table. crops: per second, None if not measured, for the reason `why`. batch: crops at a time; of the
    server in flight."""

    network: str
    variant: str
    batch: int | None = None
    crops: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Benchmark:
    """What yields measurements, and the seconds that it may take."""

    network: str
    variant: str
    seconds: float
    measure: Callable[[], Iterable[Measurement]]


class OutOfTime(KeyboardInterrupt):
    """No `except` on its way stops it: code that waits for a server goes on after an OSError, asyncio after nearly any
    Exception."""


def run(benchmarks: Sequence[Benchmark], seconds: float) -> list[Measurement]:
    """All measurements; of a benchmark that failed or ran out of its time, those before and one that says so."""
    deadline, found = time.monotonic() + seconds, []
    for benchmark in benchmarks:
        try:
            with torch.no_grad(), time_limit(min(benchmark.seconds, deadline - time.monotonic())):
                for measurement in benchmark.measure():
                    found.append(measurement)
        except (Exception, OutOfTime) as error:  # whatever it is, the other benchmarks can still run
            why = (str(error).splitlines() or [""])[0][:80]
            found.append(Measurement(benchmark.network, benchmark.variant, why=why or type(error).__name__))
        gc.collect()
        torch.cuda.empty_cache()  # the server needs that memory in another process
    return found


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OutOfTime when the body takes longer; in the main thread only."""

    def ring(*_: object) -> None:
        raise OutOfTime("out of time")

    if seconds <= 0:
        ring()
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def seconds_of(call: Callable[[], object], device: torch.device, min_seconds: float = 1.0) -> float:
    """The mean of as many calls as take `min_seconds`; three calls before them warm up."""
    for _ in range(3):
        call()
    _wait(device)
    calls, start, now = 0, time.perf_counter(), 0.0
    while now < min_seconds:
        call()
        _wait(device)
        calls, now = calls + 1, time.perf_counter() - start
    return now / calls


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_rate(device: torch.device, size: int = 8192, min_seconds: float = 2.0) -> float:
    """FLOP per second of the product of two square matrices in bfloat16."""
    a, b = torch.randn(2, size, size, device=device).bfloat16()
    return 2 * size**3 / seconds_of(lambda: a @ b, device, min_seconds)


def flops(network: Network) -> int:
    """Of one crop, a multiplication and an addition being two; zeros that pad heads count (families/layers.py)."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build.bare(network)(torch.empty(1, 3, *network.input_size))
    return int(counter.get_total_flops())


def bytes_moved(network: Network) -> tuple[int, int]:
    """Bytes of one crop that go to the GPU, and that come back."""
    output = network.record.output(network)
    return sum(x.nbytes for x in build.example(network)), math.prod(output.shape) * BYTES[output.dtype]


# The network alone


def install(root: Path, network: Network, device: torch.device) -> Repository:
    """A repository below `root` with that network: its random weights are made on the device, which takes no time
    there, and exported on the CPU, as `poseserve add` does."""
    deployment = Deployment(precision="bf16", gpus=(0,) if device.type == "cuda" else ())
    repository = repository_with_random_weights(root, []).with_network(Installed(network, deployment))
    with device:
        bare = build.bare(network)
    export(build.contract(network, bare, "bf16").cpu(), build.example(network), repository.model_file(network.name))
    write_configs(repository)
    return repository


def batches(repository: Repository, network: Network, device: torch.device) -> Iterator[Measurement]:
    """The exported network without its contract, at BATCHES until the memory is full."""
    module = torch.jit.load(str(repository.model_file(network.name)), map_location=device).network
    for batch in BATCHES:
        try:
            images = _images(network, device, batch)
            seconds = seconds_of(partial(module, images), device)
        except RuntimeError as error:  # TorchScript's interpreter makes a plain one of torch.OutOfMemoryError
            if "out of memory" in str(error):
                return
            raise
        yield Measurement(network.name, "TorchScript", batch, batch / seconds)


def compiled(network: Network, compiler: str, device: torch.device) -> Iterator[Measurement]:
    """By one of COMPILERS, at BATCH."""
    with device:
        bare = build.bare(network).bfloat16()
    images = _images(network, device, BATCH)
    call = COMPILERS[compiler](bare, images)
    yield Measurement(network.name, compiler, BATCH, BATCH / seconds_of(partial(call, images), device))


def _images(network: Network, device: torch.device, batch: int) -> Tensor:
    return torch.randn(batch, 3, *network.input_size, device=device, dtype=torch.bfloat16)


def _graphed(network: nn.Module, images: Tensor) -> Callable[[Tensor], Any]:
    static_input, graph = images.clone(), torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # what libraries set up at first use must not be captured
        for _ in range(3):
            network(static_input)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        static_output: Tensor = network(static_input)

    def replay(x: Tensor) -> Tensor:
        static_input.copy_(x)
        graph.replay()
        return static_output

    return replay


def _packaged(network: nn.Module, images: Tensor) -> Callable[[Tensor], Any]:
    with tempfile.TemporaryDirectory() as folder:
        program = torch.export.export(network, (images,))
        path = torch._inductor.aoti_compile_and_package(program, package_path=f"{folder}/network.pt2")
        call: Callable[[Tensor], Any] = torch._inductor.aoti_load_package(path)
        return call


COMPILERS: dict[str, Callable[[nn.Module, Tensor], Callable[[Tensor], Any]]] = {
    "CUDA graphs": _graphed,
    "torch.compile": lambda network, _: torch.compile(network),
    "AOTInductor": _packaged,
}


# Through the server


def served(repository: Repository, network: Network) -> Iterator[Measurement]:
    """`pose_in_boxes` with PEOPLE boxes in each request, or `parts` of whole images, over gRPC; IN_FLIGHT crops."""
    with Server(repository.folders, http_port=0, grpc_port=0, metrics_port=0) as server:
        crops = asyncio.run(_load(f"grpc://{server.grpc_url}", network))
    yield Measurement(network.name, "server", IN_FLIGHT, crops)


async def _load(url: str, network: Network) -> float:
    """Crops per second of users who send again as soon as they have a response."""
    image, scene = evaluation_scene(45)
    boxes = np.resize([person.box for person in scene.people], (PEOPLE, 4)).astype(np.float32)
    crops = PEOPLE if network.task == "pose" else 1

    async with AsyncPoseClient(url) as client:

        async def send() -> object:
            if network.task == "pose":
                return await client.pose_in_boxes(image, boxes, model=f"pose_in_boxes.{network.name}")
            return await client.parts(image, model=f"parts.{network.name}")

        async def user(until: float) -> int:
            responses = 0
            while time.perf_counter() < until:
                await send()
                responses += 1
            return responses

        users = IN_FLIGHT // crops
        await asyncio.gather(*(send() for _ in range(users)))
        start = time.perf_counter()
        responses = await asyncio.gather(*(user(start + LOAD_SECONDS) for _ in range(users)))
        return sum(responses) * crops / (time.perf_counter() - start)


# The whole run


def measure(networks: Sequence[Network], device: torch.device, folder: Path, seconds: float) -> list[Measurement]:
    """Each network alone and through the server, then by each compiler; files are written below `folder`."""
    installed: dict[str, Repository] = {}

    def alone(network: Network) -> Iterator[Measurement]:
        installed[network.name] = install(folder / network.name, network, device)
        yield from batches(installed[network.name], network, device)

    def through_server(network: Network) -> Iterator[Measurement]:
        if network.name not in installed:
            raise RuntimeError("was not exported")
        yield from served(installed[network.name], network)

    benchmarks: list[Benchmark] = []
    for n in networks:
        benchmarks += [Benchmark(n.name, "TorchScript", 120, partial(alone, n))]
        benchmarks += [Benchmark(n.name, "server", 90, partial(through_server, n))]
    benchmarks += [Benchmark(n.name, c, 120, partial(compiled, n, c, device)) for n in networks for c in COMPILERS]
    return run(benchmarks, seconds)


def table(found: Sequence[Measurement], networks: Sequence[Network], work: Mapping[str, int], rate: float) -> str:
    """Network by network. work: FLOP of a crop; rate: FLOP per second of the matrix product."""
    cells: list[tuple[str, ...]] = [HEADER]
    for network in networks:
        mine = [m for m in found if m.network == network.name]
        alone = max((m.crops or 0 for m in mine if m.variant == "TorchScript"), default=0)
        cells += [_cells(m, work[network.name], rate, alone, bytes_moved(network)) for m in mine]
    return columns(cells, left=len(HEADER))


def _cells(m: Measurement, work: int, rate: float, alone: float, moved: tuple[int, int]) -> tuple[str, ...]:
    start = (m.network, f"{work / 1e12:.2f}", m.variant, str(m.batch or ""))
    if m.crops is None:
        return (*start, f"not measured: {m.why}", *[""] * 5)
    reached, through_server = m.crops * work, m.variant == "server"
    share = f"{m.crops / alone:.2f}" if through_server and alone else ""
    kilobytes = [f"{n / 1000:.1f}" if through_server else "" for n in moved]
    return (*start, f"{m.crops:.1f}", f"{reached / 1e12:.1f}", f"{reached / rate:.2f}", share, *kilobytes)


def main() -> None:
    """Run the command."""
    if not torch.cuda.is_available():
        print("torch sees no GPU here: nothing was measured")
        return
    started, device = time.monotonic(), torch.device("cuda", 0)
    rate = matmul_rate(device)
    work = {network.name: flops(network) for network in NETWORKS}
    with tempfile.TemporaryDirectory(prefix="poseserve-gpu-") as folder:
        found = measure(NETWORKS, device, Path(folder), SECONDS - (time.monotonic() - started))
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, bf16 matmul {rate / 1e12:.0f} TFLOP/s")
    print(table(found, NETWORKS, work, rate))


if __name__ == "__main__":
    main()

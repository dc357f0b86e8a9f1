"""`python -m loadtest.limit`: the share of what this machine can do that the server delivers.

The network alone and the whole pipeline in one process, each in the best of several ways to use the cores, and the
server at saturation, in turns in one run; on a GPU where torch sees one. Ratios are medians over the turns: load from
elsewhere meets all of a turn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
import torch

from loadtest.filled import fastest, filled_repository
from loadtest.load import closed_load
from loadtest.machine import cpu_seconds
from loadtest.turns import (
    CORES,
    LEAST_PEOPLE,
    SCENES,
    Call,
    Way,
    as_the_server,
    check_server,
    crowded,
    paired,
    people_per_second,
    shares,
)
from poseclient.columns import columns
from poseserve.deployment import Deployment
from poseserve.in_process import DEVICE, InProcess, load
from poseserve.repository.installed import Repository
from poseserve.serving.server import Server

BATCHES = 1, 2, 4, 8, 16  # of crops; a pose network on a CPU works through more in chunks of 8
GROUPS = 1, 2, 4, 8  # of images whose people are one batch


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.limit", description=__doc__)
    parser.add_argument("--network", default="vitpose-s-coco_25", help="of the catalogue, with random weights")
    parser.add_argument("--clients", type=int, default=16, help="requests in flight at the server")
    parser.add_argument("--seconds", type=float, default=10, help="of a turn; the search takes a third of it each")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    as_the_server("loadtest.limit", argv)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="poseserve-limit-") as folder:
        deployment = fastest(arguments.network, [Deployment()])  # TorchScript, as in one process
        repository = filled_repository(Path(folder), [arguments.network], deployment)
        pipeline = InProcess(repository)
        images = crowded(pipeline)
        network, whole = (
            best(title, ways, arguments.seconds / 3)
            for title, ways in (
                ("the network alone, people/s", network_ways(repository)),
                ("the pipeline in one process, people/s", pipeline_ways(pipeline, images)),
            )
        )
        with Server(repository.folders, http_port=0, grpc_port=0, metrics_port=0) as server:
            check_server(f"grpc://{server.grpc_url}", images, [pipeline.pose(image) for image in images])
            rates, idle = in_turns(server, [network, whole], images, arguments)
    print(f"\n{arguments.network}, {SCENES} images of {LEAST_PEOPLE} people or more, {arguments.rounds} rounds")
    print(columns(summary(rates), left=1))
    print(", ".join(f"{who} took {np.mean(share):.3f} of a core" for who, share in idle.items()))
    return 0


def network_ways(repository: Repository) -> list[Way]:
    """The pose network on batches of crops; what a crop shows does not change the time."""
    pose = repository.default("pose")
    network = load(repository.model_file(pose.name))
    height, width = pose.input_size

    def call_of(batch: int) -> Call:
        crops = torch.randint(256, (batch, height, width, 3), dtype=torch.uint8, device=DEVICE)
        regions = torch.tensor([[width / 2, height / 2, width, height]], device=DEVICE).repeat(batch, 1)

        def call() -> int:
            with torch.inference_mode():
                return len(network(crops, regions).cpu())  # which waits for a GPU

        return call

    return [
        Way(f"batch {batch}, {calls} x {threads} threads", [call_of(batch)] * calls, threads)
        for batch in BATCHES
        for calls, threads in shares(CORES)
    ]


def pipeline_ways(pipeline: InProcess, images: Sequence[bytes]) -> list[Way]:
    """Decode, detect, crop, network, keypoints; the people of a group of images are one batch."""

    def call_of(group: int, start: int) -> Call:
        turn = islice(cycle(images), start * group, None)
        return lambda: sum(map(len, pipeline.poses(list(islice(turn, group)))))

    return [
        Way(f"{group} images, {calls} x {threads} threads", [call_of(group, start) for start in range(calls)], threads)
        for group in GROUPS
        for calls, threads in shares(CORES)
    ]


def best(title: str, ways: Sequence[Way], seconds: float) -> Way:
    """The fastest; prints the rate of each."""
    rates = [way.rate(seconds) for way in ways]
    print(columns([(title, ""), *((w.name, f"{rate:.2f}") for w, rate in zip(ways, rates, strict=True))], left=1))
    return ways[int(np.argmax(rates))]


def in_turns(
    server: Server, ways: Sequence[Way], images: Sequence[bytes], arguments: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """People per second of each way and of the server, round by round, and what share of a core whoever had no turn
    took: the idle server, and this process, which is the clients."""
    clients, seconds = arguments.clients, arguments.seconds
    rates: dict[str, list[float]] = {way.name: [] for way in ways}
    served = rates[f"server, {clients} clients"] = []
    idle: dict[str, list[float]] = {"the idle server": [], "the clients": []}
    for _ in range(arguments.rounds):
        before, start = cpu_seconds(server.pid), time.perf_counter()
        for way in ways:
            rates[way.name].append(way.rate(seconds))
        idle["the idle server"].append((cpu_seconds(server.pid) - before) / (time.perf_counter() - start))
        start = time.perf_counter()
        load = closed_load(f"grpc://{server.grpc_url}", "pose", images, clients, seconds)
        idle["the clients"].append(load.cpu / (time.perf_counter() - start))
        served.append(people_per_second(load.answers, clients))
    return rates, idle


def summary(rates: Mapping[str, Sequence[float]]) -> list[tuple[str, ...]]:
    """Rows of the table: the median rate of each, and the share that the last one reaches of it."""
    *_, served = rates.values()
    rows = [(name, f"{np.median(r):.2f}", f"{paired(served, r):.3f}") for name, r in rates.items()]
    return [("", "people/s", "served / this"), *rows]


if __name__ == "__main__":
    sys.exit(main())

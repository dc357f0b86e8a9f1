"""`python -m loadtest.experiments.limit`: the share of what this machine can do that the server delivers.

The network alone and the whole pipeline in one process, each in the fastest of several variants that use the cores
differently, and the server at saturation, in turns in one run; on a GPU where torch sees one. Ratios are medians over
the rounds: load from elsewhere on the machine meets all who take turns.
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

from loadtest.experiments.load import closed_load
from loadtest.experiments.machine import cpu_seconds
from loadtest.experiments.random_weights import repository_with_random_weights, tuned_deployment
from loadtest.experiments.turns import (
    CORES,
    LEAST_PEOPLE,
    SCENES,
    Variant,
    Worker,
    check_server,
    crowded_scenes,
    instances_and_threads,
    median_ratio,
    people_per_second,
    restart_with_server_environment,
)
from poseclient.columns import columns
from poseserve.deployment import Deployment
from poseserve.in_process import DEVICE, InProcess, load
from poseserve.repository.installed import Repository
from poseserve.serving.server import Server

BATCHES = 1, 2, 4, 8, 16  # of crops; a pose network on a CPU works through more in chunks of 8
GROUPS = 1, 2, 4, 8  # of images whose people are one batch


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.experiments.limit", description=__doc__)
    parser.add_argument("--network", default="vitpose-s-coco_25", help="of the catalogue, with random weights")
    parser.add_argument("--clients", type=int, default=16, help="requests in flight at the server")
    parser.add_argument("--seconds", type=float, default=10, help="of a turn; the search takes a third of it each")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    restart_with_server_environment("loadtest.experiments.limit", argv)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="poseserve-limit-") as folder:
        deployment = tuned_deployment(arguments.network, [Deployment()])  # TorchScript, as in one process
        repository = repository_with_random_weights(Path(folder), [arguments.network], deployment)
        pipeline = InProcess(repository)
        images = crowded_scenes(pipeline)
        network, whole = (
            fastest(title, variants, arguments.seconds / 3)
            for title, variants in (
                ("the network alone, people/s", network_variants(repository)),
                ("the pipeline in one process, people/s", pipeline_variants(pipeline, images)),
            )
        )
        with Server(repository.folders, http_port=0, grpc_port=0, metrics_port=0) as server:
            check_server(f"grpc://{server.grpc_url}", images, [pipeline.pose(image) for image in images])
            rates, overhead = in_turns(server, [network, whole], images, arguments)
    print(f"\n{arguments.network}, {SCENES} images of {LEAST_PEOPLE} people or more, {arguments.rounds} rounds")
    print(columns(summary(rates), left=1))
    print(", ".join(f"{who} took {np.mean(share):.3f} of a core" for who, share in overhead.items()))
    return 0


def network_variants(repository: Repository) -> list[Variant]:
    """The pose network on batches of crops; what a crop shows does not change the time."""
    pose = repository.default("pose")
    network = load(repository.model_file(pose.name))
    height, width = pose.input_size

    def worker(batch: int) -> Worker:
        crops = torch.randint(256, (batch, height, width, 3), dtype=torch.uint8, device=DEVICE)
        regions = torch.tensor([[width / 2, height / 2, width, height]], device=DEVICE).repeat(batch, 1)

        def run() -> int:
            with torch.inference_mode():
                return len(network(crops, regions).cpu())  # which waits for a GPU

        return run

    return [
        Variant(f"batch {batch}, {workers} x {threads} threads", [worker(batch)] * workers, threads)
        for batch in BATCHES
        for workers, threads in instances_and_threads(CORES)
    ]


def pipeline_variants(pipeline: InProcess, images: Sequence[bytes]) -> list[Variant]:
    """Decode, detect, crop, network, keypoints; the people of a group of images are one batch."""

    def worker(group: int, number: int) -> Worker:
        images_in_turn = islice(cycle(images), number * group, None)
        return lambda: sum(map(len, pipeline.poses(list(islice(images_in_turn, group)))))

    return [
        Variant(f"{group} images, {workers} x {threads} threads", [worker(group, i) for i in range(workers)], threads)
        for group in GROUPS
        for workers, threads in instances_and_threads(CORES)
    ]


def fastest(title: str, variants: Sequence[Variant], seconds: float) -> Variant:
    """The fastest variant; prints the rate of each."""
    rates = [variant.rate(seconds) for variant in variants]
    rows = [(variant.name, f"{rate:.2f}") for variant, rate in zip(variants, rates, strict=True)]
    print(columns([(title, ""), *rows], left=1))
    return variants[int(np.argmax(rates))]


def in_turns(
    server: Server, variants: Sequence[Variant], images: Sequence[bytes], arguments: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """People per second of each variant and of the server, round by round; and the share of a core that the comparison
    itself took: the idle server while the variants ran, and this process, which is the clients, during the load."""
    clients, seconds = arguments.clients, arguments.seconds
    rates: dict[str, list[float]] = {variant.name: [] for variant in variants}
    served = rates[f"server, {clients} clients"] = []
    overhead: dict[str, list[float]] = {"the idle server": [], "the clients": []}
    for _ in range(arguments.rounds):
        before, start = cpu_seconds(server.pid), time.perf_counter()
        for variant in variants:
            rates[variant.name].append(variant.rate(seconds))
        overhead["the idle server"].append((cpu_seconds(server.pid) - before) / (time.perf_counter() - start))
        start = time.perf_counter()
        load = closed_load(f"grpc://{server.grpc_url}", "pose", images, clients, seconds)
        overhead["the clients"].append(load.client_cpu / (time.perf_counter() - start))
        served.append(people_per_second(load.responses, clients))
    return rates, overhead


def summary(rates: Mapping[str, Sequence[float]]) -> list[tuple[str, ...]]:
    """Rows of the table: the median rate of each, and the last one's rate by that."""
    *_, served = rates.values()
    rows = [(name, f"{np.median(r):.2f}", f"{median_ratio(served, r):.3f}") for name, r in rates.items()]
    return [("", "people/s", "served / this"), *rows]


if __name__ == "__main__":
    sys.exit(main())

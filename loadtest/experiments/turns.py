"""What comparisons share: the same images and settings, workers side by side, equal outputs, and turns in one run.

Load from elsewhere on the machine meets all variants that take turns: ratios are medians over the rounds.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from demo.evaluate import evaluation_scene
from loadtest.experiments.load import LEAST_RESPONSES, TIMEOUT, Response, steady, throughput
from poseclient import People, PoseClient
from poseserve import tune
from poseserve.deployment import Deployment
from poseserve.in_process import InProcess
from poseserve.serving.server import find_triton

CORES = len(os.sched_getaffinity(0))
SCENES, LEAST_PEOPLE = 12, 3
TOLERANCE = 0.1  # pixels

Worker = Callable[[], int]  # one piece of work; returns how many people, or rows of a network, it dealt with


@dataclass(frozen=True)
class Variant:
    """A way to use the cores: the workers run side by side, each again and again, torch with `threads` in each."""

    name: str
    workers: Sequence[Worker]
    threads: int

    def rate(self, seconds: float) -> float:
        """People per second."""
        torch.set_num_threads(self.threads)
        return people_per_second(run_side_by_side(self.workers, seconds), len(self.workers))


def instances_and_threads(cores: int) -> list[tuple[int, int]]:
    """How many instances, workers or processes share the cores, and the threads of each, as `poseserve tune` tries."""
    return [(d.instances, d.threads or max(1, cores // d.instances)) for d in tune.layouts(Deployment(), cores)]


def restart_with_server_environment(module: str, argv: Sequence[str] | None) -> None:
    """Start this program anew unless glibc's malloc and OpenMP are set as those of the embedded server."""
    wanted = server_environment()
    if not wanted.items() <= os.environ.items():
        options = sys.argv[1:] if argv is None else argv
        os.execve(sys.executable, [sys.executable, "-m", module, *options], os.environ | wanted)


def server_environment() -> dict[str, str]:
    """The environment variables of glibc's malloc and of OpenMP that the embedded server is started with."""
    with tempfile.TemporaryDirectory() as workspace:
        environment = find_triton(Path(workspace)).environment
    return {name: value for name, value in environment.items() if name.startswith(("MALLOC_", "OMP_"))}


def crowded_scenes(pipeline: InProcess) -> list[bytes]:
    """SCENES rendered scenes in which the detector finds LEAST_PEOPLE or more."""
    scenes = (evaluation_scene(seed)[0] for seed in count())
    return list(islice((image for image in scenes if len(pipeline.pose(image)) >= LEAST_PEOPLE), SCENES))


def check_server(url: str, images: Sequence[bytes], people: Sequence[People]) -> None:
    """RuntimeError unless poseserve at `url` finds these people in the images, with these keypoints."""
    with PoseClient(url, timeout=TIMEOUT) as client:
        for image, expected in zip(images, people, strict=True):
            check_equal(keypoint_positions(client.pose(image)), keypoint_positions(expected))


def keypoint_positions(people: People) -> NDArray[Any]:
    """x, y of the keypoints: [n, K, 2]."""
    assert people.keypoints is not None
    return people.keypoints[..., :2]


def check_equal(output: NDArray[Any], expected: NDArray[Any]) -> None:
    """RuntimeError unless most of the numbers are the expected ones, within TOLERANCE: heatmaps of random weights are
    nearly flat, and which of two equal peaks is found depends on the engine."""
    same = output.shape == expected.shape
    if not (same and np.median(np.abs(output - expected.astype(np.float64))) <= TOLERANCE):
        raise RuntimeError("the outputs differ: the comparison would mean nothing")


def run_side_by_side(workers: Sequence[Worker], seconds: float) -> list[Response]:
    """Each worker again and again in a thread of its own, for `seconds` at least and LEAST_RESPONSES times."""
    end = time.perf_counter() + seconds

    def repeat(work: Worker) -> list[Response]:
        responses: list[Response] = []
        while time.perf_counter() < end or len(responses) < LEAST_RESPONSES:
            sent = time.perf_counter()
            people = work()
            responses.append(Response(sent, time.perf_counter(), people))
        return responses

    with ThreadPoolExecutor(len(workers)) as pool:
        return [response for responses in pool.map(repeat, workers) for response in responses]


def people_per_second(responses: Sequence[Response], users: int) -> float:
    """While all `users` had a request in flight."""
    return throughput(responses, *steady(responses, users))[1]


def median_ratio(rates: Sequence[float], others: Sequence[float]) -> float:
    """The median over the rounds of the one's rate by the other's in the same round."""
    return float(np.median(np.divide(rates, others)))


def times_in_turns(
    variants: Mapping[str, Callable[[], object]], warm_up: int, rounds: int, requests: int
) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of every request, by variant, one request at a time."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for send in variants.values():
        for _ in range(warm_up):
            send()
    for _ in range(rounds):
        for name, send in variants.items():
            for _ in range(requests):
                start = time.perf_counter()
                send()
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: np.array(values) for name, values in times.items()}

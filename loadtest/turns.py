"""What comparisons share: the same images and settings, calls side by side, equal answers, and turns in one run.

Load from elsewhere meets all that take turns, so that ratios are medians over the rounds.
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

import numpy as np
import torch

from demo.evaluate import evaluation_scene
from loadtest.load import LAPS, TIMEOUT, Answer, steady, throughput
from poseclient import People, PoseClient
from poseserve import tune
from poseserve.deployment import Deployment
from poseserve.in_process import InProcess
from poseserve.serving.server import find_triton

CORES = len(os.sched_getaffinity(0))
SCENES, LEAST_PEOPLE = 12, 3
TOLERANCE = 0.1  # pixels

Call = Callable[[], int]


@dataclass(frozen=True)
class Way:
    """To use the cores: `calls` side by side, each again and again, torch with `threads` in each. A call returns how
    many people, or rows of a network, it dealt with."""

    name: str
    calls: Sequence[Call]
    threads: int

    def rate(self, seconds: float) -> float:
        """People per second."""
        torch.set_num_threads(self.threads)
        return people_per_second(side_by_side(self.calls, seconds), len(self.calls))


def shares(cores: int) -> list[tuple[int, int]]:
    """How many calls or processes work side by side, and the threads of each, as `poseserve tune` tries them."""
    return [(d.instances, d.threads or max(1, cores // d.instances)) for d in tune.layouts(Deployment(), cores)]


def as_the_server(module: str, argv: Sequence[str] | None) -> None:
    """Start this program anew unless glibc's malloc and OpenMP are set as those of the embedded server."""
    settings = server_settings()
    if not settings.items() <= os.environ.items():
        options = sys.argv[1:] if argv is None else argv
        os.execve(sys.executable, [sys.executable, "-m", module, *options], os.environ | settings)


def server_settings() -> dict[str, str]:
    """The environment variables of glibc's malloc and of OpenMP that the embedded server is started with."""
    with tempfile.TemporaryDirectory() as workspace:
        environment = find_triton(Path(workspace)).environment
    return {name: value for name, value in environment.items() if name.startswith(("MALLOC_", "OMP_"))}


def crowded(pipeline: InProcess) -> list[bytes]:
    """SCENES rendered scenes in which the detector finds LEAST_PEOPLE or more."""
    scenes = (evaluation_scene(seed)[0] for seed in count())
    return list(islice((image for image in scenes if len(pipeline.pose(image)) >= LEAST_PEOPLE), SCENES))


def check_server(url: str, images: Sequence[bytes], people: Sequence[People]) -> None:
    """RuntimeError unless poseserve at `url` finds these people in the images, with these keypoints."""
    with PoseClient(url, timeout=TIMEOUT) as client:
        for image, expected in zip(images, people, strict=True):
            check_equal(places(client.pose(image)), places(expected))


def places(people: People) -> np.ndarray:
    """Of their keypoints: [n, K, 2]."""
    assert people.keypoints is not None
    return people.keypoints[..., :2]


def check_equal(answer: np.ndarray, expected: np.ndarray) -> None:
    """RuntimeError unless most of the numbers are the expected ones, within TOLERANCE: heatmaps of random weights are
    nearly flat, and which of two equal peaks is found depends on the engine."""
    same = answer.shape == expected.shape
    if not (same and np.median(np.abs(answer - expected.astype(np.float64))) <= TOLERANCE):
        raise RuntimeError("the answers differ: the comparison would mean nothing")


def side_by_side(calls: Sequence[Call], seconds: float) -> list[Answer]:
    """Each call again and again in a thread of its own, for `seconds` at least and LAPS times."""
    end = time.perf_counter() + seconds

    def work(call: Call) -> list[Answer]:
        answers: list[Answer] = []
        while time.perf_counter() < end or len(answers) < LAPS:
            sent = time.perf_counter()
            people = call()
            answers.append(Answer(sent, time.perf_counter(), people))
        return answers

    with ThreadPoolExecutor(len(calls)) as pool:
        return [answer for answers in pool.map(work, calls) for answer in answers]


def people_per_second(answers: Sequence[Answer], users: int) -> float:
    """While all `users` were at it."""
    return throughput(answers, *steady(answers, users))[1]


def paired(rates: Sequence[float], others: Sequence[float]) -> float:
    """The median over the rounds of the one's rate by the other's in the same round."""
    return float(np.median(np.divide(rates, others)))


def times_in_turns(
    ways: Mapping[str, Callable[[], object]], warm_up: int, rounds: int, requests: int
) -> dict[str, np.ndarray]:
    """Milliseconds of every call, by way, one call at a time."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for call in ways.values():
        for _ in range(warm_up):
            call()
    for _ in range(rounds):
        for name, call in ways.items():
            for _ in range(requests):
                start = time.perf_counter()
                call()
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: np.array(values) for name, values in times.items()}

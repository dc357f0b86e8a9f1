"""`python -m loadtest.baselines.compare`: poseserve beside FastAPI and LitServe, with the same networks and cores.

Each baseline runs in the fastest of several settings. All get the same requests over HTTP from the same clients, in
turns in one run; a baseline is stopped while another server has its turn. Ratios are medians over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

from loadtest.baselines import environment
from loadtest.baselines.process import Baseline, Command, fastapi_command, litserve_command
from loadtest.baselines.settings import Settings
from loadtest.experiments.load import Response, latencies, steady
from loadtest.experiments.random_weights import repository_with_random_weights, tuned_deployment
from loadtest.experiments.turns import (
    CORES,
    Worker,
    check_equal,
    check_server,
    crowded_scenes,
    instances_and_threads,
    keypoint_positions,
    median_ratio,
    people_per_second,
    run_side_by_side,
)
from poseclient import People
from poseclient.columns import columns
from poseserve.deployment import FORMATS, PRECISIONS, Deployment
from poseserve.in_process import InProcess
from poseserve.serving.server import Server
from poseserve.tune import describe

HEADERS = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": "0"}
POSESERVE_PATH, BASELINE_PATH = "/v2/models/pose/infer", "/predict"
POOL = 40  # threads in which FastAPI runs what is not async
COMMANDS: dict[str, Command] = {"FastAPI": fastapi_command, "LitServe": litserve_command}


@dataclass(frozen=True)
class Workload:
    """Encoded images, who is in them, and how many clients send them."""

    images: Sequence[bytes]
    people: Sequence[People]
    clients: int

    def send(self, url: str, path: str, seconds: float) -> list[Response]:
        """The responses of a server at host:port."""
        with contextlib.ExitStack() as stack:
            return run_side_by_side([self._client(url, path, i, stack) for i in range(self.clients)], seconds)

    def _client(self, url: str, path: str, number: int, stack: contextlib.ExitStack) -> Worker:
        connection = stack.enter_context(contextlib.closing(http.client.HTTPConnection(url, timeout=600)))
        in_turn = islice(cycle(zip(self.images, self.people, strict=True)), number, None)

        def request() -> int:
            image, people = next(in_turn)
            post(connection, path, image)
            return len(people)

        return request

    def check(self, url: str) -> None:
        """RuntimeError unless the baseline at host:port finds the same people with the same keypoints."""
        with contextlib.closing(http.client.HTTPConnection(url, timeout=600)) as connection:
            for image, people in zip(self.images, self.people, strict=True):
                response = json.loads(post(connection, BASELINE_PATH, image))
                check_equal(np.array(response["keypoints"])[..., :2], keypoint_positions(people))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.baselines.compare", description=__doc__)
    parser.add_argument("--network", default="vitpose-s-coco_25", help="of the catalogue, with random weights")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of all (%(default)s)")
    parser.add_argument("--format", choices=FORMATS, default="torchscript", help="of poseserve's engine (%(default)s)")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20, help="of a turn; the search takes half of it each")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    environment.make()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="poseserve-baselines-") as folder:
        theirs = Deployment(precision=arguments.precision)
        ours = tuned_deployment(arguments.network, [replace(theirs, format=arguments.format)])
        of_baselines = repository_with_random_weights(Path(folder, "baselines"), [arguments.network], theirs)
        of_poseserve = repository_with_random_weights(Path(folder, "poseserve"), [arguments.network], ours)
        pipeline, root = InProcess(of_baselines), str(of_baselines.root)
        images = crowded_scenes(pipeline)
        workload = Workload(images, [pipeline.pose(image) for image in images], arguments.clients)
        with (
            fastest("FastAPI", root, workload, arguments.seconds / 2) as fastapi,
            fastest("LitServe", root, workload, arguments.seconds / 2) as litserve,
            Server(of_poseserve.folders, http_port=0, grpc_port=0, metrics_port=0) as server,
        ):
            check_server(f"http://{server.http_url}", workload.images, workload.people)
            baselines = {"FastAPI": fastapi, "LitServe": litserve}
            responses = in_turns(server.http_url, baselines, workload, arguments.seconds, arguments.rounds)
    print(f"\n{arguments.network}, {arguments.clients} clients over HTTP, {arguments.rounds} rounds")
    print(f"poseserve: {describe(ours)}; baselines: TorchScript {arguments.precision}")
    print(columns(summary(responses, arguments.clients), left=1))
    return 0


def variants(name: str, cores: int) -> list[Settings]:
    """What is tried: the workers and threads that `poseserve tune` tries as instances and threads, FastAPI with one
    request at a time in each worker and with all at once, LitServe with smaller and larger batches."""
    layouts = instances_and_threads(cores)
    if name == "FastAPI":
        return [Settings(*layout, at_once) for layout in layouts for at_once in (1, POOL)]
    return [Settings(*layout, *batch) for layout in layouts for batch in ((2, 0.01), (4, 0.01), (8, 0.05))]


def fastest(name: str, root: str, workload: Workload, seconds: float) -> Baseline:
    """The baseline in the fastest of its settings, not yet started; prints the rate of each."""
    command, settings = COMMANDS[name], [replace(variant, root=root) for variant in variants(name, CORES)]
    rates = []
    for variant in settings:
        with Baseline(command, variant) as baseline, baseline.running():
            workload.check(baseline.url)
            rates.append(people_per_second(workload.send(baseline.url, BASELINE_PATH, seconds), workload.clients))
    rows = [(str(v.workers), str(v.threads), str(v.at_once), f"{v.wait:g}") for v in settings]
    header = (name, "workers", "threads", "at once", "wait s", "people/s")
    lines = [header, *(("", *row, f"{rate:.2f}") for row, rate in zip(rows, rates, strict=True))]
    print(columns(lines, left=1), flush=True)
    return Baseline(command, settings[int(np.argmax(rates))])


def in_turns(
    url: str, baselines: Mapping[str, Baseline], workload: Workload, seconds: float, rounds: int
) -> dict[str, list[list[Response]]]:
    """The responses of poseserve at `url` (host:port) and of each baseline in each round, after one round that warms
    them up."""
    responses: dict[str, list[list[Response]]] = {"poseserve": [], **{name: [] for name in baselines}}
    for turn in [0.0, *[seconds] * rounds]:
        responses["poseserve"].append(workload.send(url, POSESERVE_PATH, turn))
        for name, baseline in baselines.items():
            with baseline.running():
                responses[name].append(workload.send(baseline.url, BASELINE_PATH, turn))
    return {name: turns[1:] for name, turns in responses.items()}


def post(connection: http.client.HTTPConnection, path: str, image: bytes) -> bytes:
    """The body of the response. RuntimeError unless its status is OK."""
    connection.request("POST", path, image, HEADERS)
    response = connection.getresponse()
    body = response.read()
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{connection.host}:{connection.port} answered {response.status}: {body[:300]!r}")
    return body


def summary(responses: Mapping[str, Sequence[Sequence[Response]]], clients: int) -> list[tuple[str, ...]]:
    """Rows of the table. The first server is poseserve; latencies are of the time when all clients had a request in
    flight."""
    rates = {name: [people_per_second(turn, clients) for turn in turns] for name, turns in responses.items()}
    ours, *_ = rates.values()
    rows: list[tuple[str, ...]] = [("", "people/s", "p50 ms", "p99 ms", "poseserve / this")]
    for name, turns in responses.items():
        settled = [r for turn in turns for r in turn if r.sent >= steady(turn, clients)[0]]
        p50, _, p99 = latencies(settled)
        figures = np.median(rates[name]), p50, p99
        rows.append((name, *(f"{figure:.1f}" for figure in figures), f"{median_ratio(ours, rates[name]):.3f}"))
    return rows


if __name__ == "__main__":
    sys.exit(main())

"""`python -m loadtest.baselines.compare`: poseserve beside FastAPI and LitServe, with the same networks and cores.

Each baseline runs in the fastest of several settings. All get the same requests over HTTP from the same clients, in
turns in one run; baselines whose turn it is not stand still. Ratios are medians over the rounds.
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
from loadtest.filled import fastest, filled_repository
from loadtest.load import Answer, latencies, steady
from loadtest.turns import (
    CORES,
    Call,
    check_equal,
    check_server,
    crowded,
    paired,
    people_per_second,
    places,
    shares,
    side_by_side,
)
from poseclient import People
from poseclient.columns import columns
from poseserve.deployment import FORMATS, PRECISIONS, Deployment
from poseserve.in_process import InProcess
from poseserve.serving.server import Server
from poseserve.tune import describe

HEADERS = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": "0"}
OURS, BASELINE = "/v2/models/pose/infer", "/predict"
POOL = 40  # threads in which FastAPI runs what is not async
COMMANDS: dict[str, Command] = {"FastAPI": fastapi_command, "LitServe": litserve_command}


@dataclass(frozen=True)
class Load:
    """Encoded images, who is in them, and how many clients send them."""

    images: Sequence[bytes]
    people: Sequence[People]
    clients: int

    def on(self, url: str, path: str, seconds: float) -> list[Answer]:
        """The answers of a server at host:port."""
        with contextlib.ExitStack() as stack:
            return side_by_side([self._client(url, path, i, stack) for i in range(self.clients)], seconds)

    def _client(self, url: str, path: str, start: int, stack: contextlib.ExitStack) -> Call:
        connection = stack.enter_context(contextlib.closing(http.client.HTTPConnection(url, timeout=600)))
        turn = islice(cycle(zip(self.images, self.people, strict=True)), start, None)

        def call() -> int:
            image, people = next(turn)
            post(connection, path, image)
            return len(people)

        return call

    def check(self, url: str) -> None:
        """RuntimeError unless the baseline at host:port finds the same people with the same keypoints."""
        with contextlib.closing(http.client.HTTPConnection(url, timeout=600)) as connection:
            for image, people in zip(self.images, self.people, strict=True):
                answer = json.loads(post(connection, BASELINE, image))
                check_equal(np.array(answer["keypoints"])[..., :2], places(people))


def main(argv: Sequence[str] | None = None) -> int:
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
        ours = fastest(arguments.network, [replace(theirs, format=arguments.format)])
        root = Path(folder, "baselines")
        pipeline = InProcess(filled_repository(root, [arguments.network], theirs))
        repository = filled_repository(Path(folder, "poseserve"), [arguments.network], ours)
        images = crowded(pipeline)
        load = Load(images, [pipeline.pose(image) for image in images], arguments.clients)
        with (
            best("FastAPI", str(root), load, arguments.seconds / 2) as fastapi,
            best("LitServe", str(root), load, arguments.seconds / 2) as litserve,
            Server(repository.folders, http_port=0, grpc_port=0, metrics_port=0) as server,
        ):
            check_server(f"http://{server.http_url}", load.images, load.people)
            baselines = {"FastAPI": fastapi, "LitServe": litserve}
            answers = in_turns(server.http_url, baselines, load, arguments.seconds, arguments.rounds)
    print(f"\n{arguments.network}, {arguments.clients} clients over HTTP, {arguments.rounds} rounds")
    print(f"poseserve: {describe(ours)}; baselines: TorchScript {arguments.precision}")
    print(columns(summary(answers, arguments.clients), left=1))
    return 0


def variants(name: str, cores: int) -> list[Settings]:
    """What is tried: every layout that `poseserve tune` tries, with all requests at once and with one by one in each
    worker of FastAPI, and with smaller and larger batches of LitServe."""
    if name == "FastAPI":
        return [Settings(*share, at_once) for share in shares(cores) for at_once in (1, POOL)]
    return [Settings(*share, *batch) for share in shares(cores) for batch in ((2, 0.01), (4, 0.01), (8, 0.05))]


def best(name: str, root: str, load: Load, seconds: float) -> Baseline:
    """The baseline in the best of its settings, not yet started; prints the rate of each."""
    command, settings = COMMANDS[name], [replace(variant, root=root) for variant in variants(name, CORES)]
    rates = []
    for variant in settings:
        with Baseline(command, variant) as baseline, baseline.awake():
            load.check(baseline.url)
            rates.append(people_per_second(load.on(baseline.url, BASELINE, seconds), load.clients))
    rows = [(str(v.workers), str(v.threads), str(v.at_once), f"{v.wait:g}") for v in settings]
    header = (name, "workers", "threads", "at once", "wait s", "people/s")
    lines = [header, *(("", *row, f"{rate:.2f}") for row, rate in zip(rows, rates, strict=True))]
    print(columns(lines, left=1), flush=True)
    return Baseline(command, settings[int(np.argmax(rates))])


def in_turns(
    ours: str, baselines: Mapping[str, Baseline], load: Load, seconds: float, rounds: int
) -> dict[str, list[list[Answer]]]:
    """The answers of each server in each round, after one round that warms them up."""
    answers: dict[str, list[list[Answer]]] = {"poseserve": [], **{name: [] for name in baselines}}
    for turn in [0.0, *[seconds] * rounds]:
        answers["poseserve"].append(load.on(ours, OURS, turn))
        for name, baseline in baselines.items():
            with baseline.awake():
                answers[name].append(load.on(baseline.url, BASELINE, turn))
    return {name: turns[1:] for name, turns in answers.items()}


def post(connection: http.client.HTTPConnection, path: str, image: bytes) -> bytes:
    """The answer's body; RuntimeError unless it is one."""
    connection.request("POST", path, image, HEADERS)
    response = connection.getresponse()
    body = response.read()
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{connection.host}:{connection.port} answered {response.status}: {body[:300]!r}")
    return body


def summary(answers: Mapping[str, Sequence[Sequence[Answer]]], clients: int) -> list[tuple[str, ...]]:
    """Rows of the table. The first server is ours; latencies are of the time when all clients were at it."""
    rates = {name: [people_per_second(turn, clients) for turn in turns] for name, turns in answers.items()}
    ours, *_ = rates.values()
    rows: list[tuple[str, ...]] = [("", "people/s", "p50 ms", "p99 ms", "poseserve / this")]
    for name, turns in answers.items():
        settled = [a for turn in turns for a in turn if a.sent >= steady(turn, clients)[0]]
        p50, _, p99 = latencies(settled)
        figures = np.median(rates[name]), p50, p99
        rows.append((name, *(f"{figure:.1f}" for figure in figures), f"{paired(ours, rates[name]):.3f}"))
    return rows


if __name__ == "__main__":
    sys.exit(main())

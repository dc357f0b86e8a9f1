"""Locust users that send encoded images to the ensembles over gRPC and HTTP, as fast as the answers come.

locust -f loadtest/locustfile.py --headless --users 8 --run-time 60s --images photos/
"""

from __future__ import annotations

import random
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import gevent
import grpc.experimental.gevent
from locust import User, constant, events, task

from poseclient import People, PoseClient, PoseServerError

grpc.experimental.gevent.init_gevent()

SCENES = 8


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser, **_: Any) -> None:
    """The options of these users, beside Locust's own."""
    for protocol, port in (("grpc", 8001), ("http", 8000)):
        parser.add_argument(
            f"--{protocol}-url",
            env_var=f"POSESERVE_{protocol.upper()}_URL",
            default=f"127.0.0.1:{port}",
            help="host:port (%(default)s)",
        )
    parser.add_argument(
        "--images",
        env_var="POSESERVE_IMAGES",
        default="",
        help=f"folder of JPEG files; {SCENES} rendered scenes when left out",
    )


@events.init.add_listener
def load_images(environment: Any, **_: Any) -> None:
    """Render or read before the clock starts, and stop at once when there is nothing to send."""
    try:
        encoded_images(environment.parsed_options.images)
    except (ImportError, OSError) as error:
        sys.exit(f"no images to send: {error}")
    # Timers count from the last turn of gevent's loop: without this, the time spent here shortens the run.
    gevent.get_hub().loop.update_now()


@cache
def encoded_images(folder: str) -> list[bytes]:
    """The JPEG files of the folder, or rendered scenes of 640 x 480; OSError when the folder holds none."""
    if not folder:
        from demo.scene import render_scene

        scenes = [cv2.cvtColor(render_scene(seed).image, cv2.COLOR_RGB2BGR) for seed in range(SCENES)]
        return [cv2.imencode(".jpg", scene)[1].tobytes() for scene in scenes]
    files = [path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
    if not files:
        raise FileNotFoundError(f"{folder} holds no JPEG files")
    return [path.read_bytes() for path in files]


class PerceptionUser(User):
    """Asks for keypoints three times as often as for boxes or parts."""

    abstract = True
    wait_time = constant(0)
    scheme: str

    def on_start(self) -> None:
        options = self.environment.parsed_options
        self.images = encoded_images(options.images)
        self.client = PoseClient(f"{self.scheme}://{getattr(options, f'{self.scheme}_url')}")

    def on_stop(self) -> None:
        self.client.close()

    @task(3)
    def pose(self) -> None:
        self.send("pose", lambda image: size_of(self.client.pose(image)))

    @task
    def detect(self) -> None:
        self.send("detect", lambda image: size_of(self.client.detect(image)))

    @task
    def parts(self) -> None:
        self.send("parts", lambda image: self.client.parts(image).nbytes)

    def send(self, name: str, ask: Callable[[bytes], int]) -> None:
        """One request, reported to Locust with its time and the bytes of its answer, or with its error."""
        image, size, failure = random.choice(self.images), 0, None
        start = time.perf_counter()
        try:
            size = ask(image)
        except PoseServerError as error:
            failure = error
        self.environment.events.request.fire(
            request_type=self.scheme,
            name=name,
            response_time=(time.perf_counter() - start) * 1000,
            response_length=size,
            exception=failure,
            context={},
        )


class GrpcUser(PerceptionUser):
    """Over gRPC."""

    scheme = "grpc"


class HttpUser(PerceptionUser):
    """Over HTTP."""

    scheme = "http"


def size_of(people: People) -> int:
    """Bytes of the arrays."""
    keypoints = 0 if people.keypoints is None else people.keypoints.nbytes
    return people.boxes.nbytes + people.scores.nbytes + keypoints

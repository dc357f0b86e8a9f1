"""Locust users that send encoded images to the ensembles over gRPC and HTTP.

locust -f loadtest/locustfile.py --headless --users 8 --run-time 60s --scenario photos
"""

# Locust's API has no types.
# mypy: allow-untyped-calls, allow-untyped-decorators

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import gevent
import grpc.experimental.gevent
import numpy as np
from locust import User, events, task
from locust.runners import MasterRunner, WorkerRunner
from numpy.typing import NDArray

from loadtest.arrivals import Arrivals, Bursts, Camera, ClosedLoop, Frame, OpenLoop
from loadtest.results import Request, summarise, write_json
from loadtest.scenarios import SCENARIOS, encoded_images
from poseclient import People, PoseClient, RequestError

OWN_ARRIVALS = ("video", "bursts")
TIMEOUT = 60  # seconds of a request
requests: list[Request] = []  # of this test: a worker's own, the master's of all
reported: set[str] = set()  # workers whose requests the master has


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
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="mixed", help="what is sent (%(default)s)")
    parser.add_argument("--fps", type=float, default=5.0, help="frames per second of each user of video (%(default)s)")
    parser.add_argument(
        "--rate",
        type=float,
        default=0.0,
        help="requests per second of all users, however long responses take; 0: each user waits for its response",
    )
    parser.add_argument(
        "--images",
        env_var="POSESERVE_IMAGES",
        default="",
        help="folder of JPEG files; rendered scenes when left out",
    )
    parser.add_argument("--rows", default="", include_in_web_ui=False, help="file for the table, as JSON")
    # Requests on their way may finish, or fail by themselves: of those that Locust kills the table would know nothing.
    parser.set_defaults(stop_timeout=TIMEOUT + 10)


@events.init.add_listener
def prepare(environment: Any, **_: Any) -> None:
    """Render or read before the clock starts, and stop at once when there is nothing to send."""
    # Not at import: Locust forks its workers after that.
    grpc.experimental.gevent.init_gevent()
    # Ctrl-C as SIGTERM: the KeyboardInterrupt that it would raise is lost when it meets a callback of gRPC's.
    gevent.signal_handler(signal.SIGINT, os.kill, os.getpid(), signal.SIGTERM)
    options = environment.parsed_options
    if options.rate and options.scenario in OWN_ARRIVALS:
        sys.exit(f"--rate: {' and '.join(OWN_ARRIVALS)} have arrivals of their own")
    try:
        encoded_images(options.scenario, options.images)
    except (ImportError, OSError) as error:
        sys.exit(f"no images to send: {error}")
    if options.rows and not isinstance(environment.runner, WorkerRunner):
        events.quit.add_listener(lambda **_: write_json(summarise(requests), Path(options.rows)))
    if isinstance(environment.runner, MasterRunner):
        environment.runner.register_message("requests", collect)
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.register_message("finish", finish, concurrent=True)
    # Timers count from the last turn of gevent's loop: without this, the time spent here shortens the run.
    gevent.get_hub().loop.update_now()


@events.test_start.add_listener
def begin(environment: Any, **_: Any) -> None:
    """Forget the last test, and get the images ready before the users start."""
    requests.clear()
    reported.clear()
    options = environment.parsed_options
    # In a thread: a worker that is silent for three seconds is taken for lost.
    gevent.get_hub().threadpool.apply(encoded_images, (options.scenario, options.images))
    if not isinstance(environment.runner, WorkerRunner):  # which is told by the master, and knows no other users
        options.rate_of_user = options.rate / (options.num_users or 1)


@events.request.add_listener
def record(
    request_type: str, name: str, response_time: float, exception: object, context: dict[str, Any], **_: Any
) -> None:
    """Keep what Locust's own statistics lack: people and dropped frames."""
    due = time.time() - response_time / 1000
    requests.append(Request(request_type, name, due, response_time, exception is not None, **context))


@events.test_stopping.add_listener
def gather(environment: Any, **_: Any) -> None:
    """The master waits until its workers have finished and reported; Locust's own waits for neither when it quits."""
    runner = environment.runner
    if isinstance(runner, MasterRunner):
        runner.send_message("finish")
        with gevent.Timeout(TIMEOUT + 20, False):
            while any(worker.id not in reported for worker in runner.clients.all):
                gevent.sleep(0.1)


def finish(environment: Any, **_: Any) -> None:
    """A worker's end, after the requests on their way."""
    environment.runner.stop()


@events.test_stop.add_listener
def report(environment: Any, **_: Any) -> None:
    """A worker tells the master what it measured."""
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message("requests", {"requests": requests})
        requests.clear()


def collect(msg: Any, **_: Any) -> None:
    """The master takes what a worker measured."""
    reported.add(msg.node_id)
    requests.extend(Request(*values) for values in msg.data["requests"])


@events.quit.add_listener
def free_clients(**_: Any) -> None:
    """Free the users' clients before Python ends: tritonclient closes the channel of a client that is freed once more,
    and while Python ends gRPC may wait there forever."""
    gc.collect()


class NamedRequests(PoseClient):
    """A client whose requests carry an id, which Triton's log and traces show."""

    request_id = ""

    def _connect(self) -> Any:
        connection = super()._connect()
        infer = connection.infer
        connection.infer = lambda **arguments: infer(request_id=self.request_id, **arguments)
        return connection


class PerceptionUser(User):
    """One client, one camera or one source of arrivals, as --scenario and --rate say."""

    abstract = True
    scheme: str

    def on_start(self) -> None:
        """Connect, and begin with a wait."""
        options = self.environment.parsed_options
        self.scenario = SCENARIOS[options.scenario]
        self.tasks_to_do: list[str] = []
        self.images = encoded_images(options.scenario, options.images)
        self.client = NamedRequests(f"{self.scheme}://{getattr(options, f'{self.scheme}_url')}", TIMEOUT)
        self.arrivals = arrivals_of(options)
        self.wait()

    def on_stop(self) -> None:
        """Wait for the responses on their way, and disconnect."""
        self.arrivals.in_flight.close()
        self.client.close()
        del self.client  # for free_clients

    def wait_time(self) -> float:
        """Seconds, as Locust asks for between two tasks."""
        return self.arrivals.wait()

    @task
    def turn(self) -> None:
        """Locust's task: send what is due."""
        self.arrivals.turn(self.send)

    def send(self, due: float, frame: Frame | None) -> None:
        """One request, reported to Locust with its time, its people and bytes of its response, or with its error."""
        if not self.tasks_to_do:  # all tasks by their shares, in random order: a short run has the mix of a long one
            self.tasks_to_do = [task for task, count in self.scenario.tasks.items() for _ in range(count)]
            random.shuffle(self.tasks_to_do)
        name = self.tasks_to_do.pop()
        image = self.images[frame.number % len(self.images)] if frame else random.choice(self.images)
        self.client.request_id = f"{frame.camera}/{frame.number}" if frame else ""
        people, size, failure = 0, 0, None
        try:
            response = getattr(self.client, name)(image)
            people, size = len(response) if isinstance(response, People) else 0, size_of(response)
        except RequestError as error:
            failure = error
        self.environment.events.request.fire(
            request_type=self.scheme,
            name=name,
            response_time=(time.perf_counter() - due) * 1000,
            response_length=size,
            exception=failure,
            context={"people": people, "dropped": frame.dropped if frame else 0},
        )


class GrpcUser(PerceptionUser):
    """A user over gRPC."""

    scheme = "grpc"


class HttpUser(PerceptionUser):
    """A user over HTTP."""

    scheme = "http"


def arrivals_of(options: Any) -> Arrivals:
    """As --scenario and --rate say."""
    if options.scenario == "video":
        return Camera(options.fps)
    if options.scenario == "bursts":
        return Bursts()
    return OpenLoop(options.rate_of_user) if options.rate else ClosedLoop()


def size_of(response: People | NDArray[Any]) -> int:
    """Bytes of the arrays."""
    arrays = vars(response).values() if isinstance(response, People) else [response]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))

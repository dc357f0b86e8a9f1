"""`python -m loadtest.experiments.sweep`: throughput and latency by the number of requests in flight, and where
the time goes.

The client is a process of its own. Tables and pictures go to `performance.md` and `images/` of the folder `--out`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tritonclient.grpc import InferenceServerClient

from demo.evaluate import evaluation_scene
from loadtest.experiments import machine, plots
from loadtest.experiments.ideal_queue import ideal_queue
from loadtest.experiments.load import (
    LoadResult,
    Response,
    closed_load,
    latencies,
    open_load,
    poisson_arrivals,
    steady,
    throughput,
)
from loadtest.experiments.random_weights import repository_with_random_weights, tuned_deployment
from loadtest.experiments.triton_statistics import STAGES, StepStatistics, read_counters, steps
from loadtest.results import percentiles
from poseserve.deployment import TRIED_PRECISIONS
from poseserve.repository.folders import REPOSITORIES
from poseserve.serving.server import Server
from poseserve.tune import describe, engines

SCENES = 8
OPEN_SHARE, OPEN_LENGTH = 0.8, 5  # of the highest throughput; of the seconds of a closed run, for the sake of the p99
SEEDS = range(3)  # of the arrivals of the open runs
TASKS = "detect", "pose", "people"
BEGIN, END = "<!-- sweep:begin -->", "<!-- sweep:end -->"


@dataclass(frozen=True)
class ServerUnderTest:
    """Where the load goes. url: grpc://host:port; pid of one that was started here; metrics: host:port, where known;
    networks: what it serves, in words."""

    url: str
    pid: int | None = None
    metrics: str = ""
    networks: str = "the networks of the tree"


@dataclass(frozen=True)
class Run:
    """One closed or open load, its beginning and end included. usage: of client, server and GPUs, by name."""

    responses: list[Response]
    steps: list[StepStatistics]
    usage: dict[str, float]


@dataclass(frozen=True)
class Point:
    """A closed run: images and people per second, milliseconds of the requests, both while all users had a request in
    flight, and the rows of an execution of the step that has the most."""

    users: int
    images: float
    people: float
    p50: float
    p95: float
    p99: float
    batch: float
    run: Run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0."""
    arguments = parse_arguments(argv)
    images = [evaluation_scene(seed)[0] for seed in range(SCENES)]
    with (
        server_under_test(arguments.network, arguments.url, arguments.metrics_url) as server,
        InferenceServerClient(server.url.removeprefix("grpc://")) as api,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,  # gRPC does not survive a fork
    ):
        pool.submit(poisson_arrivals, 1, 1, 0).result()  # the client's imports, before the clock starts

        def run(load: Callable[..., LoadResult], amount: float, seconds: float) -> Run:
            return measure(server, api, pool, load, arguments.ensemble, images, amount, seconds)

        points = [point(users, run(closed_load, users, arguments.seconds)) for users in arguments.concurrency]
        rate = OPEN_SHARE * extremes(points)[-1].images
        opened = [run(partial(open_load, seed=seed), rate, OPEN_LENGTH * arguments.seconds) for seed in SEEDS]
        triton = api.get_server_metadata().version
    elsewhere = f"Triton {triton}; the client's machine: {machine.described()}"
    hardware = elsewhere if arguments.url else machine.described(triton)
    command = shlex.join(["python", "-m", "loadtest.experiments.sweep", *(sys.argv[1:] if argv is None else argv)])
    about = f"Command: `{command}`. `{arguments.ensemble}` of {SCENES} rendered scenes, {server.networks}; {hardware}."
    summary = conclusions(points, rate, opened)
    draw(arguments.out / "images", points)
    write_report(arguments.out / "performance.md", report(about, points, opened, summary))
    print("\n".join(summary))
    return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options; ends the program for those that do not go together."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.experiments.sweep", description=__doc__)
    parser.add_argument("--network", default="", help="of the catalogue, with random weights; else those of the tree")
    parser.add_argument("--url", default="", help="grpc://host:port of a running server, instead of one of its own")
    parser.add_argument("--metrics-url", default="", help="host:port of its metrics, for the use of its GPUs and cores")
    parser.add_argument("--ensemble", default="pose", help=f"{', '.join(TASKS)}, or one of these with .NETWORK")
    parser.add_argument("--concurrency", type=counts, default=[1, 2, 4, 8, 16, 32, 64], help="1,2,4,...")
    parser.add_argument("--seconds", type=float, default=10, help="of each closed run, at least")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args(argv)
    if arguments.ensemble.partition(".")[0] not in TASKS:
        parser.error(f"--ensemble {arguments.ensemble}: must be {', '.join(TASKS)}, or one of these with .NETWORK")
    if arguments.network and arguments.url:
        parser.error("--network is for a server of its own, --url names another")
    if arguments.metrics_url and not arguments.url:
        parser.error("--metrics-url is that of the server that --url names")
    return arguments


def counts(text: str) -> list[int]:
    """Ascending numbers from 1; ValueError for others."""
    numbers = sorted({int(part) for part in text.split(",")})
    if numbers[0] < 1:
        raise ValueError(f"{numbers[0]} requests in flight")
    return numbers


@contextmanager
def server_under_test(network: str, url: str, metrics: str) -> Iterator[ServerUnderTest]:
    """The server at `url`, else a new one with this network of the catalogue, or with those of the tree."""
    if url:
        yield ServerUnderTest(url, metrics=metrics, networks=url)
        return
    repositories, networks = REPOSITORIES, ServerUnderTest.networks
    with tempfile.TemporaryDirectory(prefix="poseserve-sweep-") as folder:
        if network:
            deployment = tuned_deployment(network, engines(TRIED_PRECISIONS))
            repositories = repository_with_random_weights(Path(folder), [network], deployment).folders
            networks = f"{network} as `poseserve tune` proposes, `{describe(deployment)}`"
        with Server(repositories, http_port=0, grpc_port=0, metrics_port=0) as started:
            yield ServerUnderTest(f"grpc://{started.grpc_url}", started.pid, started.metrics_url, networks)


def measure(
    server: ServerUnderTest,
    api: InferenceServerClient,
    pool: ProcessPoolExecutor,
    load: Callable[..., LoadResult],
    ensemble: str,
    images: Sequence[bytes],
    amount: float,
    seconds: float,
) -> Run:
    """Run `load` in the process of `pool` and watch the server meanwhile. amount: users, or images per second."""
    before, cpu, start = read_counters(api), _cpu_seconds(server), time.perf_counter()
    future = pool.submit(load, server.url, ensemble, images, amount, seconds)
    # Of a server that was started here its processes tell more than the gauges of the machine's cores.
    wanted = machine.GPU_GAUGES if server.pid else machine.GPU_GAUGES | machine.CPU_GAUGES
    gauges = []
    while not future.done():
        if server.metrics:
            gauges.append(machine.read_gauges(machine.read_metrics(server.metrics), wanted))
        wait([future], timeout=1)
    elapsed = time.perf_counter() - start
    usage = {"client cores": future.result().client_cpu / elapsed}
    if server.pid:
        usage["server cores"] = (_cpu_seconds(server) - cpu) / elapsed
        usage["server MB"] = machine.resident_bytes(server.pid) / 1e6
    for name in wanted:
        if values := [found[name] for found in gauges if name in found]:
            usage[name] = max(values) if name.endswith("MB") else float(np.mean(values))
    # Triton counts the ensemble itself too, whose time is that of its steps.
    inner = [step for step in steps(before, read_counters(api)) if step.model != ensemble]
    return Run(future.result().responses, inner, usage)


def _cpu_seconds(server: ServerUnderTest) -> float:
    return machine.cpu_seconds(server.pid) if server.pid else 0.0


def point(users: int, run: Run) -> Point:
    """The point of a closed run of so many users."""
    begin, end = steady(run.responses, users)
    images, people = throughput(run.responses, begin, end)
    settled = [r for r in run.responses if begin <= r.received <= end]
    return Point(users, images, people, *latencies(settled), max(step.batch for step in run.steps), run)


def extremes(points: Sequence[Point]) -> list[Point]:
    """The point with the fewest users, and that of the highest throughput."""
    best = max(points, key=lambda p: p.images)
    return [points[0], best] if best is not points[0] else [best]


def tail_ratio(run: Run) -> float:
    """p99 / p50 of the latency."""
    p50, _, p99 = latencies(run.responses)
    return p99 / p50


def median_run(opened: Sequence[Run]) -> Run:
    """The run of the median tail ratio."""
    return sorted(opened, key=tail_ratio)[len(opened) // 2]


def ideal_tail(points: Sequence[Point], opened: Sequence[Run]) -> str:
    """In words the p99 / p50 of an ideal queue for the arrivals of the open runs, the median of them; nothing unless a
    single user got a response for each image."""
    alone = [r.latency for r in points[0].run.responses]
    if points[0].users > 1 or len(alone) < SCENES:
        return ""
    images = [float(np.mean(alone[number::SCENES])) for number in range(SCENES)]
    ratios = []
    for run in opened:
        seconds, places = ideal_queue(sorted(r.sent for r in run.responses), images, extremes(points)[-1].images)
        p50, _, p99 = percentiles(seconds)
        ratios.append(p99 / p50)
    return f"; an ideal queue of such images, {places} at a time, first in, first out: {np.median(ratios):.1f}"


def conclusions(points: Sequence[Point], rate: float, opened: Sequence[Run]) -> list[str]:
    """The last lines of the output. rate: of the open runs, images per second."""
    best, last = extremes(points)[-1], points[-1]
    ratios, run = [tail_ratio(run) for run in opened], median_run(opened)
    p50, p95, p99 = latencies(run.responses)
    return [
        f"throughput at {last.users}: {last.images / best.images:.2f} of its maximum "
        f"({best.images:.2f} images/s at {best.users})",
        f"p99/p50 at {OPEN_SHARE:.0%}: {tail_ratio(run):.1f}, median of {len(ratios)} runs ({min(ratios):.1f} to "
        f"{max(ratios):.1f}){ideal_tail(points, opened)}",
        f"run of that median: {len(run.responses)} Poisson arrivals, {rate:.2f} images/s: p50 {p50:.0f} ms, "
        f"p95 {p95:.0f} ms, p99 {p99:.0f} ms",
    ]


def report(about: str, points: Sequence[Point], opened: Sequence[Run], summary: Sequence[str]) -> str:
    """The section of performance.md that is written anew."""
    used = dict.fromkeys(name for p in points for name in p.run.usage)  # not every gauge is there in every run
    runs = {
        "in flight": [str(p.users) for p in points],
        "images/s": [f"{p.images:.2f}" for p in points],
        "people/s": [f"{p.people:.1f}" for p in points],
        **{f"{name} ms": [f"{getattr(p, name):.0f}" for p in points] for name in ("p50", "p95", "p99")},
        "rows of a batch": [f"{p.batch:.1f}" for p in points],
        **{name: [_number(p.run.usage.get(name)) for p in points] for name in used},
    }
    loads = {str(p.users): p.run.steps for p in extremes(points)}
    loads[f"open, {OPEN_SHARE:.0%}"] = median_run(opened).steps
    rows = [(load, step) for load, found in loads.items() for step in found]
    spent = {
        "in flight": [load for load, _ in rows],
        "step": [step.model for _, step in rows],
        "rows of a batch": [f"{step.batch:.1f}" for _, step in rows],
        **{f"{stage} ms": [f"{step.milliseconds[i]:.1f}" for _, step in rows] for i, stage in enumerate(STAGES)},
    }
    paragraphs = [
        about,
        markdown(runs),
        "\n".join(f"- {line}" for line in summary),
        "![Latency against throughput](images/latency-throughput.svg)",
        "Where the time goes by Triton's statistics, means per request, with the fewest requests in flight, at the "
        "highest throughput, and in the open run of the median. Requests of one batch all wait for the whole of it.",
        markdown(spent),
        "![Where the time goes](images/steps.svg)",
    ]
    return "\n\n".join(paragraphs)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def markdown(columns: Mapping[str, Sequence[str]]) -> str:
    """A table, of its columns by their headers."""
    lines = [list(columns), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def draw(folder: Path, points: Sequence[Point]) -> None:
    """Writes the pictures that the report shows."""
    folder.mkdir(parents=True, exist_ok=True)
    users, rates = [p.users for p in points], [p.images for p in points]
    latency = {name: [getattr(p, name) for p in points] for name in ("p50", "p95", "p99")}
    plots.latency_throughput(folder / "latency-throughput.svg", users, rates, latency)
    plots.time_of_steps(folder / "steps.svg", {f"{p.users} in flight": p.run.steps for p in extremes(points)})


def write_report(path: Path, section: str) -> None:
    """Puts `section` between its marks in the file, or at the end of a file that has none."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    marked = f"{BEGIN}\n{section}\n{END}"
    old = re.search(f"{BEGIN}.*{END}", text, re.DOTALL)
    text = text[: old.start()] + marked + text[old.end() :] if old else f"{text}{marked}\n"
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

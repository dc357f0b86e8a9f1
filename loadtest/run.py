"""`python -m loadtest.run`: start a server, load it over both protocols, print throughput and latency."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path

from loadtest.results import TaskSummary, Thresholds, read_json, table, violations, write_csv, write_json
from poseserve.repository.folders import REPOSITORIES
from poseserve.serving.server import Server

ROOT = Path(__file__).resolve().parent.parent
OTHERS = "What is not listed goes to Locust: --scenario, --fps, --rate, --processes, GrpcUser, ..."


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 1 when a threshold was not kept, or no request was sent."""
    parser = argparse.ArgumentParser("python -m loadtest.run", description=__doc__, epilog=OTHERS, allow_abbrev=False)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--users", type=int, default=8, help="half of them over gRPC, half over HTTP")
    parser.add_argument("--images", default="", help="folder of JPEG files; rendered scenes when left out")
    parser.add_argument("--web", action="store_true", help="Locust's web page on http://127.0.0.1:8089, until Ctrl-C")
    parser.add_argument("--grpc-url", help="host:port of a server that runs already, default port 8001 here")
    parser.add_argument("--http-url", help="the same over HTTP, default port 8000 here")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table")
    parser.add_argument("--max-failures", type=float, metavar="SHARE", default=0.0, help="of all requests (0)")
    parser.add_argument("--max-p95", type=float, metavar="MS", default=float("inf"), help="of every row")
    parser.add_argument("--max-p99", type=float, metavar="MS", default=float("inf"), help="of every row")
    parser.add_argument("--min-rate", type=float, metavar="RATE", default=0.0, help="responses per second, in all")
    arguments, others = parser.parse_known_args(argv)
    thresholds = Thresholds(**{field.name: getattr(arguments, field.name) for field in fields(Thresholds)})
    given = arguments.grpc_url or arguments.http_url
    with nullcontext() if given else Server(REPOSITORIES, http_port=0, grpc_port=0, metrics_port=0) as server:
        grpc_url = server.grpc_url if server else arguments.grpc_url or "127.0.0.1:8001"
        http_url = server.http_url if server else arguments.http_url or "127.0.0.1:8000"
        load = arguments.seconds, arguments.users, arguments.images
        rows, log = run_locust(grpc_url, http_url, *load, options=others, web=arguments.web)
    if not rows or any(row.failures for row in rows):
        print(log, file=sys.stderr)
    print(table(rows))
    for file, write in ((arguments.csv, write_csv), (arguments.json, write_json)):
        if file:
            write(rows, file)
    lines = violations(rows, thresholds)
    print(*lines, sep="\n", end="\n" if lines else "", file=sys.stderr)
    return 1 if lines else 0


def run_locust(
    grpc_url: str,
    http_url: str,
    seconds: int,
    users: int,
    images: str = "",
    options: Sequence[str] = (),
    web: bool = False,
) -> tuple[list[TaskSummary], str]:
    """Load the server at these addresses (host:port). Returns what was measured, nothing when Locust could not start,
    and what Locust wrote.

    options: further ones of Locust and of our users. web: Locust writes to the terminal, and its page starts and stops
    the users.
    """
    with tempfile.TemporaryDirectory(prefix="poseserve-load-") as folder:
        file = Path(folder) / "rows.json"
        values = {
            "--locustfile": ROOT / "loadtest" / "locustfile.py",
            "--users": users,
            "--spawn-rate": users,
            "--run-time": f"{seconds}s",
            "--grpc-url": grpc_url,
            "--http-url": http_url,
            "--images": os.path.abspath(images) if images else "",
            "--rows": file,  # Locust's own files lack people and dropped frames, and round times to two digits
        }
        command = [sys.executable, "-m", "locust", *(f"{name}={value}" for name, value in values.items())]
        command += ["--web-host=127.0.0.1"] if web else ["--headless", "--only-summary", "--loglevel=WARNING"]
        output = None if web else subprocess.PIPE
        with subprocess.Popen([*command, *options], cwd=ROOT, stdout=output, stderr=output, text=True) as locust:
            try:
                _, log = locust.communicate()
            except KeyboardInterrupt:  # Locust got it too, and ends in order
                _, log = locust.communicate()
        return read_json(file) if file.exists() else [], log or ""


if __name__ == "__main__":
    sys.exit(main())

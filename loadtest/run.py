"""`python -m loadtest.run`: start a server, load it over both protocols, print throughput and latency."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poseserve.catalogue import REPOSITORIES
from poseserve.server import Server

ROOT = Path(__file__).resolve().parent.parent
HEADER = ("protocol", "task", "requests", "failures", "req/s", "p50 ms", "p95 ms", "p99 ms")


@dataclass(frozen=True)
class Row:
    """One task over one protocol; failures are among the requests, percentiles are milliseconds."""

    protocol: str
    task: str
    requests: int
    failures: int
    rate: float
    p50: float
    p95: float
    p99: float


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 1 when a request failed, or none was sent."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.run", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--users", type=int, default=8, help="half of them over gRPC, half over HTTP")
    parser.add_argument("--images", default="", help="folder of JPEG files; rendered scenes when left out")
    arguments = parser.parse_args(argv)
    with Server(REPOSITORIES, http_port=0, grpc_port=0, metrics_port=0) as server:
        rows, log = run_locust(server.grpc_url, server.http_url, arguments.seconds, arguments.users, arguments.images)
    failed = not rows or any(row.failures for row in rows)
    if failed:
        print(log, file=sys.stderr)
    print(table(rows))
    return 1 if failed else 0


def run_locust(grpc_url: str, http_url: str, seconds: int, users: int, images: str = "") -> tuple[list[Row], str]:
    """Load the server at these addresses (host:port); what was measured, and what Locust said.

    There are no rows when Locust could not start.
    """
    options = {
        "--locustfile": ROOT / "loadtest" / "locustfile.py",
        "--users": users,
        "--spawn-rate": users,
        "--run-time": f"{seconds}s",
        "--stop-timeout": 30,  # requests on their way may finish
        "--loglevel": "WARNING",
        "--grpc-url": grpc_url,
        "--http-url": http_url,
        "--images": os.path.abspath(images) if images else "",
    }
    # Not Locust's CSV files: they lack what was answered after their last tick.
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "--json"]
    command += [f"{name}={value}" for name, value in options.items()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return rows_of(json.loads(done.stdout or "[]")), done.stderr


def rows_of(entries: Sequence[Mapping]) -> list[Row]:
    """Locust's statistics as it prints them with --json."""
    if not entries:
        return []
    elapsed = max(e["last_request_timestamp"] for e in entries) - min(e["start_time"] for e in entries)
    return [
        Row(
            e["method"],
            e["name"],
            e["num_requests"],
            e["num_failures"],
            e["num_requests"] / elapsed,
            *(percentile(e["response_times"], share) for share in (0.5, 0.95, 0.99)),
        )
        for e in sorted(entries, key=lambda e: (e["method"], e["name"]))
    ]


def percentile(times: Mapping[str, int], share: float) -> float:
    """The least time that `share` of the requests did not exceed; `times` counts requests by milliseconds."""
    wanted, seen = share * sum(times.values()), 0
    for milliseconds in sorted(times, key=float):
        seen += times[milliseconds]
        if seen >= wanted:
            break
    return float(milliseconds)


def table(rows: Sequence[Row]) -> str:
    """The rows in columns, and their sum."""
    sums = (sum(getattr(row, key) for row in rows) for key in ("requests", "failures", "rate"))
    total = ("all", "", *sums, "", "", "")
    cells = [HEADER, *(tuple(map(_cell, vars(row).values())) for row in rows), tuple(map(_cell, total))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join([*map(str.ljust, row[:2], widths), *map(str.rjust, row[2:], widths[2:])]) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())

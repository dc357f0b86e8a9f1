"""What a load test measured: requests, a summary of each task, and the thresholds that it has to keep."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from poseclient.columns import columns

HEADER = ("protocol", "task", "requests", "failures", "dropped", "req/s", "people/s", "p50 ms", "p95 ms", "p99 ms")


class Request(NamedTuple):
    """One request. due: seconds since the epoch. milliseconds: from then to the response. people: in the response.
    dropped: frames of the same camera that were not sent before this one."""

    protocol: str
    task: str
    due: float
    milliseconds: float
    failed: bool
    people: int
    dropped: int


@dataclass(frozen=True)
class TaskSummary:
    """One task over one protocol, a row of the table. failures are among the requests, dropped frames are not; rates
    are per second of the whole run, percentiles are milliseconds."""

    protocol: str
    task: str
    requests: int
    failures: int
    dropped: int
    rate: float
    people_rate: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Thresholds:
    """What a run has to keep. max_failures: share of all requests. max_p95, max_p99: milliseconds of every task over
    every protocol. min_rate: successful responses per second, in all."""

    max_failures: float = 0.0
    max_p95: float = np.inf
    max_p99: float = np.inf
    min_rate: float = 0.0


def summarise(requests: Iterable[Request]) -> list[TaskSummary]:
    """By protocol and task; failed requests count in the percentiles."""
    groups: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in requests:
        groups[request.protocol, request.task].append(request)
    everything = [request for group in groups.values() for request in group]
    if not everything:
        return []
    elapsed = max(r.due + r.milliseconds / 1000 for r in everything) - min(r.due for r in everything)
    return [
        TaskSummary(
            *key,
            len(group),
            sum(r.failed for r in group),
            sum(r.dropped for r in group),
            len(group) / elapsed,
            sum(r.people for r in group) / elapsed,
            *percentiles([r.milliseconds for r in group]),
        )
        for key, group in sorted(groups.items())
    ]


def percentiles(milliseconds: Sequence[float] | NDArray[np.floating[Any]]) -> tuple[float, float, float]:
    """p50, p95 and p99: the least time that so many requests did not exceed."""
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99], method="inverted_cdf").tolist()
    return p50, p95, p99


def violations(rows: Sequence[TaskSummary], thresholds: Thresholds) -> list[str]:
    """A line for each threshold that was not kept."""
    if not rows:
        return ["no request was sent"]
    failures, requests = sum(row.failures for row in rows), sum(row.requests for row in rows)
    rate = sum(row.rate * (1 - row.failures / row.requests) for row in rows)
    lines = []
    if failures > thresholds.max_failures * requests:
        lines.append(f"{failures / requests:.2%} of the requests failed, limit {thresholds.max_failures:.2%}")
    if rate < thresholds.min_rate:
        lines.append(f"{rate:.1f} requests per second were answered, limit {thresholds.min_rate:g}")
    for name, limit in (("p95", thresholds.max_p95), ("p99", thresholds.max_p99)):
        over = [f"{row.protocol} {row.task} {getattr(row, name):.1f}" for row in rows if getattr(row, name) > limit]
        if over:
            lines.append(f"{name} in ms: {', '.join(over)}; limit {limit:g}")
    return lines


def table(rows: Sequence[TaskSummary]) -> str:
    """The rows in columns, and their sum."""
    counted = ("requests", "failures", "dropped", "rate", "people_rate")
    total = ("all", "", *(sum(getattr(row, key) for row in rows) for key in counted), "", "", "")
    return columns([HEADER, *(tuple(map(_cell, vars(row).values())) for row in rows), tuple(map(_cell, total))], left=2)


def _cell(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def write_json(rows: Iterable[TaskSummary], file: Path) -> None:
    """The rows as a list of objects."""
    file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def read_json(file: Path) -> list[TaskSummary]:
    """What `write_json` wrote."""
    return [TaskSummary(**row) for row in json.loads(file.read_text(encoding="utf-8"))]


def write_csv(rows: Iterable[TaskSummary], file: Path) -> None:
    """The rows below a line with their fields' names."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(TaskSummary)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, rows))

"""Requests become summaries, summaries a table, and thresholds tell what was not kept."""

from dataclasses import replace

import pytest

from loadtest.results import Request, TaskSummary, Thresholds, summarise, table, violations

SUMMARIES = [
    TaskSummary("grpc", "pose", 10, 1, 3, 2.5, 5.0, 40.0, 90.0, 120.0),
    TaskSummary("http", "parts", 5, 0, 0, 1.0, 0.0, 7.0, 8.0, 9.0),
]


def test_rates_are_of_the_whole_run_and_percentiles_count_requests():
    pose = [Request("grpc", "pose", 100.0 + i / 100, ms, False, 2, 0) for i, ms in enumerate([100, 9, *[20] * 9])]
    parts = [Request("grpc", "parts", 109.0, 1000, True, 0, 4)]
    times = [20.0, 100.0, 100.0]
    assert summarise([*pose, *parts]) == [
        TaskSummary("grpc", "parts", 1, 1, 4, 0.1, 0.0, 1000.0, 1000.0, 1000.0),
        TaskSummary("grpc", "pose", 11, 0, 0, 1.1, 2.2, *times),
    ]


def test_the_table_adds_up():
    lines = table(SUMMARIES).splitlines()
    assert lines[1].split() == ["grpc", "pose", "10", "1", "3", "2.5", "5.0", "40.0", "90.0", "120.0"]
    assert lines[-1].split() == ["all", "15", "1", "3", "3.5", "5.0"]


@pytest.mark.parametrize(
    ("thresholds", "line"),
    [
        (Thresholds(max_failures=0.05), "6.67% of the requests failed, limit 5.00%"),
        (Thresholds(0.1, min_rate=3.3), "3.2 requests per second were answered, limit 3.3"),
        (Thresholds(0.1, max_p95=80), "p95 in ms: grpc pose 90.0; limit 80"),
        (Thresholds(0.1, max_p99=8.5), "p99 in ms: grpc pose 120.0, http parts 9.0; limit 8.5"),
    ],
)
def test_each_violation_is_one_line(thresholds, line):
    assert violations(SUMMARIES, thresholds) == [line]


def test_thresholds_that_are_just_kept():
    assert violations(SUMMARIES, Thresholds(1 / 15, max_p95=90, max_p99=120, min_rate=3.25)) == []
    assert violations([replace(SUMMARIES[1])], Thresholds()) == []


def test_nothing_sent_is_never_good():
    assert violations([], Thresholds(max_failures=1)) == ["no request was sent"]

"""Requests become rows, rows a table, and limits tell what was not kept."""

from dataclasses import replace

import pytest

from loadtest.results import Limits, Request, Row, broken, rows_of, table

ROWS = [
    Row("grpc", "pose", 10, 1, 3, 2.5, 5.0, 40.0, 90.0, 120.0),
    Row("http", "parts", 5, 0, 0, 1.0, 0.0, 7.0, 8.0, 9.0),
]


def test_rates_are_of_the_whole_run_and_percentiles_count_requests():
    pose = [Request("grpc", "pose", 100.0 + i / 100, ms, False, 2, 0) for i, ms in enumerate([100, 9, *[20] * 9])]
    parts = [Request("grpc", "parts", 109.0, 1000, True, 0, 4)]
    times = [20.0, 100.0, 100.0]
    assert rows_of([*pose, *parts]) == [
        Row("grpc", "parts", 1, 1, 4, 0.1, 0.0, 1000.0, 1000.0, 1000.0),
        Row("grpc", "pose", 11, 0, 0, 1.1, 2.2, *times),
    ]


def test_the_table_adds_up():
    lines = table(ROWS).splitlines()
    assert lines[1].split() == ["grpc", "pose", "10", "1", "3", "2.5", "5.0", "40.0", "90.0", "120.0"]
    assert lines[-1].split() == ["all", "15", "1", "3", "3.5", "5.0"]


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        (Limits(max_failures=0.05), "6.67% of the requests failed, limit 5.00%"),
        (Limits(0.1, min_rate=3.3), "3.2 requests per second were answered, limit 3.3"),
        (Limits(0.1, max_p95=80), "p95 in ms: grpc pose 90.0; limit 80"),
        (Limits(0.1, max_p99=8.5), "p99 in ms: grpc pose 120.0, http parts 9.0; limit 8.5"),
    ],
)
def test_each_broken_limit_is_one_line(limits, line):
    assert broken(ROWS, limits) == [line]


def test_limits_that_are_just_kept():
    assert broken(ROWS, Limits(1 / 15, max_p95=90, max_p99=120, min_rate=3.25)) == []
    assert broken([replace(ROWS[1])], Limits()) == []


def test_nothing_sent_is_never_good():
    assert broken([], Limits(max_failures=1)) == ["no request was sent"]

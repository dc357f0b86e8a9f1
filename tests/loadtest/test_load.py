"""The load test sends every task over both protocols, and tells failures."""

import socket

import pytest

from loadtest.run import Row, percentile, rows_of, run_locust, table

TASKS = {(protocol, task) for protocol in ("grpc", "http") for task in ("pose", "detect", "parts")}


@pytest.fixture
def photos(tmp_path, scene):
    (tmp_path / "scene.JPG").write_bytes(scene.jpeg)
    return str(tmp_path)


def test_every_task_is_answered_over_both_protocols(photos, server):
    rows, log = run_locust(server.grpc_url, server.http_url, seconds=8, users=4, images=photos)
    assert {(row.protocol, row.task) for row in rows} == TASKS, log
    assert all(row.requests > 0 and row.failures == 0 for row in rows), log
    assert all(0 < row.p50 <= row.p95 <= row.p99 for row in rows)


def test_requests_without_a_server_fail_and_say_why(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"never decoded")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    rows, log = run_locust(address, address, seconds=2, users=4, images=str(tmp_path))
    assert {row.protocol for row in rows} == {"grpc", "http"}
    assert all(row.failures == row.requests > 0 for row in rows)
    assert f"grpc://{address} is unavailable" in log


def test_a_folder_without_images_ends_the_run_before_it_starts(tmp_path):
    rows, log = run_locust("127.0.0.1:1", "127.0.0.1:1", seconds=60, users=1, images=str(tmp_path))
    assert rows == []
    assert "holds no JPEG files" in log


def test_rates_are_of_the_whole_run():
    common = {"method": "grpc", "num_failures": 0, "response_times": {"8": 10}}
    entries = [
        common | {"name": "pose", "num_requests": 30, "start_time": 100.0, "last_request_timestamp": 104.0},
        common | {"name": "parts", "num_requests": 10, "start_time": 102.0, "last_request_timestamp": 110.0},
    ]
    assert [(row.task, row.rate) for row in rows_of(entries)] == [("parts", 1.0), ("pose", 3.0)]


def test_percentiles_count_requests():
    times = {"100": 1, "9": 90, "20": 9}
    assert [percentile(times, share) for share in (0.5, 0.9, 0.95, 0.99, 1.0)] == [9, 9, 20, 20, 100]


def test_the_table_adds_up():
    rows = [
        Row("grpc", "pose", 10, 1, 2.5, 40.0, 90.0, 120.0),
        Row("http", "parts", 5, 0, 1.0, 7.0, 8.0, 9.0),
    ]
    lines = table(rows).splitlines()
    assert lines[1].split() == ["grpc", "pose", "10", "1", "2.5", "40.0", "90.0", "120.0"]
    assert lines[-1].split() == ["all", "15", "1", "3.5"]

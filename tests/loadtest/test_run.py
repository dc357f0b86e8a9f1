"""The load test sends every task over both protocols, keeps its arrivals, and tells failures and violations."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest
import tritonclient.grpc
import urllib3

from loadtest.run import ROOT, main, run_locust

TASKS = {(protocol, task) for protocol in ("grpc", "http") for task in ("pose", "detect", "parts", "people")}


@pytest.fixture
def photos(tmp_path, scene):
    (tmp_path / "scene.JPG").write_bytes(scene.jpeg)
    return str(tmp_path)


@pytest.fixture
def nowhere():
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    return address


def test_every_task_is_answered_over_both_protocols(photos, server):
    rows, log = run_locust(server.grpc_url, server.http_url, seconds=8, users=2, images=photos)
    assert {(row.protocol, row.task) for row in rows} == TASKS, log
    assert all(row.requests > 0 and row.failures == row.dropped == 0 for row in rows), log
    assert all(0 < row.p50 <= row.p95 <= row.p99 for row in rows)
    for row in rows:
        assert row.people_rate == pytest.approx(0 if row.task == "parts" else 4 * row.rate)


def test_requests_without_a_server_fail_and_say_why(tmp_path, nowhere):
    (tmp_path / "a.jpg").write_bytes(b"never decoded")
    rows, log = run_locust(nowhere, nowhere, seconds=2, users=4, images=str(tmp_path))
    assert {row.protocol for row in rows} == {"grpc", "http"}
    assert all(row.failures == row.requests > 0 for row in rows)
    assert f"grpc://{nowhere} is unavailable" in log


def test_a_folder_without_images_ends_the_run_before_it_starts(tmp_path):
    rows, log = run_locust("127.0.0.1:1", "127.0.0.1:1", seconds=60, users=1, images=str(tmp_path))
    assert rows == []
    assert "holds no JPEG files" in log


def test_arrivals_do_not_depend_on_responses_nor_on_the_number_of_processes(photos, nowhere):
    rows, log = run_locust(nowhere, nowhere, 3, 4, photos, ["--scenario=photos", "--rate=50", "--processes=2"])
    assert {(row.protocol, row.task) for row in rows} == {("grpc", "pose"), ("http", "pose")}, log
    assert 60 <= sum(row.requests for row in rows) <= 210  # at most 150, standard deviation 12; workers start late


def test_cameras_drop_frames_and_name_the_others(photos, server):
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as api:
        api.update_log_settings({"log_verbose_level": 1})
        start = server.log_file.stat().st_size
        rows, log = run_locust(server.grpc_url, server.http_url, 3, 2, photos, ["--scenario=video", "--fps=100"])
        api.update_log_settings({"log_verbose_level": 0})
    assert [(row.protocol, row.task, row.failures) for row in rows] == [("grpc", "pose", 0), ("http", "pose", 0)], log
    with server.log_file.open("rb") as stream:
        stream.seek(start)
        named = set(re.findall(r"request id: ([0-9a-f]{8})/(\d+)", stream.read().decode()))
    assert len({camera for camera, _ in named}) == 2
    for camera in {camera for camera, _ in named}:
        numbers = sorted(int(number) for name, number in named if name == camera)
        assert numbers[0] == 0
        # Every number is a request or a dropped frame; Locust may end a user that has just sent its last.
        counted = {(len(sent), sent[-1] + 1 - len(sent)) for sent in (numbers, numbers[:-1])}
        assert any((row.requests, row.dropped) in counted for row in rows)
    assert all(row.dropped > 0 for row in rows)


def test_violations_are_told_and_the_table_is_written(photos, server, tmp_path, capsys):
    files = ["--csv", str(tmp_path / "rows.csv"), "--json", str(tmp_path / "rows.json")]
    where = ["--grpc-url", server.grpc_url, "--http-url", server.http_url, "--images", photos]
    load = ["--seconds", "2", "--users", "1", "--scenario", "bursts", "GrpcUser"]
    assert main([*where, *load, *files, "--max-p95", "0.5", "--max-p99", "100000", "--min-rate", "0.01"]) == 1
    shown = capsys.readouterr()
    [row] = json.loads((tmp_path / "rows.json").read_text())
    assert shown.err == f"p95 in ms: grpc pose {row['p95']:.1f}; limit 0.5\n"
    assert row["requests"] % 16 == 0
    assert shown.out.splitlines()[1].split()[:4] == ["grpc", "pose", str(row["requests"]), "0"]
    header, line = (tmp_path / "rows.csv").read_text().splitlines()
    assert dict(zip(header.split(","), line.split(","), strict=True)) == {key: str(value) for key, value in row.items()}


def test_the_web_page_starts_a_scenario(photos, nowhere):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "loadtest.run", "--web", f"--web-port={port}", "--images", photos]
    command += ["--grpc-url", nowhere, "--http-url", nowhere]
    page = f"http://127.0.0.1:{port}"
    http = urllib3.PoolManager(timeout=60, retries=urllib3.Retry(connect=10, read=0, backoff_factor=0.1))
    # A session of its own, so that the signal reaches both processes as Ctrl-C in a terminal does.
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        try:
            assert any("Starting web interface" in line for line in process.stderr)
            assert b"crowds" in http.request("GET", page).data
            wanted = {"user_count": "2", "spawn_rate": "2", "scenario": "photos", "rate": "20"}
            assert http.request("POST", f"{page}/swarm", fields=wanted).json()["success"]
            seen = (http.request("GET", f"{page}/stats/requests").json()["stats"] for _ in range(5000))
            assert any({"grpc", "http"} <= {entry["method"] for entry in stats} for stats in seen)
            os.killpg(process.pid, signal.SIGINT)
            shown, _ = process.communicate(timeout=90)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 1  # nobody answered
    assert {"grpc", "http", "pose"} <= set(shown.split())
    assert not {"detect", "parts", "people"} & set(shown.split())

from __future__ import annotations

import http.client
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from poseserve.errors import ServerError
from poseserve.repository.folders import ROOT
from poseserve.serving import server as server_module
from poseserve.serving import supervisor
from poseserve.serving.server import Server
from tests.poseserve.serving.traces import processes, shared_memory


@pytest.fixture(autouse=True)
def workspaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder below which servers keep their workspaces."""
    folder = tmp_path / "workspaces"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def _server(*repositories: Path, **options) -> Server:
    return Server(repositories, http_port=0, grpc_port=0, metrics_port=0, **options)


def _echo(grpc_url: str, text: bytes, model: str = "echo") -> bytes:
    client = InferenceServerClient(grpc_url)
    tensor = InferInput("IN", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([text], dtype=object))
    answer = client.infer(model, [tensor]).as_numpy("OUT")
    client.close()
    return answer[0]


def test_a_started_server_answers_and_a_stopped_one_leaves_nothing(
    steps: Path, tmp_path: Path, workspaces: Path
) -> None:
    with _server(steps) as server:
        assert _echo(server.grpc_url, b"hello") == b"hello"
        names = os.listdir(workspaces)
        pids = processes(tmp_path)
        assert len(names) == 1
        assert server.pid in pids
        assert shared_memory(names)
    assert not os.listdir(workspaces)
    assert not processes(tmp_path)
    assert not shared_memory(names)


@pytest.mark.parametrize(("host", "loads"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_models_are_loaded_at_the_word_of_this_machine_alone(steps: Path, host: str, loads: bool) -> None:
    with _server(steps, host=host) as server, InferenceServerClient(server.grpc_url) as client:
        if loads:
            client.load_model("echo")
        else:
            with pytest.raises(InferenceServerException, match="explicit model load / unload is not allowed"):
                client.load_model("echo")
        assert _echo(server.grpc_url, b"hello") == b"hello"


def test_a_server_restarts_on_the_same_ports(steps: Path) -> None:
    with _server(steps) as first:
        ports = [int(url.rpartition(":")[2]) for url in (first.http_url, first.grpc_url, first.metrics_url)]
        assert _echo(first.grpc_url, b"one") == b"one"
    second = Server([steps], "127.0.0.1", *ports)
    for text in (b"two", b"three"):
        with second:
            assert second.grpc_url == first.grpc_url
            assert _echo(second.grpc_url, text) == text


def test_a_request_in_flight_is_answered_before_the_end(answering_gate: Path) -> None:
    server = _server(answering_gate.parents[2])
    server.start()
    with ThreadPoolExecutor(2) as threads:
        answer = threads.submit(_echo, server.grpc_url, b"last", "gated")
        with answering_gate.open("wb"):  # returns once the model has the request
            stopped = threads.submit(server.stop)
            _await_refusal(server.http_url)
        assert answer.result(60) == b"last"
        stopped.result(60)


def _await_refusal(http_url: str) -> None:
    """Return when Triton has begun to end: it says that it is not ready, or takes no more connections."""
    while True:
        connection = http.client.HTTPConnection(http_url, timeout=5)
        try:
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status != http.HTTPStatus.OK:
                return
        except OSError:
            return
        finally:
            connection.close()


def test_a_model_that_does_not_load_ends_the_start_with_its_reason(
    steps: Path, refusing: Path, tmp_path: Path, workspaces: Path
) -> None:
    with pytest.raises(ServerError, match=r"^Triton cannot start: refusing: .*this model has its reasons"):
        _server(steps, refusing).start()
    assert not processes(tmp_path)
    assert not os.listdir(workspaces)


def test_without_exit_on_error_the_other_models_are_served(steps: Path, refusing: Path) -> None:
    with _server(steps, refusing, exit_on_error=False) as server:
        assert _echo(server.grpc_url, b"hello") == b"hello"


def test_a_taken_port_is_named(steps: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"grpc port {port} on 127.0.0.1: Address already in use; .*--grpc-port"):
            Server([steps], http_port=0, grpc_port=port, metrics_port=0).start()


def test_a_server_that_answers_in_its_stead_does_not_make_it_ready(steps: Path, loading_gate: Path) -> None:
    """Triton takes its ports once its models are loaded: until then another may, and answer that it is ready."""
    late = _server(loading_gate.parents[2])
    with ThreadPoolExecutor(1) as threads:
        started = threads.submit(late.start)
        with loading_gate.open("wb"):  # returns once the model is loading
            ports = [int(url.rpartition(":")[2]) for url in (late.http_url, late.grpc_url, late.metrics_url)]
            early = Server([steps], "127.0.0.1", *ports)
            early.start()
        try:
            with pytest.raises(ServerError, match=r"port: 127\.0\.0\.1:\d+ is in use; choose another with --grpc-port"):
                started.result(60)
            assert _echo(early.grpc_url, b"mine") == b"mine"
        finally:
            early.stop()
            late.stop()


@pytest.mark.parametrize("name", ["http", "grpc", "metrics"])
def test_a_port_that_is_taken_while_models_load_is_named(loading_gate: Path, name: str) -> None:
    late = _server(loading_gate.parents[2])
    with ThreadPoolExecutor(1) as threads:
        started = threads.submit(late.start)
        with loading_gate.open("wb"):
            port = int(getattr(late, f"{name}_url").rpartition(":")[2])
            taken = socket.create_server(("127.0.0.1", port))
        with taken, pytest.raises(ServerError, match=f"{name} port: 127.0.0.1:{port} is in use; .* --{name}-port"):
            started.result(60)


def test_a_server_listens_on_the_address_that_it_is_given_alone(steps: Path) -> None:
    with _server(steps, host="127.0.0.2") as server:
        urls = (server.http_url, server.grpc_url, server.metrics_url)
        assert {url.rpartition(":")[0] for url in urls} == {"127.0.0.2"}
        assert _echo(server.grpc_url, b"hello") == b"hello"
        for url in urls:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5)


def test_what_is_loaded_is_told_as_it_is_loaded(steps: Path, loading_gate: Path) -> None:
    told: queue.Queue[str] = queue.Queue()
    server = _server(steps, loading_gate.parents[2], tell_loaded=told.put)
    with ThreadPoolExecutor(1) as threads:
        started = threads.submit(server.start)
        with loading_gate.open("wb"):
            assert told.get(timeout=60) == "echo"
            assert not started.done()
        started.result(60)
    server.stop()
    assert told.get(timeout=60) == "blocking"
    assert told.empty()


STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"


def test_a_triton_that_does_not_end_after_its_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "KILL_AFTER_SECONDS", 0.2)
    with (
        subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE) as process,
        open(os.devnull) as gone,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"deaf\n"
            monkeypatch.setattr(sys, "stdin", gone)
            supervisor.stop_with_parent(process.pid, threading.Event())
            assert process.wait(60) == -signal.SIGKILL
        finally:
            process.kill()


def test_a_missing_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=f"there is no model repository {tmp_path}/nowhere"):
        _server(tmp_path / "nowhere").start()


def test_wait_returns_the_signal_that_ended_triton(steps: Path, tmp_path: Path) -> None:
    with _server(steps) as server:
        os.kill(server.pid, signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
    assert not processes(tmp_path)


def test_a_server_outlives_the_thread_that_started_it(steps: Path) -> None:
    server = _server(steps)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert _echo(server.grpc_url, b"hello") == b"hello"
    finally:
        server.stop()


def test_a_wheel_that_lost_its_permissions_still_serves(
    steps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zip extraction drops them; the binary is taken for one that may not be executed."""
    monkeypatch.setattr(server_module.os, "access", lambda path, mode: False)
    with _server(steps) as server:
        assert Path(f"/proc/{server.pid}/exe").resolve().is_relative_to(tmp_path)


def test_another_triton_on_path_is_preferred(steps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "bin" / "tritonserver"
    binary.parent.mkdir()
    binary.write_text("#!/bin/sh\necho found on PATH\nexit 3\n", encoding="utf-8")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    with pytest.raises(ServerError, match=r"(?s)exit code 3 .*found on PATH"):
        _server(steps).start()


def test_without_any_triton_the_error_says_what_to_install(steps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ServerError, match="pip install nvidia-pytriton"):
        _server(steps).start()


def test_the_environment_need_not_be_activated(steps: Path) -> None:
    """A model's process finds the packages of the Python that runs the server."""
    script = (
        "import sys; from pathlib import Path; from poseserve.serving.server import Server\n"
        "with Server([Path(sys.argv[1])], http_port=0, grpc_port=0, metrics_port=0): print('served')"
    )
    root = ROOT
    done = subprocess.run(
        [sys.executable, "-c", script, steps], env={"PATH": "/usr/bin:/bin"}, cwd=root, capture_output=True, text=True
    )
    assert done.stdout == "served\n", done.stderr

"""A baseline answers as the pipeline does in its turn, and is stopped otherwise."""

from __future__ import annotations

import contextlib
import http.client
import signal
import subprocess
import sys

import psutil
import pytest

from loadtest.baselines.compare import BASELINE_PATH, post
from loadtest.baselines.process import Baseline, fastapi_command, litserve_command
from loadtest.baselines.settings import Settings
from poseserve.repository.folders import ROOT

# A program with a server that waits for its turn.
WAITING = """
import signal
from loadtest.baselines import process
from loadtest.baselines.settings import READY, Settings

process.PYTHON = "python3"
server = "import signal, socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); "
server += f"print({READY!r}, flush=True); signal.pause()"
settings = Settings(workers=1, threads=1, at_once=1, wait=0, root="")
with process.Baseline(lambda settings, port: ["-c", server, str(port)], settings) as baseline:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the shell of the tests had it ignore
    print(baseline.pid, flush=True)
    signal.pause()
"""
SETTINGS = Settings(workers=1, threads=1, at_once=2, wait=0.01, root=str(ROOT))


@pytest.mark.slow
@pytest.mark.usefixtures("baselines")
@pytest.mark.parametrize("command", [fastapi_command, litserve_command])
def test_a_baseline_answers_as_the_pipeline_and_is_stopped_between_its_turns(command, workload):
    with Baseline(command, SETTINGS) as baseline:
        processes = psutil.Process(baseline.pid).children(recursive=True)
        stopped = http.client.HTTPConnection(baseline.url, timeout=2)
        with contextlib.closing(stopped), pytest.raises(TimeoutError):
            post(stopped, BASELINE_PATH, workload.images[0])
        with baseline.running():
            workload.check(baseline.url)
            responses = workload.send(baseline.url, BASELINE_PATH, 0)
    assert len(responses) >= workload.clients
    _, left = psutil.wait_procs(processes, timeout=30)
    assert not left


def test_a_baseline_that_ends_at_once_says_why(monkeypatch):
    monkeypatch.setattr("loadtest.baselines.process.PYTHON", "python3")
    with (
        pytest.raises(RuntimeError, match="no such application"),
        Baseline(lambda *_: ["-c", "raise SystemExit('no such application')"], SETTINGS),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_server_that_waits_for_its_turn_ends_with_the_program_whatever_ends_it(number):
    with subprocess.Popen([sys.executable, "-c", WAITING], cwd=ROOT, stdout=subprocess.PIPE) as program:
        server = psutil.Process(int(program.stdout.readline()))
        program.send_signal(number)
        program.wait(timeout=60)
    server.wait(timeout=20)  # the supervisor would kill a stopped one after 45 seconds

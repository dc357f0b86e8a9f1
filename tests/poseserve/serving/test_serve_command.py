"""`python -m poseserve serve`: what it prints, how it ends, and that nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.poseserve.serving.traces import await_end, processes, shared_memory

ROOT = Path(__file__).resolve().parents[3]
Serve = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts the command on free ports, its workspaces below `tmp_path`; ends what is left of it."""
    started: list[subprocess.Popen[str]] = []

    def start(*repositories: Path) -> subprocess.Popen[str]:
        ports = [f"--{name}-port=0" for name in ("http", "grpc", "metrics")]
        process = subprocess.Popen(
            [sys.executable, "-m", "poseserve", "serve", *ports, "--repository", *repositories],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def _next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _await_ready(process: subprocess.Popen[str]) -> str:
    assert _next_line(process).startswith("starting Triton with ")
    return _next_line(process)


def _workspaces(tmp_path: Path) -> list[str]:
    return [path.name for path in tmp_path.glob("poseserve-*")]


def _triton(tmp_path: Path) -> int:
    """Process id of the Triton that runs: it leads a group, and its binary is called so."""
    (pid,) = (p for p in processes(tmp_path) if Path(f"/proc/{p}/comm").read_text().strip() == "tritonserver")
    return pid


def test_ready_is_said_after_every_ensemble_answered(serve: Serve, steps: Path, ensembles: Path) -> None:
    line = _await_ready(serve(steps, ensembles))
    url = r"127\.0\.0\.1:\d+"
    assert re.match(rf"ready: http {url} grpc {url} metrics {url} \(dry run: everything \d+ ms; log: ", line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_nothing_is_left(serve: Serve, steps: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = serve(steps)
    _await_ready(process)
    workspaces, pids = _workspaces(tmp_path), processes(tmp_path)
    assert shared_memory(workspaces)
    process.send_signal(number)
    await_end(pids)
    assert process.wait() == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert not processes(tmp_path)
    assert not shared_memory(workspaces)
    assert not _workspaces(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_start_that_was_broken_off(
    serve: Serve, loading_gate: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = serve(loading_gate.parents[2])
    with loading_gate.open("wb"):  # returns once the model is loading
        workspaces, pids = _workspaces(tmp_path), processes(tmp_path)
        process.send_signal(number)
        await_end(pids)
    assert process.wait() == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert not processes(tmp_path)
    assert not shared_memory(workspaces)
    assert not _workspaces(tmp_path)


def test_a_second_signal_does_not_break_off_the_orderly_end(serve: Serve, steps: Path, tmp_path: Path) -> None:
    process = serve(steps)
    _await_ready(process)
    pids = processes(tmp_path)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    await_end(pids)
    assert process.wait() == 0
    assert not _workspaces(tmp_path)


def test_a_triton_that_ends_by_itself_is_an_error(serve: Serve, steps: Path, tmp_path: Path) -> None:
    process = serve(steps)
    _await_ready(process)
    os.kill(_triton(tmp_path), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "poseserve: Triton ended by itself with exit code -9" in errors
    assert not processes(tmp_path)


def test_a_failed_start_shows_the_reason(serve: Serve, refusing: Path, tmp_path: Path) -> None:
    process = serve(refusing)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "this model has its reasons" in errors
    assert not processes(tmp_path)


def test_an_ensemble_that_fails_its_dry_run_is_named(
    serve: Serve, tmp_path: Path, steps: Path, ensembles: Path
) -> None:
    model = steps / "echo" / "1" / "model.py"
    model.write_text(model.read_text(encoding="utf-8").replace(".as_numpy()", ".missing()"), encoding="utf-8")
    process = serve(steps, ensembles)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "dry run: everything answered: in ensemble 'everything'" in errors
    assert not processes(tmp_path)

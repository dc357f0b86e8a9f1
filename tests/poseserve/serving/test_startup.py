"""A start that cannot succeed ends within seconds and says why; one that makes no progress says what it waits for."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from poseserve.errors import ServerError
from poseserve.repository.folders import ROOT
from poseserve.serving import interpreter, server, startup
from poseserve.serving.server import Server
from tests.poseserve.serving.models import ECHO, write_model
from tests.poseserve.serving.traces import processes

SECONDS = 5.0
LOADER = "error while loading shared libraries: libpython3.11.so.1.0: cannot open shared object file"
SERVE = """
import sys
from pathlib import Path
from poseserve.serving.server import Server
with Server([Path(sys.argv[1])], http_port=0, grpc_port=0, metrics_port=0):
    print("served")
"""


def refusal(*repositories: Path, **options) -> str:
    """The words of the ServerError with which the start ends in time."""
    began = time.monotonic()
    with pytest.raises(ServerError) as caught:
        Server(repositories, http_port=0, grpc_port=0, metrics_port=0, **options).start()
    assert time.monotonic() - began < SECONDS
    return str(caught.value)


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that runs Python models, to be written: the rest of Triton is the real one."""
    command, environment = server.find_triton(tmp_path)
    program = tmp_path / "backends" / "python" / "triton_python_backend_stub"
    wrapper = tmp_path / "path" / "tritonserver"
    wrapper.parent.mkdir()
    libraries = shlex.quote(environment["LD_LIBRARY_PATH"])
    wrapper.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {shlex.join(command)} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", str(wrapper.parent), prepend=os.pathsep)
    return program


@pytest.mark.parametrize("exit_on_error", [True, False])
def test_a_missing_library_of_the_stub_is_named(steps: Path, stub: Path, tmp_path: Path, exit_on_error: bool) -> None:
    stub.write_text(f'#!/bin/sh\necho "$0: {LOADER}" >&2\nexit 127\n', encoding="utf-8")
    assert refusal(steps, exit_on_error=exit_on_error) == f"Triton cannot start: Python models cannot start: {LOADER}"
    assert not processes(tmp_path)


def test_a_stub_that_dies_without_a_word_is_noticed(steps: Path, stub: Path, tmp_path: Path) -> None:
    stub.write_text("#!/bin/sh\nkill -9 $$\n", encoding="utf-8")
    words = refusal(steps)
    assert words == "Triton cannot start: the process of a Python model died as it started (waits for echo)"
    assert not processes(tmp_path)


def test_an_import_error_is_shown_though_other_models_still_load(loading_gate: Path) -> None:
    repository = loading_gate.parents[2]
    write_model(repository, "importing", f"import nothing_of_that_name\n{ECHO}")
    assert "importing: Internal: ModuleNotFoundError: No module named 'nothing_of_that_name'" in refusal(repository)


def test_a_backend_that_is_not_there_is_named(steps: Path) -> None:
    config = steps / "echo" / "config.pbtxt"
    config.write_text(config.read_text(encoding="utf-8").replace('"python"', '"absent"'), encoding="utf-8")
    assert "echo: Invalid argument: unable to find backend library for backend 'absent'" in refusal(steps)


def test_several_reasons_are_all_shown(steps: Path) -> None:
    for name in ("one", "two"):
        write_model(steps, name, f"import nothing_called_{name}\n{ECHO}")
    words = refusal(steps)
    assert words.startswith("Triton cannot start: ")
    assert any(f"No module named 'nothing_called_{name}'" in words for name in ("one", "two"))


def test_a_tiny_shared_memory_is_named(steps: Path) -> None:
    """In a mount namespace of its own, where /dev/shm has less than a single model needs."""
    mount = "mount -t tmpfs -o size=1m tmpfs /dev/shm && head -c 500000 /dev/zero > /dev/shm/full"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("a /dev/shm of one's own needs root and mount namespaces")
    command = f"{mount} && exec {shlex.join([sys.executable, '-c', SERVE, str(steps)])}"
    began = time.monotonic()
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert time.monotonic() - began < SECONDS + 5  # and the imports
    assert "Triton cannot start: echo: Internal: Unable to initialize shared memory key" in done.stderr
    assert "No space left on device" in done.stderr


def test_what_a_start_without_progress_waits_for_is_said_and_then_given_up(
    steps: Path, loading_gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "WAIT_SECONDS", 0.5)
    monkeypatch.setattr(startup, "GIVE_UP_SECONDS", 2.0)
    said: list[str] = []
    words = refusal(steps, loading_gate.parents[2], say=said.append)
    assert words == "Triton cannot start: nothing has happened for 2 s: waits for blocking"
    assert len(said) >= 1
    assert said[-1].startswith("Triton: waits for blocking; nothing new for ")


def test_a_python_without_its_library_is_refused_before_triton_starts(
    steps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "library_folder", lambda: None)
    assert f"{interpreter.library_name()} is missing" in refusal(steps)
    assert "apt-get install libpython3." in refusal(steps)


def test_a_python_that_has_no_stub_is_refused(steps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter.sys, "version_info", (3, 13, 0, "final", 0))
    assert "Python 3.13 cannot serve, only 3.10, 3.11, 3.12 can" in refusal(steps)


@pytest.mark.parametrize(("level", "informed"), [("warning", False), ("info", True)])
def test_a_started_server_logs_at_the_level_that_was_asked_for(
    steps: Path, tmp_path: Path, level: str, informed: bool
) -> None:
    log = tmp_path / "triton.log"
    with Server([steps], http_port=0, grpc_port=0, metrics_port=0, log_level=level, log_file=log):
        pass
    assert "successfully loaded 'echo'" in log.read_text(encoding="utf-8")
    assert ("Waiting for in-flight requests" in log.read_text(encoding="utf-8")) == informed

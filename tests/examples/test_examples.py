"""The examples find what `PoseClient` finds, and say what the server refuses."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseclient import PoseClient
from poseserve.repository.folders import ROOT
from poseserve.serving.server import Server

EXAMPLES = ROOT / "examples"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(?:node|go|curl|python) .*$", README, re.MULTILINE)
POSE = [["node", EXAMPLES / "pose.mjs"], ["go", "run", EXAMPLES / "pose.go"]]


@pytest.fixture(params=POSE, ids=["node", "go"])
def pose(request: pytest.FixtureRequest) -> list[str | Path]:
    """The command of an example that asks the server itself."""
    program = request.param[0]
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} on PATH")
    return request.param


@pytest.fixture
def picture(scene, tmp_path) -> Path:
    file = tmp_path / "out" / "image.jpg"
    file.parent.mkdir()
    file.write_bytes(scene.jpeg)
    return file


@pytest.fixture
def no_picture(tmp_path) -> Path:
    file = tmp_path / "out" / "image.jpg"
    file.parent.mkdir()
    file.write_text("not an image")
    return file


def run(command: list[str | Path], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


def run_typed(program: str, server: Server, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command of examples/README.md, for the server of these tests, in a folder with out/image.jpg."""
    [command] = [command for command in COMMANDS if command.startswith(f"{program} ")]
    words = shlex.split(command.replace("127.0.0.1:8000", server.http_url).replace("examples/", f"{EXAMPLES}/"))
    return run([sys.executable if program == "python" else program, *words[1:]], folder)


def curl_and_read(server: Server, folder: Path) -> subprocess.CompletedProcess[str]:
    assert run_typed("curl", server, folder).returncode == 0
    return run_typed("python", server, folder)


def check(done: subprocess.CompletedProcess[str], scene: Any, server: Server, **parameters: float) -> int:
    """The number of people, who must be those that the client finds."""
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    with PoseClient(f"http://{server.http_url}") as client:
        wanted = client.pose(scene.jpeg, **parameters)
    assert found["keypoint_set"] == wanted.keypoint_set
    for key, values in (("box", wanted.boxes), ("score", wanted.scores), ("keypoints", wanted.keypoints)):
        np.testing.assert_allclose([person[key] for person in found["people"]], values, atol=1e-3)
    return len(wanted)


def check_refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert words.lower() in done.stderr.lower()


def test_finds_what_the_client_finds(pose, picture, scene, server):
    assert check(run([*pose, "--url", f"http://{server.http_url}", picture]), scene, server) == 4


def test_sends_parameters(pose, picture, scene, server):
    with PoseClient(f"http://{server.http_url}") as client:
        threshold = float(client.pose(scene.jpeg).scores[1:3].mean())
    done = run([*pose, "--score-threshold", str(threshold), "--url", f"http://{server.http_url}", picture])
    assert check(done, scene, server, score_threshold=threshold) == 2


def test_does_what_the_readme_says(pose, picture, scene, server, tmp_path):
    check(run_typed(pose[0], server, tmp_path), scene, server, score_threshold=0.4)


def test_says_what_the_server_refuses(pose, no_picture, server):
    check_refused(run([*pose, "--url", f"http://{server.http_url}", no_picture]), "JPEG")


def test_says_that_no_server_answers(pose, picture):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    check_refused(run([*pose, "--url", url, picture]), "refused")


def test_says_how_it_is_used(pose):
    check_refused(run(pose), "usage")


def test_reads_what_curl_wrote(picture, scene, server, tmp_path):
    assert check(curl_and_read(server, tmp_path), scene, server) == 4


def test_reads_the_refusal_that_curl_wrote(no_picture, server, tmp_path):
    check_refused(curl_and_read(server, tmp_path), "JPEG")

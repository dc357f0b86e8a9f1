"""Every command and snippet of the README does what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
# The test environment stands in for the one that make would build.
MAKE = ["make", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.serving", "-o", f"{sys.prefix}/.developing"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run(command: list[str], cwd: Path) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with what `make demo` wrote into out/."""
    folder = tmp_path_factory.mktemp("readme")
    output = run([*MAKE, "--directory", str(ROOT), "demo", f"OUT={folder / 'out'}"], ROOT)
    assert "people in" in output
    assert "milliseconds in each step" in output
    return folder


def test_make_demo_writes_the_pictures_and_the_json(workplace):
    written = {path.name for path in (workplace / "out").iterdir()}
    assert written == {"scene.jpg", "people.jpg", "parts.jpg", "people.json"}


def test_every_make_target_exists():
    named = set(re.findall(r"(?:^    |^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test", "serve"} <= named <= TARGETS


def test_make_serve_starts_the_server():
    assert "poseserve serve" in run([*MAKE, "--dry-run", "serve"], ROOT)  # which tests/server runs for real


@pytest.mark.parametrize("command", [c for block in blocks("bash") for c in block.strip().splitlines()])
def test_shell_commands(command, workplace, server):
    words = shlex.split(command.replace("127.0.0.1:8000", server.http_url).replace("127.0.0.1:8001", server.grpc_url))
    if words[0] == "make":
        assert words[1] in TARGETS
    elif words[0] == "docker":
        check_compose(words)
    else:
        run(words, workplace)


def check_compose(words: list[str]) -> None:
    """There is no Docker engine in the tests: every profile and service that is named must stand in the file."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert words[1] == "compose"
    if "--profile" in words:
        profile = words[words.index("--profile") + 1]
        assert any(profile in service.get("profiles", []) for service in services.values())
    assert set(words[words.index("up") + 1 :]) - {"--build"} <= set(services)


@pytest.mark.parametrize("snippet", blocks("python"))
def test_python_snippets(snippet, workplace, server):
    code = snippet.replace("127.0.0.1:8001", server.grpc_url)
    assert run([sys.executable, "-c", code], workplace)


def test_inline_docker_commands_name_what_exists():
    for command in re.findall(r"`(docker compose [^`]+)`", README):
        check_compose(command.split())


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target

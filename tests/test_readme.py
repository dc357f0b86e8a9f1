"""Every command and snippet of the README does what it says."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from poseserve.catalogue import CATALOGUE
from poseserve.networks import build
from poseserve.recipes import RECIPES
from poseserve.repository.folders import FOLDERS, ROOT
from poseserve.serving.server import Server, scratch_server
from tests import golden
from tests.hub import Hub

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(" ".join(re.findall(r"^([a-z -]+):", MAKEFILE, re.MULTILINE)).split())
# The test environment stands in for the one that make would build.
MAKE = ["make", f"VENV={sys.prefix}", "-o", "serving", "-o", "developing"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


# Everything that a reader types, in its order; a backslash continues a line.
COMMANDS = [command for block in blocks("bash") for command in block.replace("\\\n", "").splitlines()]


def run(command: list[str], cwd: Path, **variables: str) -> str:
    path = f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path} | variables
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with what `make demo` wrote into out/."""
    folder = tmp_path_factory.mktemp("readme")
    output = run([*MAKE, "--directory", str(ROOT), "demo", f"OUT={folder / 'out'}"], ROOT)
    assert re.search(r"^(1 person|6 people) in ", output, re.MULTILINE)  # the photograph, or the rendered scene
    assert "milliseconds in each step" in output
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A copy of what is served, since the commands change it."""
    folder = tmp_path_factory.mktemp("root")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def reader(root, workplace, downloads) -> Iterator[Server]:
    """The server that a reader would have started, with the recipe that stands before."""
    [recipe] = [command for command in COMMANDS if "--recipe" in command]
    run([*shlex.split(recipe), "--root", str(root)], workplace, POSESERVE_CHECKPOINTS=str(downloads))
    with scratch_server([root / name for name in FOLDERS]) as server:
        yield server


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """Stands in for the Hugging Face hub."""
    files = {}
    for name in ("vitpose-s-coco_25", "vitpose-s-wholebody"):
        file, checkpoint = io.BytesIO(), CATALOGUE[name].checkpoint
        assert checkpoint is not None
        torch.save(random_weights(name), file)
        files[f"/{checkpoint.source.repository}/resolve/main/{checkpoint.file}"] = file.getvalue()
    with Hub(files) as hub:
        yield hub


@pytest.fixture(scope="module")
def downloads(tmp_path_factory, human_models) -> Path:
    """A folder of checkpoints downloaded earlier: those that come from elsewhere."""
    folder = tmp_path_factory.mktemp("downloads")
    checkpoint = CATALOGUE["rtmdet-m"].checkpoint
    assert checkpoint is not None
    torch.save(random_weights("rtmdet-m"), folder / Path(checkpoint.file).name)
    for path in human_models.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def random_weights(name: str) -> dict[str, Tensor]:
    """A state dict with the official keys and shapes, filled by the golden rule."""
    with torch.device("meta"):
        state = build.bare(CATALOGUE[name]).state_dict()
    return {key: golden.fill(key, list(value.shape)) for key, value in state.items()}


def test_make_demo_writes_the_pictures_and_the_json(workplace):
    written = {path.name for path in (workplace / "out").iterdir()}
    assert written - {"parts.jpg"} == {"image.jpg", "people.jpg", "people.json"}


def test_every_make_target_exists():
    named = set(re.findall(r"(?:^    |^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test", "serve"} <= named <= TARGETS


def test_make_serve_starts_the_server():
    assert "poseserve serve" in run([*MAKE, "--dry-run", "serve"], ROOT)  # which tests/poseserve/serving runs for real


def typed(command: str, reader: Server) -> list[str]:
    """The words of a command, for the server of these tests."""
    return shlex.split(command.replace("127.0.0.1:8000", reader.http_url).replace("127.0.0.1:8001", reader.grpc_url))


@pytest.fixture(scope="module")
def answered(workplace, reader) -> None:
    """What curl wrote into out/."""
    [curl] = [command for command in COMMANDS if command.startswith("curl")]
    run(typed(curl, reader), workplace)


# Before the commands that change what the server serves.
@pytest.mark.parametrize("snippet", blocks("python"))
def test_python_snippets(snippet, workplace, reader, answered):
    code = snippet.replace("127.0.0.1:8001", reader.grpc_url)
    assert run([sys.executable, "-c", code], workplace)


@pytest.mark.parametrize("command", COMMANDS)
def test_shell_commands(command, workplace, reader, root, hub, downloads):
    words = typed(command, reader)
    if words[0] == "poseclient" and "--url" not in words:
        words += ["--url", f"grpc://{reader.grpc_url}"]
    if words[0] == "poseserve":
        folders = {"HF_HOME": "hub", "POSESERVE_HOME": "home", "POSESERVE_CHECKPOINTS": downloads}
        variables = {name: str(workplace / folder) for name, folder in folders.items()}
        where = [] if words[1] == "recipes" else ["--root", str(root)]
        assert run([*words, *where], workplace, HF_ENDPOINT=hub.url, **variables)
    elif words[0] == "make":
        assert words[1] in TARGETS
    elif words[0] == "docker":
        check_compose(words)
    elif words[0] == "source":
        assert (Path(sys.prefix) / words[1].removeprefix(".venv/")).is_file()
    else:
        run(words, workplace)


def test_the_environment_is_activated_before_its_commands():
    commands = [command.split()[0] for command in COMMANDS]
    assert min(map(commands.index, ("poseclient", "poseserve"))) > commands.index("source")
    assert re.search(r"^VENV \?= \.venv$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def check_compose(words: list[str]) -> None:
    """There is no Docker engine in the tests: every profile and service that is named must stand in the file."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert words[1] == "compose"
    if "--profile" in words:
        profile = words[words.index("--profile") + 1]
        assert any(profile in service.get("profiles", []) for service in services.values())
    assert set(words[words.index("up") + 1 :]) - {"--build"} <= set(services)


def test_inline_docker_commands_name_what_exists():
    for command in re.findall(r"`(docker compose [^`]+)`", README):
        check_compose(command.split())


def test_every_recipe_is_in_the_table():
    assert {f"| `{name}` |" for name in RECIPES} <= set(re.findall(r"^\| `[a-z0-9]+` \|", README, re.MULTILINE))


def test_the_catalogue_has_as_many_networks_as_the_readme_says():
    known = [network for network in CATALOGUE.values() if network.family != "demo"]
    assert f"has {len(known)} networks" in README

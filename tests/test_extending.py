"""The recipes of docs/extending.md: their code blocks add a family and a task, in the files named there alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from poseserve.repository.folders import FOLDERS, ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^ *```python\n *# (?P<path>\S+): (?P<place>[^\n]+)\n(?P<code>.*?)^ *```", re.MULTILINE | re.DOTALL)
INDENT = 3  # of the blocks, which belong to numbered steps
SCRIPT = """
import sys
from pathlib import Path

import numpy as np

from poseclient import PoseClient
from poseserve.cli import main
from poseserve.repository.folders import REPOSITORIES, ROOT
from poseserve.serving.dry_run import dry_run
from poseserve.serving.server import scratch_server

assert ROOT == Path.cwd(), ROOT
for name in ("toy-pose", "toy-edges"):
    assert main(["add", name, "--checkpoint", f"{name}.pth", "--root", str(ROOT)]) == 0
assert main(["configure", "--root", str(ROOT)]) == 0
with scratch_server(REPOSITORIES) as server:
    dry_run(server.grpc_url)
    with PoseClient(f"grpc://{server.grpc_url}") as client:
        image = np.full((90, 120, 3), 200, np.uint8)
        person = client.pose_of_image(image, model="pose_of_image.toy-pose")
        edges = client.edges(image)
print(person.keypoints.shape, edges.shape, edges.dtype, f"{edges.astype(float).mean():.2f}")
"""


def recipes() -> list[tuple[str, str, str]]:
    """Path, place and code of every block, without its indent."""
    found = []
    for match in BLOCK.finditer(PAGE):
        lines = match["code"].splitlines()
        found.append((match["path"], match["place"], "\n".join(line[INDENT:] for line in lines) + "\n"))
    return found


def apply(text: str, place: str, code: str) -> str:
    """`text` with the code where the recipe says."""
    if place == "at the end":
        return text + code
    kind, _, anchor = place.partition(" ")
    if kind == "before":
        position = re.search(rf"^ *(?:async )?(?:def )?{anchor}\b", text, re.MULTILINE)
        assert position, place
        return text[: position.start()] + code + "\n" + text[position.start() :]
    if kind == "after":
        position = re.search(rf"^{anchor} = .*\n(?: .*\n|\))*", text, re.MULTILINE)
        assert position, place
        return text[: position.end()] + code + text[position.end() :]
    name = place.removeprefix("last in ")
    if name.isupper():
        position = re.search(rf"^{name} = .*?(?=^    \)\n)", text, re.MULTILINE | re.DOTALL)
    else:
        position = re.search(rf"^def {name}\(.*?\n(?=\n)", text, re.MULTILINE | re.DOTALL)
    assert position, place
    return text[: position.end()] + code + text[position.end() :]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a family and a task may touch, and of what serves them."""
    for name in (*FOLDERS, "poseserve", "clients", "backends"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return tmp_path


def sources(checkout: Path) -> dict[str, str]:
    paths = [*checkout.rglob("*.py"), *checkout.rglob("*.json"), *checkout.rglob("*.toml")]
    return {str(path.relative_to(checkout)): path.read_text(encoding="utf-8") for path in paths}


def test_a_family_and_a_task_are_added_in_the_files_that_the_page_names(checkout: Path) -> None:
    before = sources(checkout)
    for path, place, code in recipes():
        file = checkout / path
        file.write_text(
            code if place == "new" else apply(file.read_text(encoding="utf-8"), place, code), encoding="utf-8"
        )
    catalogue = checkout / "poseserve" / "catalogue.py"
    text = catalogue.read_text(encoding="utf-8")
    assert "in (_demo, " in text
    catalogue.write_text(text.replace("in (_demo, ", "in (_demo, _toy, "), encoding="utf-8")
    for name, outputs in (("toy-pose", 17), ("toy-edges", 1)):
        network = nn.Sequential(nn.Conv2d(3, outputs, 4, 4))
        nn.init.constant_(network[0].weight, 0.0)
        nn.init.constant_(network[0].bias, 0.5)
        torch.save(network.state_dict(), checkout / f"{name}.pth")
    path = os.pathsep.join([str(checkout), str(checkout / "clients")])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "(1, 17, 3) (90, 120) float16 0.50"
    changed = {name for name, text in sources(checkout).items() if before.get(name) != text}
    state = "model_repository/networks.json"  # what is installed
    assert changed - {state} == {path for path, _, _ in recipes()}


def test_the_page_names_files_that_exist() -> None:
    named = set(re.findall(r"`((?:poseserve|preprocess|clients|tests)/[\w./]+)`", PAGE))
    assert len(named) > 15
    assert all((ROOT / name).exists() for name in named - {"poseserve/families/toy.py"}), named

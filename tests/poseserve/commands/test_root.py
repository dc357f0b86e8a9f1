"""Where networks are installed and served from: outside the checkout, unless `--root` says otherwise."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poseserve.cli import main
from poseserve.repository.folders import FOLDERS, ROOT, own_root
from poseserve.repository.installed import read_repository


def status() -> str:
    """What git says about the three folders of the checkout."""
    command = ["git", "status", "--porcelain", "--untracked-files=all", "--", *FOLDERS]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_installing_leaves_the_checkout_as_it_is(home, vitpose_file, capsys):
    before = status()
    assert main(["add", "vitpose-s-coco_25", "--checkpoint", str(vitpose_file)]) == 0
    assert f"installed vitpose-s-coco_25 in {home}/repository, called as" in capsys.readouterr().out
    assert main(["default", "pose", "vitpose-s-coco_25"]) == 0
    assert status() == before
    assert read_repository(own_root()).defaults["pose"] == "vitpose-s-coco_25"
    assert "vitpose-s-coco_25" not in read_repository(ROOT).networks
    assert main(["remove", "demo_pose"]) == 0
    assert status() == before
    assert not (home / "repository" / "model_repository" / "demo_pose").exists()


def test_a_folder_of_ones_own_may_be_named(home, root):
    assert main(["default", "pose", "demo_pose_133", "--root", str(root)]) == 0
    assert read_repository(root).defaults["pose"] == "demo_pose_133"
    assert not home.exists()


def test_looking_installs_nothing(home, capsys):
    assert main(["catalogue"]) == 0
    assert not home.exists()


@pytest.mark.parametrize("variables", [{"XDG_DATA_HOME": "data"}, {"HOME": "home"}])
def test_without_a_home_of_poseserve_it_is_the_users_data_folder(tmp_path, monkeypatch, variables):
    for name in ("POSESERVE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in variables.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    expected = {"data": "data/poseserve", "home": "home/.local/share/poseserve"}
    assert own_root() == tmp_path / expected[next(iter(variables.values()))] / "repository"


def test_everybody_may_read_what_was_installed_whatever_the_umask(home):
    before = os.umask(0o077)
    try:
        assert main(["default", "pose", "demo_pose_133"]) == 0
    finally:
        os.umask(before)
    for path in (home / "repository").rglob("*"):
        wanted = 0o555 if path.is_dir() else 0o444
        assert stat.S_IMODE(path.stat().st_mode) & wanted == wanted, path
    assert (home / "repository" / "model_repository" / "demo_pose" / "1" / "model.pt").is_file()


def test_steps_follow_the_checkout(home):
    """As after `git pull`: what is served has the code of this checkout, and nothing of an older one."""
    assert main(["default", "pose", "demo_pose_133"]) == 0
    folder = home / "repository" / "preprocess" / "crop_people" / "1"
    (folder / "boxes.py").write_text("of an older checkout", encoding="utf-8")
    (folder / "gone.py").write_text("of an older checkout", encoding="utf-8")
    assert main(["configure"]) == 0
    assert (folder / "boxes.py").read_bytes() == (ROOT / "preprocess" / "crop_people" / "1" / "boxes.py").read_bytes()
    assert not (folder / "gone.py").exists()


@pytest.fixture
def detecting(root: Path) -> Path:
    """A root with a detector alone, which loads in a moment."""
    for name in ("demo_normals", "demo_depth", "demo_pose_133", "demo_pose", "demo_parts"):
        assert main(["remove", name, "--root", str(root)]) == 0
    return root


@pytest.fixture
def serving(request: pytest.FixtureRequest, detecting: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """`poseserve serve` of that root: named, or because it is the user's own."""
    options = ["--root", str(detecting)]
    if request.param == "own":
        home.mkdir()
        shutil.move(detecting, home / "repository")
        options = []
    ports = [f"--{name}-port=0" for name in ("http", "grpc", "metrics")]
    command = [sys.executable, "-m", "poseserve", "serve", *ports, *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("serving", ["named", "own"], indirect=True)
def test_serve_serves_it_and_says_what_it_loads(serving: subprocess.Popen[str], home: Path, root: Path) -> None:
    assert serving.stdout is not None
    folder = home / "repository" if home.exists() else root
    assert serving.stdout.readline().startswith(f"starting Triton with {folder}/model_repository, ")
    assert serving.stdout.readline().startswith("ready: ")
    serving.send_signal(signal.SIGINT)
    _, errors = serving.communicate(timeout=60)
    lines = errors.splitlines()
    assert lines[0].startswith(
        "note: demo_detector know rendered people only, not photographs; `poseserve add --recipe light`"
    )
    assert lines[1] == "loading 9 models"
    assert {line for line in lines if line.startswith("loaded ")} >= {"loaded demo_detector", "loaded detect"}
    assert serving.returncode == 0


def test_nothing_to_serve_says_how_to_add_a_network(detecting, capsys):
    assert main(["remove", "demo_detector", "--root", str(detecting)]) == 0
    assert main(["serve", "--root", str(detecting)]) == 1
    error = capsys.readouterr().err
    assert f"no network is installed in {detecting}: `poseserve catalogue` lists" in error
    assert "`poseserve add NAME` installs one" in error

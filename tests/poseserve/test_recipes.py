"""Recipes: networks that belong together, installed all or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from poseserve.catalogue import ByHandSource
from poseserve.cli import main
from poseserve.networks import build
from poseserve.recipes import RECIPES, Recipe
from poseserve.repository.folders import FOLDERS
from poseserve.repository.installed import read_repository

SMALL = {
    "small": Recipe("for tests", ["nanodet-416", "movenet-lightning"]),
    "faithful": Recipe("for tests", ["nanodet-416", "movenet-lightning"], keeps_detector=True),
}


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """The folder of the weights of the small recipes, which are the only ones."""
    monkeypatch.setattr("poseserve.recipes.RECIPES", SMALL)
    folder = tmp_path / "downloads"
    folder.mkdir()
    for network in SMALL["small"].networks:
        assert network.checkpoint is not None
        torch.save(build.bare(network).state_dict(), folder / Path(network.checkpoint.file).name)
    monkeypatch.setenv("POSESERVE_CHECKPOINTS", str(folder))
    return folder


def files(root: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for name in FOLDERS for p in (root / name).rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", RECIPES)
def test_its_networks_do_different_things_and_can_be_fetched(name):
    networks = RECIPES[name].networks
    tasks = [network.task for network in networks]
    assert tasks[0] == "detector"
    assert "pose" in tasks
    assert len(set(tasks)) == len(tasks)
    for network in networks:
        assert network.checkpoint is not None
        assert not isinstance(network.checkpoint.source, ByHandSource)


def test_all_are_listed(capsys):
    assert main(["recipes"]) == 0
    listed = capsys.readouterr().out
    for name, recipe in RECIPES.items():
        assert f"{name}: {recipe.summary}" in listed
        assert all(network in listed for network in recipe.names)
    assert "weights: Apache-2.0, CC BY-NC 4.0; 5.42 GB to download" in listed
    assert "weights: Apache-2.0; 0.14 GB to download" in listed  # two networks, one package


def test_a_recipe_becomes_what_is_served(root, small, capsys):
    assert main(["add", "--recipe", "small", "--root", str(root)]) == 0
    repository = read_repository(root)
    assert (repository.defaults["detector"], repository.defaults["pose"]) == ("nanodet-416", "movenet-lightning")
    assert repository.chosen("pose").deployment.detector == ""
    assert "nanodet-416" in (root / "ensemble" / "pose" / "config.pbtxt").read_text()
    assert "demo_parts, demo_depth, demo_normals know rendered people only" in capsys.readouterr().out


def test_a_recipe_may_keep_its_detector(root, small):
    assert main(["add", "--recipe", "faithful", "--precision", "bf16", "--root", str(root)]) == 0
    repository = read_repository(root)
    assert repository.chosen("pose").deployment.detector == "nanodet-416"
    assert {repository.chosen(task).deployment.precision for task in ("detector", "pose")} == {"bf16"}


def test_all_or_nothing(root, small, capsys):
    before = files(root)
    (small / "movenet-lightning.json").write_bytes(b"not weights")
    assert main(["add", "--recipe", "small", "--root", str(root)]) == 1
    assert "movenet-lightning.json: no checkpoint" in capsys.readouterr().err
    assert files(root) == before


def test_a_second_time_replaces_the_first(root, small):
    for _ in range(2):
        assert main(["add", "--recipe", "small", "--root", str(root)]) == 0
    assert len(read_repository(root).of_task("pose")) == len({"demo_pose", "demo_pose_133", "movenet-lightning"})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "give the name of a network, or --recipe RECIPE"),
        (["nanodet-416", "--recipe", "small"], "give the name of a network, or --recipe RECIPE"),
        (["--recipe", "smal"], "there is no recipe 'smal', there are small, faithful; did you mean small?"),
        (["--recipe", "small", "--size", "g", "--checkpoint", "x"], "--checkpoint, --size: for one network"),
    ],
)
def test_what_does_not_go_with_a_recipe_is_refused(root, small, capsys, arguments, error):
    assert main(["add", *arguments, "--root", str(root)]) == 1
    assert error in capsys.readouterr().err

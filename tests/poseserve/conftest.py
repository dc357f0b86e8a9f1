"""Checkpoints filled by the golden rule in the official containers, and repositories to install them in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from poseserve.repository.folders import FOLDERS, ROOT
from tests import golden


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A $POSESERVE_HOME of the test's own: what is installed on this machine is neither seen nor changed."""
    monkeypatch.setenv("POSESERVE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path) -> Path:
    """A copy of the three folders, with the demo networks installed."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / "root" / name)
    return tmp_path / "root"


@pytest.fixture(scope="session")
def vitpose_file(tmp_path_factory) -> Path:
    """ViTPose-S with 25 keypoints, as its authors save it."""
    path = tmp_path_factory.mktemp("checkpoints") / "vitpose-s-coco_25.pth"
    torch.save(golden.filled(golden.layouts()["vitpose/vitpose_s"]), path)
    return path

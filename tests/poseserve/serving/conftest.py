"""Small model repositories without torch, so that a server starts in a second."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.poseserve.serving.models import BLOCKING, ECHO, ENSEMBLE, GATED, REFUSING, write_model


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """A repository with one Python model that returns what it gets."""
    write_model(tmp_path / "steps", "echo", ECHO)
    return tmp_path / "steps"


@pytest.fixture
def ensembles(tmp_path: Path) -> Path:
    """A repository with one ensemble, for a server of `steps`."""
    folder = tmp_path / "ensembles" / "everything"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(ENSEMBLE, encoding="utf-8")
    return tmp_path / "ensembles"


@pytest.fixture
def refusing(tmp_path: Path) -> Path:
    """A repository with a model that does not load."""
    write_model(tmp_path / "refusing", "refusing", REFUSING)
    return tmp_path / "refusing"


@pytest.fixture
def loading_gate(tmp_path: Path) -> Path:
    """A named pipe in a model: opening it for writing waits until the model is loading, closing lets that go on."""
    return _gate(tmp_path / "blocking", "blocking", BLOCKING)


@pytest.fixture
def answering_gate(tmp_path: Path) -> Path:
    """The same for a request to the model `gated`."""
    return _gate(tmp_path / "gated", "gated", GATED)


def _gate(repository: Path, name: str, source: str) -> Path:
    path = write_model(repository, name, source) / "gate"
    os.mkfifo(path)
    return path

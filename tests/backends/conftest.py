from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from poseserve.families.outputs import StrideHeatmaps
from poseserve.networks.contracts import PoseContract
from tests.backends.graphs import Corners


@pytest.fixture(scope="session")
def contract() -> PoseContract:
    return PoseContract(Corners(), StrideHeatmaps(), 3, chunk=2)


@pytest.fixture(scope="session")
def write_model() -> Callable[..., Path]:
    """write_model(repository, config text, network) makes a model's folder; returns the path of its model.pt.

    The config's first line holds the name. Without a network there is no file.
    """

    def write(repository: Path, config: str, network: torch.nn.Module | None) -> Path:
        name = config.split('"')[1]
        path = repository / name / "1" / "model.pt"
        path.parent.mkdir(parents=True)
        header = 'backend: "pytorch" platform: "pytorch_libtorch"\n'
        (repository / name / "config.pbtxt").write_text(header + config, encoding="utf-8")
        if network is not None:
            torch.jit.script(network).save(str(path))
        return path

    return write

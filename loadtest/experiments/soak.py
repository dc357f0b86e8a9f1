"""`python -m loadtest.experiments.soak`: the server's memory over many requests for all ensembles of the tree, with
images of all sizes, broken ones among them.

Exit code 1 when it still grew in the second half.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

import numpy as np
from tqdm import tqdm

from demo.scene import render_scene
from loadtest.experiments.load import TIMEOUT
from loadtest.experiments.machine import resident_bytes
from loadtest.scenarios import jpeg
from poseclient import AsyncPoseClient, RequestError
from poseserve.repository.folders import REPOSITORIES
from poseserve.serving.server import Server

SAMPLES = 20
LIMIT = 1.0  # MB per 1,000 requests
IN_FLIGHT = 4
# Height, width, people: from a thumbnail to a photo, from nobody to a crowd.
SCENES = ((120, 160, 1), (480, 640, 4), (300, 640, 0), (720, 480, 2), (1080, 1920, 8), (333, 517, 1), (600, 600, 3))
BOXES = [[10, 10, 80, 110], [60, 20, 150, 100]]
Task = Callable[[AsyncPoseClient, bytes], Awaitable[object]]
# As many as have no divisor in common with the number of images, so that each meets all of them.
TASKS: tuple[Task, ...] = (
    AsyncPoseClient.pose,
    AsyncPoseClient.detect,
    AsyncPoseClient.parts,
    AsyncPoseClient.depth,
    partial(AsyncPoseClient.pose, model="pose.demo_pose_133"),
    AsyncPoseClient.pose_of_image,
    AsyncPoseClient.people,
    AsyncPoseClient.detect,
    partial(AsyncPoseClient.pose_in_boxes, boxes=BOXES),
    AsyncPoseClient.normals,
    partial(AsyncPoseClient.parts, model="parts_of_people"),
    partial(AsyncPoseClient.pose_of_image, model="pose_of_image.demo_pose_133"),
    partial(AsyncPoseClient.depth, of_people=True),
    partial(AsyncPoseClient.pose_in_boxes, boxes=BOXES, model="pose_in_boxes.demo_pose_133"),
    partial(AsyncPoseClient.normals, of_people=True),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 1 when memory grew by more than LIMIT."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.experiments.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="memory settles in the first 10,000 (%(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.requests < SAMPLES:
        parser.error(f"--requests {arguments.requests}: must be at least {SAMPLES}")
    with Server(REPOSITORIES, http_port=0, grpc_port=0, metrics_port=0) as server:
        memory = asyncio.run(soak(f"grpc://{server.grpc_url}", server.pid, arguments.requests))
    each = arguments.requests // SAMPLES
    for number, megabytes in enumerate(memory, 1):
        print(f"{number * each:7} requests {megabytes:8.1f} MB")
    grown = growth(memory, each)
    print(f"second half: {grown:+.2f} MB per 1,000 requests, at most {LIMIT:.2f}")
    return 1 if grown > LIMIT else 0


async def soak(url: str, pid: int, requests: int) -> list[float]:
    """Resident MB of the server after every SAMPLES-th of the requests, none of them in flight at that moment."""
    images = [(encoded(*scene), True) for scene in SCENES]
    images.append((images[1][0][:200], False))
    turns = zip(itertools.cycle(images), itertools.cycle(TASKS), strict=False)
    memory = []
    async with AsyncPoseClient(url, TIMEOUT) as client:
        for _ in tqdm(range(SAMPLES), disable=None):
            work = itertools.islice(turns, requests // SAMPLES)
            await asyncio.gather(*(send_all(client, work) for _ in range(IN_FLIGHT)))
            memory.append(resident_bytes(pid) / 1e6)
    return memory


async def send_all(client: AsyncPoseClient, work: Iterator[tuple[tuple[bytes, bool], Task]]) -> None:
    """Send what no other has taken yet: ((image, whether it can be decoded), task)."""
    for (image, decodable), task in work:
        try:
            await task(client, image)
        except RequestError:
            if decodable:
                raise


def encoded(height: int, width: int, people: int) -> bytes:
    """A JPEG of a rendered scene."""
    return jpeg(render_scene(0, (height, width), people).image)


def growth(memory: Sequence[float], requests: int) -> float:
    """MB per 1,000 requests, by least squares, in the second half of the samples, each so many requests after the one
    before; in the first half the processes meet their largest batches."""
    settled = memory[len(memory) // 2 :]
    return float(np.polyfit(np.arange(len(settled)), settled, 1)[0]) / requests * 1000


if __name__ == "__main__":
    sys.exit(main())

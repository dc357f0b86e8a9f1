"""`python -m loadtest.soak`: the server's memory over many requests of all tasks and sizes, refused ones among them.

Exit code 1 when it grew.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
from collections.abc import Iterator, Sequence

import numpy as np
from tqdm import tqdm

from demo.scene import render_scene
from loadtest.load import TIMEOUT
from loadtest.machine import resident_bytes
from loadtest.scenarios import jpeg
from poseclient import AsyncPoseClient, PoseServerError
from poseserve.catalogue import REPOSITORIES
from poseserve.server import Server

SAMPLES = 20
SHARE, MEGABYTES = 0.02, 20.0  # of the memory in the second fifth, that the last fifth may hold more
IN_FLIGHT = 4
# Height, width, people: from a thumbnail to a photo, from nobody to a crowd.
SCENES = ((120, 160, 1), (480, 640, 4), (300, 640, 0), (720, 480, 2), (1080, 1920, 8), (333, 517, 1), (600, 600, 3))
TASKS = ("pose", "detect", "parts", "detect", "pose_of_image", "detect", "people", "detect", "pose")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    arguments = parser.parse_args(argv)
    if arguments.requests < SAMPLES:
        parser.error(f"--requests {arguments.requests}: must be at least {SAMPLES}")
    with Server(REPOSITORIES, http_port=0, grpc_port=0, metrics_port=0) as server:
        memory = asyncio.run(soak(f"grpc://{server.grpc_url}", server.pid, arguments.requests))
    each = arguments.requests // SAMPLES
    for number, megabytes in enumerate(memory, 1):
        print(f"{number * each:7} requests {megabytes:8.1f} MB")
    grown, limit = growth(memory)
    print(f"slope of the last four fifths: {slope(memory[SAMPLES // 5 :]) / each * 1000:.2f} MB per 1,000 requests")
    print(f"from the second fifth to the last: {grown:+.1f} MB, at most {limit:.1f}")
    return 1 if grown > limit else 0


async def soak(url: str, pid: int, requests: int) -> list[float]:
    """Resident MB of the server after every SAMPLES-th of the requests, none of them in flight at that moment."""
    images = [(encoded(*scene), True) for scene in SCENES]
    images.append((images[1][0][:200], False))
    turns = zip(itertools.cycle(images), itertools.cycle(TASKS), strict=False)
    memory = []
    async with AsyncPoseClient(url, TIMEOUT) as client:
        for _ in tqdm(range(SAMPLES), disable=None):
            work = itertools.islice(turns, requests // SAMPLES)
            await asyncio.gather(*(ask(client, work) for _ in range(IN_FLIGHT)))
            memory.append(resident_bytes(pid) / 1e6)
    return memory


async def ask(client: AsyncPoseClient, work: Iterator[tuple[tuple[bytes, bool], str]]) -> None:
    """Work off what others have not yet taken: ((image, whether it is whole), task)."""
    for (image, whole), task in work:
        try:
            await getattr(client, task)(image)
        except PoseServerError:
            if whole:
                raise


def encoded(height: int, width: int, people: int) -> bytes:
    """A JPEG of a rendered scene."""
    return jpeg(render_scene(0, (height, width), people).image)


def slope(values: Sequence[float]) -> float:
    """From one value to the next, by least squares."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def growth(memory: Sequence[float]) -> tuple[float, float]:
    """By how much the mean of the last fifth exceeds that of the second, and by how much it may; the first warms up."""
    fifth = len(memory) // 5
    settled, last = np.mean(memory[fifth : 2 * fifth]), np.mean(memory[-fifth:])
    return float(last - settled), float(SHARE * settled + MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())

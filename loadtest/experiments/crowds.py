"""`python -m loadtest.experiments.crowds`: 40 people in one image, against the same people in eight images at once.

The one image is the eight side by side, so that both variants have as many pixels. The boxes are given: every response
holds all people. From one instance of the network on all cores to one for each core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demo.scene import render_scene
from loadtest.experiments.random_weights import repository_with_random_weights
from loadtest.experiments.turns import CORES, instances_and_threads, times_in_turns
from loadtest.scenarios import jpeg
from poseclient import PoseClient
from poseclient.columns import columns
from poseserve.deployment import Deployment
from poseserve.serving.server import Server

IMAGES, PEOPLE = 8, 5
COLUMNS, HEIGHT, WIDTH = 4, 480, 640
VARIANTS = "one image", "eight images"

Scene = tuple[NDArray[np.uint8], NDArray[np.float32]]  # an image [h, w, 3] RGB, boxes [n, 4] of its people


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.experiments.crowds", description=__doc__)
    parser.add_argument("--network", default="vitpose-s-coco_25", help="of the catalogue, with random weights")
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args(argv)
    rows: list[tuple[str, ...]] = [(f"{arguments.network}, gRPC, in turns", *VARIANTS, "ratio")]
    for instances, threads in instances_and_threads(CORES):
        deployment = Deployment(instances=instances, threads=threads)
        with tempfile.TemporaryDirectory(prefix="poseserve-crowds-") as folder:
            repository = repository_with_random_weights(Path(folder), [arguments.network], deployment)
            with Server(repository.folders, http_port=0, grpc_port=0, metrics_port=0) as server:
                times = compare(f"grpc://{server.grpc_url}", arguments.rounds)
        crowd, others = (float(np.median(times[variant])) for variant in VARIANTS)
        medians = f"{crowd:.1f} ms", f"{others:.1f} ms", f"{crowd / others:.2f}"
        rows.append((f"{instances} x {threads} threads", *medians))
    print(f"{IMAGES * PEOPLE} people in given boxes, medians")
    print(columns(rows, left=1))
    return 0


def compare(url: str, rounds: int) -> dict[str, NDArray[np.float64]]:
    """Milliseconds until all keypoints are there, by variant."""
    scenes = list(islice(full_scenes(), IMAGES))
    images, boxes = [jpeg(image) for image, _ in scenes], [boxes for _, boxes in scenes]
    image, boxes_of_crowd = side_by_side(scenes)
    crowd = jpeg(image)
    with PoseClient(url, timeout=600) as client, ThreadPoolExecutor(IMAGES) as pool:
        senders: list[Callable[[], object]] = [
            lambda: client.pose_in_boxes(crowd, boxes_of_crowd),
            lambda: list(pool.map(client.pose_in_boxes, images, boxes)),
        ]
        return times_in_turns(dict(zip(VARIANTS, senders, strict=True)), warm_up=1, rounds=rounds, requests=2)


def full_scenes() -> Iterator[Scene]:
    """Rendered scenes in which all PEOPLE found a place."""
    for seed in count():
        scene = render_scene(seed, (HEIGHT, WIDTH), PEOPLE)
        if len(scene.people) == PEOPLE:
            yield scene.image, np.stack([person.box for person in scene.people]).astype(np.float32)


def side_by_side(scenes: Sequence[Scene]) -> Scene:
    """One image of rows of COLUMNS scenes, and all their boxes in it."""
    rows = [np.hstack([image for image, _ in scenes[i : i + COLUMNS]]) for i in range(0, len(scenes), COLUMNS)]
    corners = [np.array([WIDTH * (i % COLUMNS), HEIGHT * (i // COLUMNS)], np.float32) for i in range(len(scenes))]
    boxes = [boxes + np.tile(corner, 2) for (_, boxes), corner in zip(scenes, corners, strict=True)]
    return np.vstack(rows), np.concatenate(boxes)


if __name__ == "__main__":
    sys.exit(main())

"""Scores on rendered scenes that training never saw: `python -m demo.evaluate`.

Detection AP50 and keypoint AP (OKS) are COCO's and COCO-WholeBody's own, computed by faster-coco-eval; parts are scored
by the mean intersection over union of the classes that the scenes show, depth and normals as `MapScores` says.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from itertools import islice
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from demo.body import SHOWN_CLASSES
from demo.dataset import EVALUATION_SEED
from demo.scene import Person, Scene, render_scene
from poseclient import AsyncPoseClient, People, metrics
from poseclient.columns import columns
from poseclient.formats import coco_results
from poseclient.keypoints import keypoint_set
from poseserve.in_process import InProcess
from poseserve.repository.folders import REPOSITORIES
from poseserve.serving.server import scratch_server

SIZES = ((480, 640), (640, 480), (720, 1280), (540, 720), (427, 641), (600, 600))
IN_FLIGHT = 4
WHOLE_BODY = "demo_pose_133"
PAIRS, APART = 5000, 0.05  # of pixels whose order in depth is asked for, and how far apart they lie at least


class Labelled(Protocol):
    """An image [h, w, 3] and its people: a scene, or a frame of a film."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """RGB."""

    @property
    def people(self) -> list[Person]:
        """Their ground truth."""


@dataclass(frozen=True)
class Scores:
    """All 0..1."""

    detection_ap50: float
    keypoint_ap: float
    parts_miou: float


@dataclass(frozen=True)
class MapScores:
    """Of depth and normals, over the pixels of people.

    depth_rmse: after the best scale and shift of each image, whose true range is 1; the mean over the images.
    depth_order: the share of pairs of pixels ordered right (Chen et al., arXiv 1604.03901). mean, median: of the angle
    between found and true normal in degrees. within: shares of pixels below 11.25, 22.5 and 30 degrees (Fouhey et al.,
    "Data-Driven 3D Primitives", ICCV 2013).
    """

    depth_rmse: float
    depth_order: float
    normals_mean: float
    normals_median: float
    normals_within_11: float
    normals_within_22: float
    normals_within_30: float


def evaluation_scene(index: int) -> tuple[bytes, Scene]:
    """The JPEG (quality 95) that the server gets, and its ground truth."""
    cv2.setNumThreads(1)
    scene = render_scene(EVALUATION_SEED + index, SIZES[index % len(SIZES)])
    code = cv2.imencode(".jpg", scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return code.tobytes(), scene


def evaluation_scenes(count: int) -> list[tuple[bytes, Scene]]:
    """The first `count` scenes as `evaluation_scene` gives them, rendered on all cores."""
    # Not forked: a copy of a process whose threads hold locks may wait for them for ever.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        return list(tqdm(pool.map(evaluation_scene, range(count), chunksize=4), "rendering", count))


def ground_truth(scenes: Sequence[Labelled]) -> dict[str, Any]:
    """The people of the scenes in COCO's annotation format, with COCO-WholeBody's further keypoints."""
    annotations: list[dict[str, Any]] = []
    for image_id, scene in enumerate(scenes, 1):
        for person in scene.people:
            x1, y1, x2, y2 = person.box.tolist()
            points = iter(person.whole_body.ravel().tolist())
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": person.area,
                    "iscrowd": 0,
                    "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
                    **{key: list(islice(points, 3 * count)) for key, count in metrics.WHOLE_BODY.values()},
                }
            )
    images = [
        {"id": i, "height": s.image.shape[0], "width": s.image.shape[1], "file_name": f"{i}.jpg"}
        for i, s in enumerate(scenes, 1)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(keypoint_set("coco_17").names), "skeleton": []}
    return {"info": {}, "images": images, "annotations": annotations, "categories": [category]}


def keypoint_ap(annotations: dict[str, Any], people: Sequence[People], labels: str) -> dict[str, float]:
    """AP of each group of keypoints that the keypoint set `labels` has: `keypoints`, or those of COCO-WholeBody."""
    names, sigmas = keypoint_set(labels).names, keypoint_set(labels).oks_sigmas
    assert sigmas is not None
    groups = metrics.keypoint_groups(labels, len(names))
    found = [row for image_id, p in enumerate(people, 1) for row in coco_results(p, image_id)]
    rows = [metrics.results_row(row, groups) for row in found]
    return {name: row["AP_all"] for name, row in metrics.keypoint_figures(annotations, rows, groups, sigmas).items()}


def mean_iou(true: Sequence[NDArray[np.uint8]], found: Sequence[NDArray[np.uint8]]) -> float:
    """Mean over SHOWN_CLASSES of the intersection over union of all pixels; masks [h, w] of class ids."""
    counts = [metrics.mask_counts(t, f, 28) for t, f in zip(true, found, strict=True)]
    both, in_true, in_found = np.sum(counts, 0)
    either = in_true + in_found - both
    return float(np.mean([both[c] / max(1, either[c]) for c in SHOWN_CLASSES]))


def depth_errors(true: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Root mean square error and share of pairs in the right order, see MapScores; maps [h, w]."""
    seen = np.isfinite(true)
    t, f = true[seen].astype(np.float64), found[seen].astype(np.float64)
    scale, shift = np.polyfit(f, t, 1)
    a, b = np.random.default_rng(0).integers(len(t), size=(2, PAIRS))
    right = np.sign(t[a] - t[b]) == np.sign(f[a] - f[b])
    return float(np.sqrt(np.mean((scale * f + shift - t) ** 2))), float(right[np.abs(t[a] - t[b]) > APART].mean())


def angles(true: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Degrees between the unit vectors of two maps [h, w, 3] where there is a true one, f32 [n]."""
    seen = np.isfinite(true[..., 0])
    cosine = (true[seen].astype(np.float32) * found[seen]).sum(1)
    degrees: NDArray[np.float32] = np.degrees(np.arccos(cosine.clip(-1, 1)))
    return degrees


def score(scenes: Sequence[Scene], people: Sequence[People], masks: Sequence[NDArray[np.uint8]]) -> Scores:
    """The scores of what was found in each scene; masks u8 [h, w]."""
    annotations = ground_truth(scenes)
    boxes = [replace(p, keypoints=None, pose_scores=None) for p in people]
    rows = [row for image_id, p in enumerate(boxes, 1) for row in coco_results(p, image_id)]
    return Scores(
        metrics.box_figures(annotations, rows)["boxes"]["AP_50"],
        keypoint_ap(annotations, people, "coco_17")["keypoints"],
        mean_iou([s.parts for s in scenes], masks),
    )


def score_maps(
    scenes: Sequence[Scene],
    depths: Sequence[NDArray[np.floating[Any]]],
    normals: Sequence[NDArray[np.floating[Any]]],
) -> MapScores:
    """The scores of depths [h, w] and normals [h, w, 3] that were found in each scene."""
    shown = [i for i, scene in enumerate(scenes) if scene.people]
    rmse, order = np.mean([depth_errors(scenes[i].depth, depths[i]) for i in shown], axis=0)
    error = np.concatenate([angles(scenes[i].normals, normals[i]) for i in shown])
    within = [float((error < limit).mean()) for limit in (11.25, 22.5, 30)]
    return MapScores(float(rmse), float(order), float(error.mean()), float(np.median(error)), *within)


def offline_answers(
    images: Sequence[bytes], pipeline: InProcess | None = None
) -> tuple[list[People], list[NDArray[np.uint8]]]:
    """People and masks u8 [h, w] of each image, found in this process, by the networks of the tree unless given."""
    pipeline = pipeline or InProcess()
    answers = [(pipeline.pose(i, score_threshold=0.05), pipeline.parts(i)) for i in tqdm(images, "in process")]
    return [a[0] for a in answers], [a[1] for a in answers]


def offline_maps(images: Sequence[bytes]) -> tuple[list[NDArray[np.float16]], list[NDArray[np.float16]]]:
    """Depths f16 [h, w] and normals f16 [h, w, 3] of each image, found in this process."""
    pipeline = InProcess()
    answers = [(pipeline.depth(i), pipeline.normals(i)) for i in tqdm(images, "maps in process")]
    return [a[0] for a in answers], [a[1] for a in answers]


async def served_answers(images: Sequence[bytes], url: str) -> tuple[list[People], list[NDArray[np.uint8]]]:
    """What the ensembles `pose` and `parts` answer to each image, several requests in flight."""

    async def ask(client: AsyncPoseClient, image: bytes) -> tuple[People, NDArray[np.uint8]]:
        return await client.pose(image, score_threshold=0.05), await client.parts(image)

    answers = await _served(images, url, ask)
    return [a[0] for a in answers], [a[1] for a in answers]


async def served_maps(images: Sequence[bytes], url: str) -> tuple[list[NDArray[np.float16]], list[NDArray[np.float16]]]:
    """What the ensembles `depth` and `normals` answer to each image."""

    async def ask(client: AsyncPoseClient, image: bytes) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
        return await client.depth(image), await client.normals(image)

    answers = await _served(images, url, ask)
    return [a[0] for a in answers], [a[1] for a in answers]


async def served_whole_bodies(images: Sequence[bytes], url: str) -> list[People]:
    """What the ensemble of the network of 133 keypoints answers to each image."""
    return await _served(images, url, lambda c, image: c.pose(image, score_threshold=0.05, model=f"pose.{WHOLE_BODY}"))


async def _served(
    images: Sequence[bytes], url: str, ask: Callable[[AsyncPoseClient, bytes], Awaitable[Any]]
) -> list[Any]:
    limit, bar = asyncio.Semaphore(IN_FLIGHT), tqdm(total=len(images), desc=f"served, {url}")
    async with AsyncPoseClient(url) as client:

        async def answer(image: bytes) -> Any:
            async with limit:
                found = await ask(client, image)
            bar.update()
            return found

        answers = await asyncio.gather(*map(answer, images))
    bar.close()
    return answers


@contextmanager
def server_at(url: str | None) -> Iterator[str]:
    """The URL, or that of a server of the tree's networks, which ends with the context."""
    if url:
        yield url
    else:
        with scratch_server(REPOSITORIES) as server:
            yield f"grpc://{server.grpc_url}"


def main() -> None:
    """Print the scores, in process and served."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--url", help="a running server; default: start one")
    args = parser.parse_args()
    jpegs, scenes = zip(*evaluation_scenes(args.scenes), strict=True)
    rows: dict[str, Any] = {"in process": score(scenes, *offline_answers(jpegs))}
    maps: dict[str, Any] = {"in process": score_maps(scenes, *offline_maps(jpegs))}
    with server_at(args.url) as url:
        rows["served"] = score(scenes, *asyncio.run(served_answers(jpegs, url)))
        maps["served"] = score_maps(scenes, *asyncio.run(served_maps(jpegs, url)))
        whole_bodies = asyncio.run(served_whole_bodies(jpegs, url))
    print(f"\n{args.scenes} scenes, {sum(len(s.people) for s in scenes)} people")
    for table in (rows, maps):
        figures = [[name, *(f"{figure:.4f}" for figure in astuple(scores))] for name, scores in table.items()]
        print(columns([["", *(field.name for field in fields(table["served"]))], *figures], left=1))
    for name, ap in keypoint_ap(ground_truth(scenes), whole_bodies, "coco_wholebody_133").items():
        print(f"AP of 133 keypoints, {name}: {ap:.4f}")


if __name__ == "__main__":
    main()

"""Scores on rendered scenes that training never saw: `python -m demo.evaluate`.

Detection AP50 and keypoint AP (OKS) are COCO's own, computed by faster-coco-eval; parts are scored by the mean
intersection over union of the classes that the scenes show.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from tqdm import tqdm

from demo.body import SHOWN_CLASSES
from demo.dataset import EVALUATION_SEED
from demo.scene import Scene, render_scene
from poseclient import AsyncPoseClient, People
from poseclient.formats import coco_results
from poseclient.keypoints import keypoint_set
from poseserve.catalogue import REPOSITORIES
from poseserve.in_process import InProcess
from poseserve.server import Server

SIZES = ((480, 640), (640, 480), (720, 1280), (540, 720), (427, 641), (600, 600))
IN_FLIGHT = 4


@dataclass(frozen=True)
class Scores:
    """All 0..1."""

    detection_ap50: float
    keypoint_ap: float
    parts_miou: float


def evaluation_scene(index: int) -> tuple[bytes, Scene]:
    """The JPEG (quality 95) that the server gets, and its truth."""
    cv2.setNumThreads(1)
    scene = render_scene(EVALUATION_SEED + index, SIZES[index % len(SIZES)])
    code = cv2.imencode(".jpg", scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return code.tobytes(), scene


def evaluation_scenes(count: int) -> list[tuple[bytes, Scene]]:
    # Not forked: a copy of a process whose threads hold locks may wait for them for ever.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        return list(tqdm(pool.map(evaluation_scene, range(count), chunksize=4), "rendering", count))


def ground_truth(scenes: Sequence[Scene]) -> dict:
    """COCO's annotation format."""
    coco = keypoint_set("coco_17")
    annotations: list[dict] = []
    for image_id, scene in enumerate(scenes, 1):
        for person in scene.people:
            x1, y1, x2, y2 = person.box.tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": person.area,
                    "iscrowd": 0,
                    "keypoints": person.keypoints.ravel().tolist(),
                    "num_keypoints": int((person.keypoints[:, 2] > 0).sum()),
                }
            )
    images = [
        {"id": i, "height": s.image.shape[0], "width": s.image.shape[1], "file_name": f"{i}.jpg"}
        for i, s in enumerate(scenes, 1)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(coco.names), "skeleton": []}
    return {"info": {}, "images": images, "annotations": annotations, "categories": [category]}


def coco_ap(truth: dict, results: list[dict], kind: str) -> np.ndarray:
    """COCO's summary figures; `kind` is bbox or keypoints. Entry 0 is AP, entry 1 AP50."""
    if not results:
        return np.zeros(12)
    coco = COCO(truth)
    evaluation = COCOeval_faster(coco, coco.loadRes(results), kind)
    evaluation.run()
    return np.asarray(evaluation.stats)


def mean_iou(truth: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    """Mean over SHOWN_CLASSES of the intersection over union of all pixels."""
    confusion = np.zeros((28, 28), np.int64)
    for t, f in zip(truth, found, strict=True):
        confusion += np.bincount(t.ravel().astype(int) * 28 + f.ravel(), minlength=28 * 28).reshape(28, 28)
    both = confusion.diagonal()
    either = confusion.sum(0) + confusion.sum(1) - both
    return float(np.mean([both[c] / max(1, either[c]) for c in SHOWN_CLASSES]))


def with_pose_scores(people: People) -> People:
    """The same people with the scores that COCO's top-down results have: box score x mean keypoint score above 0.2."""
    assert people.keypoints is not None
    confidence = people.keypoints[..., 2]
    counted = confidence > 0.2
    mean = (confidence * counted).sum(1) / counted.sum(1).clip(1)
    return replace(people, scores=people.scores * mean)


def score(scenes: Sequence[Scene], people: Sequence[People], masks: Sequence[np.ndarray]) -> Scores:
    truth = ground_truth(scenes)
    boxes = [row for image_id, p in enumerate(people, 1) for row in coco_results(replace(p, keypoints=None), image_id)]
    results = [row for image_id, p in enumerate(people, 1) for row in coco_results(with_pose_scores(p), image_id)]
    return Scores(
        float(coco_ap(truth, boxes, "bbox")[1]),
        float(coco_ap(truth, results, "keypoints")[0]),
        mean_iou([s.parts for s in scenes], masks),
    )


def offline_answers(images: Sequence[bytes]) -> tuple[list[People], list[np.ndarray]]:
    """The pipeline in this process."""
    pipeline = InProcess()
    answers = [(pipeline.pose(i, score_threshold=0.05), pipeline.parts(i)) for i in tqdm(images, "in process")]
    return [a[0] for a in answers], [a[1] for a in answers]


async def served_answers(images: Sequence[bytes], url: str) -> tuple[list[People], list[np.ndarray]]:
    """The ensembles `pose` and `parts`, several requests in flight."""
    limit, bar = asyncio.Semaphore(IN_FLIGHT), tqdm(total=len(images), desc=f"served, {url}")
    async with AsyncPoseClient(url) as client:

        async def ask(image: bytes) -> tuple[People, np.ndarray]:
            async with limit:
                people = await client.pose(image, score_threshold=0.05)
                mask = await client.parts(image)
            bar.update()
            return people, mask

        answers = await asyncio.gather(*map(ask, images))
    bar.close()
    return [a[0] for a in answers], [a[1] for a in answers]


@contextmanager
def _server_at(url: str | None) -> Iterator[str]:
    if url:
        yield url
    else:
        with Server(REPOSITORIES, http_port=0, grpc_port=0, metrics_port=0) as server:
            yield f"grpc://{server.grpc_url}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--url", help="a running server; default: start one")
    args = parser.parse_args()
    jpegs, scenes = zip(*evaluation_scenes(args.scenes), strict=True)
    rows = {"in process": score(scenes, *offline_answers(jpegs))}
    with _server_at(args.url) as url:
        rows["served"] = score(scenes, *asyncio.run(served_answers(jpegs, url)))
    print(f"\n{args.scenes} scenes, {sum(len(s.people) for s in scenes)} people")
    print(f"{'':12s}" + "".join(f"{f.name:>16s}" for f in fields(Scores)))
    for name, scores in rows.items():
        print(f"{name:12s}" + "".join(f"{getattr(scores, f.name):16.4f}" for f in fields(Scores)))


if __name__ == "__main__":
    main()

"""What `evaluate` asks of the server for each of its tasks, and how the answers become figures."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseclient import ground_truth, metrics, truth_checks
from poseclient.aio import AsyncPoseClient
from poseclient.errors import InputError, RequestError
from poseclient.formats import coco_results
from poseclient.metrics import Figures
from poseclient.oks import oks_nms
from poseclient.people import People, PosedPeople
from poseclient.truth_checks import Size

LOGGER = logging.getLogger(__name__)
LEAST_SCORE = 0.05  # AP is the area below a curve that begins at low scores
MOST_POSES = 30  # of an image: COCO counts the best 20, by scores that are known only after the pose network

Ask = Callable[[AsyncPoseClient], Awaitable[Any]]  # the answer, a JSON value
Row = dict[str, Any]  # of COCO's lists
FindPeople = Callable[[Row, AsyncPoseClient], Awaitable[People]]  # those of one of COCO's images
Answer = Callable[[Row, AsyncPoseClient], Awaitable[dict[str, Any]]]  # about one of COCO's images


@dataclass(frozen=True)
class Evaluation:
    """What to request and how to summarize it.

    model: the ensemble. settings: all that the answers depend on. requests: by name. images: the file of each request
    and the size of its ground truth. summarize: from the answers to the results, by the names of their files, and the
    figures.
    """

    model: str
    settings: dict[str, Any]
    requests: Mapping[str, Ask]
    images: Mapping[str, tuple[Path, Callable[[], Size | None]]]
    summarize: Callable[[Sequence[Any]], tuple[dict[str, Any], Figures]]


async def keypoints(args: argparse.Namespace, client: AsyncPoseClient) -> Evaluation:
    """Keypoints, and boxes where they are the server's own."""
    dataset = ground_truth.read_annotations(args.annotations, args.limit)
    in_boxes = args.detections or args.truth_boxes
    model = args.model or "pose"
    if in_boxes:
        model = "pose_in_boxes" + model.removeprefix("pose_in_boxes").removeprefix("pose")
    labels = await client.keypoint_set(model)
    if labels.oks_sigmas is None:
        raise InputError(f"there is no AP without oks_sigmas, which the keypoint set {labels.name!r} has not")
    groups, sigmas = metrics.keypoint_groups(labels.name, len(labels.names)), labels.oks_sigmas
    labelled = [row for row in dataset["annotations"] if metrics.count_labelled(row, groups)]
    truth_checks.check_labelled(labelled, [key for key, _ in groups.values()])
    most = await most_poses(args, client)
    find, source = _find_by_server(args, model, most), "of the server"
    answer_boxes = None if in_boxes else _boxes_by_server(args, await detector_of(client, model), dataset)
    if in_boxes:
        rows = [row | {"score": 1.0} for row in labelled if not row.get("iscrowd")]
        source = "of the truth"
        if args.detections:
            rows, source = ground_truth.read_detections(args.detections), ground_truth.digest(args.detections)
        category_id = dataset["categories"][0]["id"]
        boxes = ground_truth.boxes_by_image(rows, category_id, args.score_threshold or 0)
        if args.detections:
            boxes = {image_id: best_first[:most] for image_id, best_first in boxes.items()}
        if not any(image["id"] in boxes for image in dataset["images"]):
            raise InputError(f"there is no box of category {category_id} in these images, boxes {source}")
        find = _find_in_boxes(args, model, boxes, labels.name, sigmas, most)

    async def answer(image: Row, client: AsyncPoseClient) -> dict[str, Any]:
        rows = _results(await find(image, client), image, dataset)
        boxes = await answer_boxes(image, client) if answer_boxes else {}
        return {"keypoints": [metrics.results_row(row, groups) for row in rows], **boxes}

    def summarize(answers: Sequence[Any]) -> tuple[dict[str, Any], Figures]:
        results = [row for answer in answers for row in answer["keypoints"]]
        figures = metrics.keypoint_figures(dataset, results, groups, sigmas)
        if not answer_boxes:
            return {"results": results}, figures
        boxes, box_figures = _summarize_boxes(dataset, answers)
        return {"results": results, "boxes": boxes}, figures | box_figures

    settings = {"keypoint_set": labels.name, "boxes": source, "oks_nms": args.oks_nms, "most_poses": most}
    return _of_coco(args, model, settings, dataset, answer, summarize)


async def boxes(args: argparse.Namespace, client: AsyncPoseClient) -> Evaluation:
    """Boxes alone."""
    dataset = ground_truth.read_annotations(args.annotations, args.limit)
    model = args.model or "detect"

    def summarize(answers: Sequence[Any]) -> tuple[dict[str, Any], Figures]:
        results, figures = _summarize_boxes(dataset, answers)
        return {"results": results}, figures

    return _of_coco(args, model, {}, dataset, _boxes_by_server(args, model, dataset), summarize)


async def parts(args: argparse.Namespace, client: AsyncPoseClient) -> Evaluation:
    """Masks of body parts."""
    model = args.model or "parts"
    classes = await client.class_set(model)
    pairs = ground_truth.masks_and_images(args.masks, args.images)[: args.limit]

    async def answer(mask: Path, image: Path, client: AsyncPoseClient) -> list[list[int]]:
        predicted = await client.parts(image, model=model, **_detection_options(args))
        counts: list[list[int]] = metrics.mask_counts(
            ground_truth.read_mask(mask), predicted, len(classes.names)
        ).tolist()
        return counts

    def summarize(answers: Sequence[Any]) -> tuple[dict[str, Any], Figures]:
        counts = np.sum([np.zeros((3, len(classes.names))), *answers], 0).astype(np.int64)
        results = dict(zip(("classes", "both", "truth", "found"), [classes.names, *counts.tolist()], strict=True))
        return {"results": results}, metrics.mask_figures(counts, classes.names)

    settings = _settings(args, model) | {"class_set": classes.name}
    requests = {mask.name: partial(answer, mask, image) for mask, image in pairs}
    images = {mask.name: (image, partial(ground_truth.mask_size, mask)) for mask, image in pairs}
    return Evaluation(model, settings, requests, images, summarize)


EVALUATIONS = {"keypoints": keypoints, "boxes": boxes, "parts": parts}


def _of_coco(
    args: argparse.Namespace,
    model: str,
    settings: dict[str, Any],
    dataset: dict[str, Any],
    answer: Answer,
    summarize: Callable[[Sequence[Any]], tuple[dict[str, Any], Figures]],
) -> Evaluation:
    """An answer about each of COCO's images."""
    requests = {image["file_name"]: partial(answer, image) for image in dataset["images"]}
    images = {
        image["file_name"]: (args.images / image["file_name"], partial(ground_truth.image_size, image))
        for image in dataset["images"]
    }
    return Evaluation(model, _settings(args, model) | settings, requests, images, summarize)


async def most_poses(args: argparse.Namespace, client: AsyncPoseClient) -> int:
    """Most boxes of one request for keypoints."""
    wanted: int = args.max_people or MOST_POSES
    accepted = await client.max_boxes()
    if accepted < wanted:
        LOGGER.warning("warning: a network of the server takes at most %d people of an image", accepted)
    return min(wanted, accepted)


async def detector_of(client: AsyncPoseClient, model: str) -> str:
    """The ensemble that gives the boxes in which `model` looks for keypoints, all of them."""
    steps = (await client._describe(model)).steps
    for name in ("detect", *(f"detect.{step}" for step in steps)):
        with suppress(RequestError):
            if set((await client._describe(name)).steps) <= set(steps):
                return name
    raise InputError(f"the server has no ensemble with the boxes of {model!r}: give them with --detections")


def _find_by_server(args: argparse.Namespace, model: str, most: int) -> FindPeople:
    async def find(image: Row, client: AsyncPoseClient) -> People:
        options = _detection_options(args, LEAST_SCORE) | {"oks_nms": args.oks_nms, "max_people": most}
        return await client.pose(args.images / image["file_name"], model=model, **options)

    return find


def _find_in_boxes(
    args: argparse.Namespace,
    model: str,
    boxes: dict[int, NDArray[np.float32]],
    keypoint_set: str,
    sigmas: Sequence[float],
    most: int,
) -> FindPeople:
    """boxes: [n, 5] x1, y1, x2, y2, score by image id; most: those of one request."""

    async def find(image: Row, client: AsyncPoseClient) -> People:
        rows = boxes.get(image["id"], np.zeros((0, 5), np.float32))
        keypoints, scores = [np.zeros((0, len(sigmas), 3), np.float32)], [np.zeros(0, np.float32)]
        for start in range(0, len(rows), most):
            some = rows[start : start + most]
            people = await client.pose_in_boxes(args.images / image["file_name"], some[:, :4], model=model, oks_nms=1)
            keypoints.append(people.keypoints)
            scores.append(people.pose_scores * some[:, 4])
        found = PosedPeople(
            rows[:, :4], rows[:, 4], np.concatenate(keypoints), keypoint_set, pose_scores=np.concatenate(scores)
        )
        return found if args.oks_nms is None else oks_nms(found, args.oks_nms, sigmas)

    return find


def _boxes_by_server(args: argparse.Namespace, model: str, dataset: dict[str, Any]) -> Answer:
    """The boxes of an image, and how many of them the server takes for people where there are none."""
    crowds = metrics.crowds_without_people(dataset)

    async def answer(image: Row, client: AsyncPoseClient) -> dict[str, Any]:
        path, image_id = args.images / image["file_name"], image["id"]
        found = await client.detect(path, model=model, **_detection_options(args, LEAST_SCORE))
        if image_id not in crowds:
            return {"boxes": _results(found, image, dataset)}
        as_served = _detection_options(args) | {"score_threshold": None}
        served = await client.detect(path, model=model, **as_served)
        false_people = int((~metrics.in_crowds(served.boxes, crowds[image_id])).sum())
        return {"boxes": _results(found, image, dataset), "false_people": false_people}

    return answer


def _summarize_boxes(dataset: dict[str, Any], answers: Sequence[Any]) -> tuple[list[Row], Figures]:
    results = [row for answer in answers for row in answer["boxes"]]
    counts = [answer["false_people"] for answer in answers if "false_people" in answer]
    return results, metrics.box_figures(dataset, results) | metrics.false_people_figures(counts)


def _results(people: People, image: Row, dataset: dict[str, Any]) -> list[Row]:
    return coco_results(people, image["id"], dataset["categories"][0]["id"])


def _detection_options(args: argparse.Namespace, least_score: float | None = None) -> dict[str, Any]:
    threshold = least_score if args.score_threshold is None else args.score_threshold
    return {"score_threshold": threshold, "nms_iou": args.nms_iou, "max_people": args.max_people}


def _settings(args: argparse.Namespace, model: str) -> dict[str, Any]:
    """What the answers of every task depend on, of the command line."""
    truth = str(args.masks.resolve()) if args.task == "parts" else ground_truth.digest(args.annotations)
    return {"task": args.task, "truth": truth, "model": model, **_detection_options(args)}

"""`poseclient evaluate`: the accuracy of what a server has installed, on images with ground truth."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseclient import arguments, ground_truth, metrics, truth_checks
from poseclient.aio import AsyncPoseClient
from poseclient.errors import REPORTED, InputError, MissingExtraError
from poseclient.files import make_folder, write_json
from poseclient.formats import coco_results
from poseclient.metrics import Figures
from poseclient.oks import oks_nms
from poseclient.people import People, PosedPeople
from poseclient.resume_log import Requests, ResumeLog, send_missing
from poseclient.truth_checks import Size

LEAST_SCORE = 0.05  # AP is the area below a curve that begins at low scores

FindPeople = Callable[[dict[str, Any]], Awaitable[People]]  # those of one of COCO's images


@dataclass(frozen=True)
class Evaluation:
    """What to request and how to summarize it.

    settings: all that the answers depend on. images: the file of each request and the size of its ground truth.
    summarize: from the answers to the results and the figures.
    """

    settings: dict[str, Any]
    requests: Requests
    images: Mapping[str, tuple[Path, Callable[[], Size | None]]]
    summarize: Callable[[Sequence[Any]], tuple[Any, Figures]]


def run(args: argparse.Namespace) -> int:
    """Exit code 0 when every image has an answer, 1 when one has none or the run could not begin."""
    try:
        return asyncio.run(_run(args))
    except REPORTED as error:
        print(f"poseclient evaluate: {error}", file=sys.stderr)
        return 1


async def _run(args: argparse.Namespace) -> int:
    _check(args)
    async with AsyncPoseClient(args.url, args.timeout) as client:
        evaluation = await EVALUATIONS[args.task](args, client)
        requests = evaluation.requests
        make_folder(args.out)
        with ResumeLog(args.out / "answers.jsonl", evaluation.settings) as log:
            missing = [evaluation.images[name] for name in requests if name not in log]
            truth_checks.check_files((path, size()) for path, size in missing)
            failed = await send_missing(requests, log, args.concurrency, args.max_failures)
            results, figures = evaluation.summarize([log[name] for name in requests if name in log])
    for name, value in {"results": results, "figures": figures}.items():
        write_json(args.out / f"{name}.json", value)
    print(percentages(figures))
    print(f"written to {args.out.resolve()}: figures.json, results.json, answers.jsonl")
    if failed:
        print(f"{failed} of {len(requests)} images failed, the figures are without their answers", file=sys.stderr)
    return 1 if failed else 0


def _check(args: argparse.Namespace) -> None:
    needed = "masks" if args.task == "parts" else "annotations"
    if getattr(args, needed) is None:
        raise InputError(f"--task {args.task} needs --{needed}")
    if args.task != "keypoints" and (args.detections or args.truth_boxes):
        raise InputError("--detections and --truth-boxes are for --task keypoints")
    if args.task != "parts" and importlib.util.find_spec("faster_coco_eval") is None:
        raise MissingExtraError("COCO's figures need faster-coco-eval: pip install 'poseclient[evaluate]'")


def percentages(figures: Figures) -> str:
    """The figures in percent, in rows and columns, as published tables have them."""
    width = max(map(len, figures))
    lines = [" " * width + "".join(f"{name:>11}" for name in next(iter(figures.values())))]
    for row, values in figures.items():
        cells = (f"{100 * value:11.1f}" if value >= 0 else f"{'-':>11}" for value in values.values())
        lines.append(f"{row:{width}}" + "".join(cells))
    return "\n".join(lines)


async def _evaluate_keypoints(args: argparse.Namespace, client: AsyncPoseClient) -> Evaluation:
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
    find, source = _find_by_server(args, client, model), "of the server"
    if in_boxes:
        rows = [row | {"score": 1.0} for row in labelled if not row.get("iscrowd")]
        source = "of the truth"
        if args.detections:
            rows, source = ground_truth.read_detections(args.detections), ground_truth.digest(args.detections)
        category_id = dataset["categories"][0]["id"]
        boxes = ground_truth.boxes_by_image(rows, category_id, args.score_threshold or 0)
        if not any(image["id"] in boxes for image in dataset["images"]):
            raise InputError(f"there is no box of category {category_id} in these images, boxes {source}")
        find = _find_in_boxes(args, client, model, boxes, labels.name, sigmas, await client.max_boxes())
    settings = {"keypoint_set": labels.name, "boxes": source, "oks_nms": args.oks_nms}
    return _coco_evaluation(
        args,
        _settings(args, model) | settings,
        dataset,
        find,
        partial(metrics.results_row, groups=groups),
        partial(metrics.keypoint_figures, groups=groups, sigmas=sigmas),
    )


async def _evaluate_boxes(args: argparse.Namespace, client: AsyncPoseClient) -> Evaluation:
    dataset = ground_truth.read_annotations(args.annotations, args.limit)
    model = args.model or "detect"

    async def find(image: dict[str, Any]) -> People:
        options = _detection_options(args, LEAST_SCORE)
        return await client.detect(args.images / image["file_name"], model=model, **options)

    return _coco_evaluation(args, _settings(args, model), dataset, find, dict, metrics.box_figures)


def _coco_evaluation(
    args: argparse.Namespace,
    settings: dict[str, Any],
    dataset: dict[str, Any],
    find: FindPeople,
    results_row: Callable[[dict[str, Any]], dict[str, Any]],
    figures: Callable[[dict[str, Any], list[dict[str, Any]]], Figures],
) -> Evaluation:
    """An answer is the rows of one image as they will stand in the file of results."""

    async def request(image: dict[str, Any]) -> list[dict[str, Any]]:
        rows = coco_results(await find(image), image["id"], dataset["categories"][0]["id"])
        return [results_row(row) for row in rows]

    def summarize(answers: Sequence[Any]) -> tuple[Any, Figures]:
        results = [row for rows in answers for row in rows]
        return results, figures(dataset, results)

    requests = {image["file_name"]: partial(request, image) for image in dataset["images"]}
    images = {
        image["file_name"]: (args.images / image["file_name"], partial(ground_truth.image_size, image))
        for image in dataset["images"]
    }
    return Evaluation(settings, requests, images, summarize)


def _find_by_server(args: argparse.Namespace, client: AsyncPoseClient, model: str) -> FindPeople:
    async def find(image: dict[str, Any]) -> People:
        options = _detection_options(args, LEAST_SCORE) | {"oks_nms": args.oks_nms}
        return await client.pose(args.images / image["file_name"], model=model, **options)

    return find


def _find_in_boxes(
    args: argparse.Namespace,
    client: AsyncPoseClient,
    model: str,
    boxes: dict[int, NDArray[np.float32]],
    keypoint_set: str,
    sigmas: Sequence[float],
    most: int,
) -> FindPeople:
    """boxes: [n, 5] x1, y1, x2, y2, score by image id; most: those of one request."""

    async def find(image: dict[str, Any]) -> People:
        rows = boxes.get(image["id"], np.zeros((0, 5), np.float32))
        keypoints, scores = [np.zeros((0, len(sigmas), 3), np.float32)], [np.zeros(0, np.float32)]
        for start in range(0, len(rows), most):
            some = rows[start : start + most]
            people = await client.pose_in_boxes(args.images / image["file_name"], some[:, :4], model=model)
            keypoints.append(people.keypoints)
            scores.append(people.pose_scores * some[:, 4])
        found = PosedPeople(
            rows[:, :4], rows[:, 4], np.concatenate(keypoints), keypoint_set, pose_scores=np.concatenate(scores)
        )
        return found if args.oks_nms is None else oks_nms(found, args.oks_nms, sigmas)

    return find


async def _evaluate_parts(args: argparse.Namespace, client: AsyncPoseClient) -> Evaluation:
    model = args.model or "parts"
    classes = await client.class_set(model)
    pairs = ground_truth.masks_and_images(args.masks, args.images)[: args.limit]

    async def request(mask: Path, image: Path) -> list[list[int]]:
        predicted = await client.parts(image, model=model, **_detection_options(args))
        counts: list[list[int]] = metrics.mask_counts(
            ground_truth.read_mask(mask), predicted, len(classes.names)
        ).tolist()
        return counts

    def summarize(answers: Sequence[Any]) -> tuple[Any, Figures]:
        counts = np.sum([np.zeros((3, len(classes.names))), *answers], 0).astype(np.int64)
        results = dict(zip(("classes", "both", "truth", "found"), [classes.names, *counts.tolist()], strict=True))
        return results, metrics.mask_figures(counts, classes.names)

    settings = _settings(args, model) | {"class_set": classes.name}
    requests = {mask.name: partial(request, mask, image) for mask, image in pairs}
    images = {mask.name: (image, partial(ground_truth.mask_size, mask)) for mask, image in pairs}
    return Evaluation(settings, requests, images, summarize)


EVALUATIONS = {"keypoints": _evaluate_keypoints, "boxes": _evaluate_boxes, "parts": _evaluate_parts}


def _detection_options(args: argparse.Namespace, least_score: float | None = None) -> dict[str, Any]:
    threshold = least_score if args.score_threshold is None else args.score_threshold
    return {"score_threshold": threshold, "nms_iou": args.nms_iou, "max_people": args.max_people}


def _settings(args: argparse.Namespace, model: str) -> dict[str, Any]:
    """What the answers of every task depend on, of the command line."""
    truth = str(args.masks.resolve()) if args.task == "parts" else ground_truth.digest(args.annotations)
    return {"task": args.task, "truth": truth, "model": model, **_detection_options(args)}


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m poseclient.evaluate OPTIONS`, for `poseclient evaluate OPTIONS`."""
    return run(arguments.parser().parse_args(["evaluate", *(sys.argv[1:] if argv is None else argv)]))


if __name__ == "__main__":
    sys.exit(main())

"""`poseclient evaluate`: the accuracy of what a server has installed, on images whose truth is known."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from poseclient import metrics, truth
from poseclient.aio import AsyncPoseClient
from poseclient.answers import Answers, Questions, ask_missing
from poseclient.commands import LIMITS, OKS_NMS
from poseclient.formats import coco_results
from poseclient.people import People
from poseclient.protocol import DEFAULT_URL, RequestError

LEAST_SCORE = 0.05  # AP is the area below a curve that begins far down
PADDING, ASPECT = 1.25, 0.75  # a network's crop: how much larger than the box, and its width : height

Find = Callable[[dict[str, Any]], Awaitable[People]]  # the people of one of COCO's images


@dataclass(frozen=True)
class Job:
    """What to ask and how to judge it. settings: all that the answers depend on. judge: answers to results, figures."""

    settings: dict[str, Any]
    questions: Questions
    judge: Callable[[Sequence[Any]], tuple[Any, metrics.Figures]]


def add_parser(commands: Any) -> None:
    """Add `evaluate` to the subparsers of `poseclient`."""
    parser = commands.add_parser("evaluate", help="accuracy on images whose truth is known")
    parser.add_argument("--task", choices=list(JOBS), default="keypoints", help="what to judge (%(default)s)")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--annotations", type=Path, metavar="FILE", help="COCO's truth of boxes and keypoints")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="truth of parts: class ids, IMAGE.png or IMAGE.npy")
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument("--detections", type=Path, metavar="FILE", help="keypoints in these boxes, COCO's results")
    boxes.add_argument("--truth-boxes", action="store_true", help="keypoints in the boxes of the truth")
    for flag, option in {**LIMITS, **OKS_NMS}.items():
        parser.add_argument(flag, **option)
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images only")
    parser.add_argument("--model", metavar="NAME", help="another ensemble of that kind, as pose.NETWORK")
    parser.add_argument("--url", default=DEFAULT_URL, help="grpc:// or http:// (%(default)s)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for one request (%(default)s)")
    parser.add_argument("--concurrency", type=int, default=8, help="images in flight (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the results (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Exit code 0 when every image was answered, 1 when one was not or nothing could be asked."""
    try:
        return asyncio.run(_run(options))
    except (RequestError, OSError, ValueError) as error:
        print(f"poseclient evaluate: {error}", file=sys.stderr)
        return 1


async def _run(options: argparse.Namespace) -> int:
    _check(options)
    async with AsyncPoseClient(options.url, options.timeout) as client:
        job = await JOBS[options.task](options, client)
        with Answers(options.out / "answers.jsonl", job.settings) as answers:
            failed = await ask_missing(job.questions, answers, options.concurrency)
    results, figures = job.judge([answers.given[name] for name in job.questions if name in answers.given])
    for name, value in {"results": results, "figures": figures}.items():
        (options.out / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    print(table(figures))
    if failed:
        print(f"{failed} of {len(job.questions)} images failed, the figures are without their answers", file=sys.stderr)
    return 1 if failed else 0


def _check(options: argparse.Namespace) -> None:
    needed = "masks" if options.task == "parts" else "annotations"
    if getattr(options, needed) is None:
        raise ValueError(f"--task {options.task} needs --{needed}")
    if options.task != "keypoints" and (options.detections or options.truth_boxes):
        raise ValueError("--detections and --truth-boxes are for --task keypoints")
    if options.concurrency < 1:
        raise ValueError("--concurrency must be 1 or more")
    if options.task != "parts" and importlib.util.find_spec("faster_coco_eval") is None:
        raise ValueError("COCO's figures need faster-coco-eval: pip install 'poseclient[evaluate]'")


def table(figures: metrics.Figures) -> str:
    """The figures in percent, as published tables have them."""
    width = max(map(len, figures))
    lines = [" " * width + "".join(f"{name:>11}" for name in next(iter(figures.values())))]
    for row, values in figures.items():
        cells = (f"{100 * value:11.1f}" if value >= 0 else f"{'-':>11}" for value in values.values())
        lines.append(f"{row:{width}}" + "".join(cells))
    return "\n".join(lines)


async def _keypoints_job(options: argparse.Namespace, client: AsyncPoseClient) -> Job:
    known = truth.read_truth(options.annotations, options.limit)
    in_boxes = options.detections or options.truth_boxes
    model = options.model or "pose"
    if in_boxes:
        model = "pose_in_boxes" + model.removeprefix("pose_in_boxes").removeprefix("pose")
    labels = await client.keypoint_set(model)
    if labels.oks_sigmas is None:
        raise ValueError(f"there is no AP without oks_sigmas, which the keypoint set {labels.name!r} has not")
    where, sigmas = metrics.layout(labels.name, len(labels.names)), labels.oks_sigmas
    labelled = [row for row in known["annotations"] if metrics.count_labelled(row, where)]
    find, source = _find_by_server(options, client, model), "of the server"
    if in_boxes:
        rows = [row | {"score": 1.0} for row in labelled if not row.get("iscrowd")]
        source = "of the truth"
        if options.detections:
            rows, source = truth.read_detections(options.detections), truth.digest(options.detections)
        boxes = truth.boxes_by_image(rows, known["categories"][0]["id"], options.score_threshold or 0)
        find = _find_in_boxes(options, client, model, boxes, sigmas, await client.max_boxes())
    settings = {"keypoint_set": labels.name, "boxes": source, "oks_nms": options.oks_nms}
    return _coco_job(
        _settings(options, model) | settings,
        known,
        find,
        partial(metrics.results_row, where=where),
        partial(metrics.keypoint_figures, where=where, sigmas=sigmas),
    )


async def _boxes_job(options: argparse.Namespace, client: AsyncPoseClient) -> Job:
    known = truth.read_truth(options.annotations, options.limit)
    model = options.model or "detect"

    async def find(image: dict[str, Any]) -> People:
        limits = _limits(options, LEAST_SCORE)
        return await client.detect(options.images / image["file_name"], model=model, **limits)

    return _coco_job(_settings(options, model), known, find, dict, metrics.box_figures)


def _coco_job(
    settings: dict[str, Any],
    known: dict[str, Any],
    find: Find,
    row: Callable[[dict[str, Any]], dict[str, Any]],
    figures: Callable[[dict[str, Any], list[dict[str, Any]]], metrics.Figures],
) -> Job:
    """An answer is the rows of one image as they will stand in the file of results."""

    async def ask(image: dict[str, Any]) -> list[dict[str, Any]]:
        return [row(found) for found in coco_results(await find(image), image["id"], known["categories"][0]["id"])]

    def judge(answers: Sequence[Any]) -> tuple[Any, metrics.Figures]:
        results = [found for answer in answers for found in answer]
        return results, figures(known, results)

    return Job(settings, {image["file_name"]: partial(ask, image) for image in known["images"]}, judge)


def _find_by_server(options: argparse.Namespace, client: AsyncPoseClient, model: str) -> Find:
    async def find(image: dict[str, Any]) -> People:
        limits = _limits(options, LEAST_SCORE) | {"oks_nms": options.oks_nms}
        return await client.pose(options.images / image["file_name"], model=model, **limits)

    return find


def _find_in_boxes(
    options: argparse.Namespace,
    client: AsyncPoseClient,
    model: str,
    boxes: dict[int, np.ndarray],
    sigmas: Sequence[float],
    most: int,
) -> Find:
    """boxes: [n, 5] x1, y1, x2, y2, score by image id; most: those of one request."""

    async def find(image: dict[str, Any]) -> People:
        given = boxes.get(image["id"], np.zeros((0, 5), np.float32))
        keypoints, scores = [np.zeros((0, len(sigmas), 3), np.float32)], [np.zeros(0, np.float32)]
        for start in range(0, len(given), most):
            some = given[start : start + most]
            people = await client.pose_in_boxes(options.images / image["file_name"], some[:, :4], model=model)
            assert people.keypoints is not None
            assert people.pose_scores is not None
            keypoints.append(people.keypoints)
            scores.append(people.pose_scores * some[:, 4])
        found = People(given[:, :4], given[:, 4], np.concatenate(keypoints), pose_scores=np.concatenate(scores))
        return found if options.oks_nms is None else oks_nms(found, options.oks_nms, sigmas)

    return find


def oks_nms(people: People, most: float, sigmas: Sequence[float]) -> People:
    """The people, best pose first, without those whose pose is more alike (OKS) than `most` to that of a better one.

    As in top-down evaluations on COCO (Papandreou et al., arXiv 1701.01779); the area of two people is the mean of the
    areas of their crops. The server does the same with boxes that it found, but knows no scores of boxes of a file.
    """
    assert people.keypoints is not None
    assert people.pose_scores is not None
    width, height = PADDING * (people.boxes[:, 2:] - people.boxes[:, :2]).T
    areas = np.maximum(width, ASPECT * height) ** 2 / ASPECT
    kept: list[int] = []
    for row in np.argsort(-people.pose_scores, kind="stable").tolist():
        apart = ((people.keypoints[kept, :, :2] - people.keypoints[row, :, :2]) ** 2).sum(2)
        pair = (areas[kept, None] + areas[row]) / 2
        if (np.exp(-apart / (8 * np.square(sigmas) * pair)).mean(1) <= most).all():
            kept.append(row)
    return people[kept]


async def _parts_job(options: argparse.Namespace, client: AsyncPoseClient) -> Job:
    model = options.model or "parts"
    classes = await client.class_set(model)
    pairs = truth.masks_and_images(options.masks, options.images)[: options.limit]

    async def ask(mask: Path, image: Path) -> list[list[int]]:
        found = await client.parts(image, model=model, **_limits(options))
        return metrics.mask_counts(truth.read_mask(mask), found, len(classes.names)).tolist()

    def judge(answers: Sequence[Any]) -> tuple[Any, metrics.Figures]:
        counts = np.sum([np.zeros((3, len(classes.names))), *answers], 0).astype(np.int64)
        results = dict(zip(("classes", "both", "truth", "found"), [classes.names, *counts.tolist()], strict=True))
        return results, metrics.mask_figures(counts, classes.names)

    settings = _settings(options, model) | {"class_set": classes.name}
    return Job(settings, {mask.name: partial(ask, mask, image) for mask, image in pairs}, judge)


JOBS = {"keypoints": _keypoints_job, "boxes": _boxes_job, "parts": _parts_job}


def _limits(options: argparse.Namespace, least_score: float | None = None) -> dict[str, Any]:
    threshold = least_score if options.score_threshold is None else options.score_threshold
    return {"score_threshold": threshold, "nms_iou": options.nms_iou, "max_people": options.max_people}


def _settings(options: argparse.Namespace, model: str) -> dict[str, Any]:
    """What the answers of every task depend on, of the command line."""
    known = str(options.masks.resolve()) if options.task == "parts" else truth.digest(options.annotations)
    return {"task": options.task, "truth": known, "model": model, **_limits(options)}


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m poseclient.evaluate OPTIONS`, for `poseclient evaluate OPTIONS`."""
    parser = argparse.ArgumentParser(prog="poseclient")
    add_parser(parser.add_subparsers())
    return run(parser.parse_args(["evaluate", *(sys.argv[1:] if argv is None else argv)]))


if __name__ == "__main__":
    sys.exit(main())

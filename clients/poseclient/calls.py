"""What each call of the clients asks the server for, and how its answer is read; the clients themselves only send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypedDict, TypeVar

import numpy as np

from poseclient.images import Image, image_size
from poseclient.people import People
from poseclient.protocol import Described, box_rows, tensor

Answer = TypeVar("Answer")


class Limits(TypedDict, total=False):
    """Who is in an answer; what is left out, or None, is left to the server.

    score_threshold: least score of a person's box. nms_iou: most overlap of two boxes. max_people: of one image.
    """

    score_threshold: float | None
    nms_iou: float | None
    max_people: int | None


class PoseLimits(Limits, total=False):
    """oks_nms: most similarity (OKS) of two people's keypoints, 0..1; 1, the default, suppresses nobody."""

    oks_nms: float | None


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """outputs: those to ask for, as far as the ensemble has them; the server runs only the steps that they need.
    described: `read` needs the ensemble's description."""

    model: str
    image: Image
    outputs: tuple[str, ...]
    read: Callable[[Any, Described], Answer]
    boxes: np.ndarray | None = None
    limits: Mapping[str, float | None] = field(default_factory=dict)
    described: bool = False

    @property
    def parameters(self) -> dict[str, float]:
        """Request parameters. Raises TypeError for one that there is not."""
        unknown = self.limits.keys() - PoseLimits.__annotations__.keys()
        if unknown:
            raise TypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PoseLimits.__annotations__)}")
        return {name: value for name, value in self.limits.items() if value is not None}


FOUND = ("BOXES", "SCORES", "PEOPLE_FOUND")
POSED = ("KEYPOINTS", "POSE_SCORES")


def detect(image: Image, model: str, limits: Mapping) -> Call[People]:
    return Call(model, image, FOUND, lambda answer, _: _people(answer, image), limits=limits)


def pose(image: Image, model: str, limits: Mapping) -> Call[People]:
    def read(answer: Any, described: Described) -> People:
        return _people(answer, image, described.label("keypoint_set"))

    return Call(model, image, FOUND + POSED, read, limits=limits, described=True)


def people(image: Image, model: str, limits: Mapping) -> Call[People]:
    def read(answer: Any, described: Described) -> People:
        labels = described.label("keypoint_set"), described.label("class_set")
        return _people(answer, image, *labels, owned="INSTANCE_IDS" in described.outputs)

    return Call(model, image, (*FOUND, *POSED, "MASK", "INSTANCE_IDS"), read, limits=limits, described=True)


def pose_in_boxes(image: Image, boxes: Any, model: str, limits: Mapping) -> Call[People]:
    rows = box_rows(boxes)

    def read(answer: Any, described: Described) -> People:
        kept = tensor(answer, "KEPT_INDICES")
        # Scores are 1, because the caller says that these are people.
        return _posed(answer, image, described, rows[kept], np.ones(len(kept), np.float32), len(rows))

    return Call(model, image, (*POSED, "KEPT_INDICES"), read, rows, limits, described=True)


def pose_of_image(image: Image, model: str) -> Call[People]:
    def read(answer: Any, described: Described) -> People:
        boxes, scores = tensor(answer, "BOXES"), tensor(answer, "SCORES")
        return _posed(answer, image, described, boxes, scores, len(boxes))

    return Call(model, image, ("BOXES", "SCORES", *POSED), read, described=True)


def output(image: Image, name: str, model: str, limits: Mapping | None = None) -> Call[np.ndarray]:
    """One array: a mask, or a map of the image."""
    return Call(model, image, (name,), lambda answer, _: tensor(answer, name), limits=limits or {})


def _people(
    answer: Any, image: Image, keypoint_set: str | None = None, class_set: str | None = None, owned: bool = False
) -> People:
    return People(
        boxes=tensor(answer, "BOXES"),
        scores=tensor(answer, "SCORES"),
        keypoints=tensor(answer, "KEYPOINTS") if keypoint_set else None,
        keypoint_set=keypoint_set,
        image_size=image_size(image),
        found=int(tensor(answer, "PEOPLE_FOUND")[0]),
        pose_scores=tensor(answer, "POSE_SCORES") if keypoint_set else None,
        mask=tensor(answer, "MASK") if class_set else None,
        class_set=class_set,
        instance_ids=tensor(answer, "INSTANCE_IDS") if owned else None,
    )


def _posed(
    answer: Any, image: Image, described: Described, boxes: np.ndarray, scores: np.ndarray, found: int
) -> People:
    keypoints, pose_scores = (tensor(answer, name) for name in POSED)
    labels = described.label("keypoint_set")
    return People(boxes, scores, keypoints, labels, image_size(image), found, pose_scores)

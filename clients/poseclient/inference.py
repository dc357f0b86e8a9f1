"""What each method of the clients requests, and how the response is read; the clients themselves only send."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Generic, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from poseclient.errors import RequestError
from poseclient.images import Image, image_size
from poseclient.people import People, PosedPeople
from poseclient.protocol import InferResult, ModelDescription, box_rows, infer_inputs, set_name, tensor

Result = TypeVar("Result")  # of a client's method


class DetectionOptions(TypedDict, total=False):
    """Who is in the result; an option that is left out, or None, is left to the server.

    score_threshold: least score of a person's box, 0..1. nms_iou: most overlap (IoU) of two boxes, 0..1. max_people: of
    one image.
    """

    score_threshold: float | None
    nms_iou: float | None
    max_people: int | None


class PoseOptions(DetectionOptions, total=False):
    """oks_nms: most similarity (OKS) of two people's keypoints, 0..1; 1 suppresses nobody."""

    oks_nms: float | None


@dataclass(frozen=True)
class InferRequest(Generic[Result]):
    """One request, and how to read its response.

    kinds: names of the ensembles that can answer it, up to the dot. outputs: those to ask for; the server runs only the
    steps that they need. extras: outputs to ask for where the model has them.
    options: DetectionOptions or PoseOptions. needs_description: `read` needs the model's own description.
    """

    model: str
    kinds: tuple[str, ...]
    image: Image
    outputs: tuple[str, ...]
    read: Callable[[InferResult, ModelDescription], Result]
    boxes: NDArray[np.float32] | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    needs_description: bool = False

    @property
    def parameters(self) -> dict[str, object]:
        """Triton's request parameters. TypeError for an option that there is not."""
        known = PoseOptions.__annotations__
        unknown = self.options.keys() - known.keys()
        if unknown:
            raise TypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        # A number of numpy's is one for Triton as Python's own.
        values = {name: value for name, value in self.options.items() if value is not None}
        return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}

    def arguments(self, api: ModuleType, encoded: bytes, offered: Collection[str]) -> dict[str, Any]:
        """The arguments of tritonclient's `infer`.

        api: `tritonclient.grpc` or `tritonclient.http`. encoded: the image. offered: the known outputs of the model.
        """
        extras = (name for name in self.extras if name in offered)
        return {
            "model_name": self.model,
            "inputs": infer_inputs(api, encoded, self.boxes),
            "outputs": [api.InferRequestedOutput(name) for name in (*self.outputs, *extras)],
            "parameters": self.parameters,
        }


DETECTION_OUTPUTS = ("BOXES", "SCORES", "PEOPLE_FOUND")
POSE_OUTPUTS, POSE_EXTRAS = ("KEYPOINTS", "POSE_SCORES"), ("KEYPOINT_SET",)
MASK_ENSEMBLES = ("parts", "parts_of_people", "people")


def detect(image: Image, model: str, options: DetectionOptions) -> InferRequest[People]:
    """Boxes and scores."""

    def read(response: InferResult, _: ModelDescription) -> People:
        boxes, scores = tensor(response, "BOXES"), tensor(response, "SCORES")
        return People(boxes, scores, image_size=image_size(image), found=_found(response))

    return InferRequest(model, ("detect", "pose", "people"), image, DETECTION_OUTPUTS, read, options=options)


def pose(image: Image, model: str, options: PoseOptions) -> InferRequest[PosedPeople]:
    """Boxes, scores and keypoints."""

    def read(response: InferResult, description: ModelDescription) -> PosedPeople:
        boxes, scores = tensor(response, "BOXES"), tensor(response, "SCORES")
        return _read_poses(response, description, image, boxes, scores, _found(response))

    outputs = DETECTION_OUTPUTS + POSE_OUTPUTS
    return InferRequest(
        model, ("pose", "people"), image, outputs, read, options=options, extras=POSE_EXTRAS, needs_description=True
    )


def people(image: Image, model: str, options: PoseOptions) -> InferRequest[PosedPeople]:
    """Boxes, scores, keypoints, the mask, and instance ids where the model has them."""
    posed = pose(image, model, options)

    def read(response: InferResult, description: ModelDescription) -> PosedPeople:
        has_instance_ids = "INSTANCE_IDS" in description.outputs
        return replace(
            posed.read(response, description),
            mask=tensor(response, "MASK"),
            class_set=set_name(response, description, "CLASS_SET"),
            instance_ids=tensor(response, "INSTANCE_IDS") if has_instance_ids else None,
        )

    extras = (*POSE_EXTRAS, "INSTANCE_IDS", "CLASS_SET")
    return replace(posed, kinds=("people",), outputs=(*posed.outputs, "MASK"), extras=extras, read=read)


def pose_in_boxes(image: Image, boxes: ArrayLike, model: str, options: PoseOptions) -> InferRequest[PosedPeople]:
    """Keypoints of the people in the caller's boxes, [n, 4]; InputError for boxes of another shape."""
    rows = box_rows(boxes)

    def read(response: InferResult, description: ModelDescription) -> PosedPeople:
        kept = tensor(response, "KEPT_INDICES")
        # Scores are 1, because the caller says that these are people.
        return _read_poses(response, description, image, rows[kept], np.ones(len(kept), np.float32), len(rows))

    outputs = (*POSE_OUTPUTS, "KEPT_INDICES")
    return InferRequest(model, ("pose_in_boxes",), image, outputs, read, rows, options, POSE_EXTRAS, True)


def pose_of_image(image: Image, model: str) -> InferRequest[PosedPeople]:
    """Keypoints of the one person whom the whole image shows."""

    def read(response: InferResult, description: ModelDescription) -> PosedPeople:
        boxes, scores = tensor(response, "BOXES"), tensor(response, "SCORES")
        return _read_poses(response, description, image, boxes, scores, len(boxes))

    outputs = ("BOXES", "SCORES", *POSE_OUTPUTS)
    return InferRequest(model, ("pose_of_image",), image, outputs, read, extras=POSE_EXTRAS, needs_description=True)


def single_output(
    image: Image, name: str, model: str, kinds: tuple[str, ...], options: DetectionOptions | None = None
) -> InferRequest[NDArray[Any]]:
    """One output tensor: a mask, or a map of the image. kinds: as in InferRequest."""
    return InferRequest(model, kinds, image, (name,), lambda response, _: tensor(response, name), options=options or {})


def _found(response: InferResult) -> int:
    return int(tensor(response, "PEOPLE_FOUND")[0])


def _read_poses(
    response: InferResult,
    description: ModelDescription,
    image: Image,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    found: int,
) -> PosedPeople:
    keypoints, pose_scores = tensor(response, "KEYPOINTS"), tensor(response, "POSE_SCORES")
    keypoint_set = set_name(response, description, "KEYPOINT_SET")
    try:
        return PosedPeople(boxes, scores, keypoints, keypoint_set, image_size(image), found, pose_scores)
    except ValueError as error:  # such as a network of another keypoint set than its configuration says
        raise RequestError(f"model {description.name!r} contradicts itself: {error}", "INTERNAL") from error

"""People as values that JSON can hold, and back; no number changes on the way."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError
from poseclient.keypoints import keypoint_count, keypoint_set

if TYPE_CHECKING:
    from poseclient.people import People

MASKS = ("mask", "instance_ids")


def to_dict(people: People) -> dict[str, Any]:
    """See `People.to_dict`."""
    image: dict[str, Any] = {
        "image_size": None if people.image_size is None else list(people.image_size),
        "found": people.found,
        "keypoint_set": people.keypoint_set,
        "keypoint_names": None if people.keypoints is None else list(keypoint_names(people)),
        "class_set": people.class_set,
    }
    columns: dict[str, NDArray[Any]] = {"box": people.boxes, "score": people.scores}
    columns |= {"pose_score": people.pose_scores} if people.pose_scores is not None else {}
    columns |= {"track_id": people.track_ids} if people.track_ids is not None else {}
    columns |= {"keypoints": people.keypoints} if people.keypoints is not None else {}
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    image["people"] = [dict(zip(columns, row, strict=True)) for row in rows]
    image["has_pose_scores"] = people.pose_scores is not None
    image |= {"has_track_ids": True} if people.track_ids is not None else {}
    return image | {name: _png(pixels) for name in MASKS if (pixels := getattr(people, name)) is not None}


def from_dict(value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of People in what `to_dict` gave; InputError for anything else."""
    try:
        people, size, names = value["people"], value["image_size"], value["keypoint_names"]
        fields: dict[str, Any] = {name: value[name] for name in ("found", "keypoint_set", "class_set")}
        fields |= {name: _pixels(value[name]) for name in MASKS if name in value}
        fields["image_size"] = None if size is None else (size[0], size[1])
        fields["boxes"] = _column(people, "box", (4,))
        fields["scores"] = _column(people, "score", ())
        if value["has_pose_scores"]:
            fields["pose_scores"] = _column(people, "pose_score", ())
        if "has_track_ids" in value:
            fields["track_ids"] = np.array([person["track_id"] for person in people], np.int64)
        if names is not None:
            fields["keypoints"] = _column(people, "keypoints", (len(names), 3))
    except (KeyError, IndexError, TypeError, ValueError, cv2.error) as error:
        raise InputError(f"not what People.to_dict gives: {type(error).__name__}: {error}") from error
    return fields


def keypoint_names(people: People) -> Sequence[str]:
    """Of each keypoint: its name, or its number where the set is not known."""
    if people.keypoints is None:
        raise InputError("these people have boxes only, no keypoints")
    if people.keypoint_set is None or keypoint_count(people.keypoint_set) is None:
        return [f"keypoint_{k}" for k in range(people.keypoints.shape[1])]
    return keypoint_set(people.keypoint_set).names


def _column(people: Sequence[Mapping[str, Any]], name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.array([person[name] for person in people], np.float32).reshape(len(people), *shape)


def _png(pixels: NDArray[np.uint8]) -> str:
    return base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode()


def _pixels(png: str) -> NDArray[np.uint8]:
    encoded = np.frombuffer(base64.b64decode(png), np.uint8)
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), np.uint8)

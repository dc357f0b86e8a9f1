"""People as the objects of other packages, which are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from poseclient.errors import MissingExtraError
from poseclient.people_dicts import keypoint_names

if TYPE_CHECKING:
    from poseclient.people import People


def to_pandas(people: People) -> Any:
    """See `People.to_pandas`."""
    columns = dict(zip(("x1", "y1", "x2", "y2"), people.boxes.T, strict=True)) | {"score": people.scores}
    if people.pose_scores is not None:
        columns["pose_score"] = people.pose_scores
    if people.track_ids is not None:
        columns["track_id"] = people.track_ids
    if people.keypoints is not None:
        for k, name in enumerate(keypoint_names(people)):
            for i, part in enumerate(("x", "y", "score")):
                columns[f"{name}_{part}"] = people.keypoints[:, k, i]
    return _extra("pandas").DataFrame(columns)


def to_supervision(people: People) -> tuple[Any, Any]:
    """See `People.to_supervision`."""
    supervision = _extra("supervision")
    ids, number = people.instance_ids, np.arange(1, len(people) + 1)
    masks = None if ids is None else ids == number[:, None, None]
    of_class = {"class_id": np.zeros(len(people), int), "data": {"class_name": np.full(len(people), "person")}}
    detections = supervision.Detections(
        people.boxes, mask=masks, confidence=people.scores, tracker_id=people.track_ids, **of_class
    )
    if people.keypoints is None:
        return detections, None
    xy, scores = people.keypoints[..., :2], people.keypoints[..., 2]
    key_points = supervision.KeyPoints(xy, keypoint_confidence=scores, detection_confidence=people.scores, **of_class)
    if people.track_ids is not None:
        key_points["tracker_id"] = people.track_ids
    return detections, key_points


def _extra(package: str) -> Any:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"this needs {package}: pip install 'poseclient[{package}]'") from error

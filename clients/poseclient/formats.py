"""Answers as JSON of other tools: plain dicts and lists of Python numbers, rounded to six decimals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poseclient.keypoints import keypoint_set
from poseclient.people import People


def coco_results(people: People, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
    """COCO's results format, one entry for each person.

    `bbox` is x, y, width, height, `score` that of the detection, and `keypoints`, when there are any, one
    flat list of x, y, score.
    """
    rows = []
    for person in people:
        x1, y1, x2, y2 = person.boxes[0].astype(float)
        row = {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": _numbers(np.array([x1, y1, x2 - x1, y2 - y1])),
            "score": _numbers(person.scores[0]),
        }
        if person.keypoints is not None:
            row["keypoints"] = _numbers(person.keypoints[0].ravel())
        rows.append(row)
    return rows


def sapiens_json(people: People) -> dict[str, Any]:
    """What Sapiens writes for one image: `keypoints` [K][x, y] and `keypoint_scores` [K] of each person."""
    return {
        "instance_info": [
            {"keypoints": _numbers(person[:, :2]), "keypoint_scores": _numbers(person[:, 2])}
            for person in _keypoints(people)
        ]
    }


def easy_vitpose_json(frames: Sequence[People]) -> dict[str, Any]:
    """What easy_ViTPose writes, one entry for each frame: person id -> [K][y, x, score].

    Ids count from 0 in each frame. ValueError without a frame, because its keypoint set names the `skeleton`.
    """
    if not frames:
        raise ValueError("easy_ViTPose's layout needs at least one frame")
    keypoints = [
        {str(i): _numbers(person[:, [1, 0, 2]]) for i, person in enumerate(_keypoints(people))} for people in frames
    ]
    names = keypoint_set(frames[0].keypoint_set or "").names
    return {"keypoints": keypoints, "skeleton": {str(i): name for i, name in enumerate(names)}}


def _keypoints(people: People) -> np.ndarray:
    if people.keypoints is None:
        raise ValueError("these people have boxes only; this format is about keypoints")
    return people.keypoints


def _numbers(values: np.ndarray) -> Any:
    return np.round(np.asarray(values, np.float64), 6).tolist()

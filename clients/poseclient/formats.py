"""People, masks and maps in the formats of other tools: arrays, and JSON values with numbers of six decimals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError
from poseclient.keypoints import ClassSet, KeypointSet, keypoint_set
from poseclient.openpose import openpose_keypoints
from poseclient.people import People
from poseclient.rle import encode_mask

DEPTH_LEVELS = 65535  # of a 16-bit PNG; level 0 is "no value"


def coco_results(people: People, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
    """COCO's results format, one entry for each person.

    `bbox` is x, y, width, height; `score` that of the pose where there is one, else that of the box. Poses have both
    under their own names too, `pose_score` and `box_score`, and `keypoints`, one flat list of x, y, score.
    `segmentation`, when there are instance_ids, is COCO's compressed RLE of the person's pixels.
    """
    scores = people.scores if people.pose_scores is None else people.pose_scores
    ids = None if people.instance_ids is None else np.asfortranarray(people.instance_ids)  # RLE runs down the columns
    rows = []
    for i, (x1, y1, x2, y2) in enumerate(people.boxes.astype(float)):
        row = {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": _numbers(np.array([x1, y1, x2 - x1, y2 - y1])),
            "score": _numbers(scores[i]),
        }
        if people.pose_scores is not None:
            row |= {"pose_score": _numbers(people.pose_scores[i]), "box_score": _numbers(people.scores[i])}
        if people.keypoints is not None:
            row["keypoints"] = _numbers(people.keypoints[i].ravel())
        if ids is not None:
            row["segmentation"] = encode_mask(ids == i + 1)
        rows.append(row)
    return rows


def coco_panoptic(people: People) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """COCO's panoptic format: the PNG's pixels u8 [h, w, 3] RGB and its `segments_info`.

    A segment is one class of one person. A pixel's segment id is R + 256 G + 65536 B, as COCO has it, where R is the
    class id and G the instance id: 0 nobody, i the person in row i - 1; background is 0, 0, 0. A segment has `id`,
    `category_id` (the class id), `area` in pixels, `bbox` x, y, width, height, `iscrowd` 0, and `instance`: the row of
    the person, None for parts that are nobody's. InputError for people without mask or instance_ids.
    """
    if people.mask is None or people.instance_ids is None:
        raise InputError("these people have no mask with instance_ids; the panoptic format is about both")
    instance_ids = np.where(people.mask > 0, people.instance_ids, 0).astype(np.uint8)
    pixels = np.dstack([people.mask, instance_ids, np.zeros_like(instance_ids)])
    y, x = np.nonzero(people.mask)
    ids = people.mask[y, x] + 256 * instance_ids[y, x].astype(np.int64)
    areas = np.bincount(ids)
    low, high = (np.full((2, len(areas)), edge) for edge in (max(pixels.shape), -1))
    for axis, places in enumerate((x, y)):
        np.minimum.at(low[axis], ids, places)
        np.maximum.at(high[axis], ids, places)
    segments = [
        {
            "id": i,
            "category_id": i % 256,
            "area": int(areas[i]),
            "bbox": [*low[:, i].tolist(), *(high - low + 1)[:, i].tolist()],
            "iscrowd": 0,
            "instance": i // 256 - 1 if i >= 256 else None,
        }
        for i in np.flatnonzero(areas).tolist()
    ]
    return pixels, segments


def coco_person(keypoints: KeypointSet | None) -> dict[str, Any]:
    """COCO's category 1, with the names of the keypoints and the skeleton, whose pairs count from 1."""
    person: dict[str, Any] = {"id": 1, "name": "person", "supercategory": "person"}
    if keypoints is not None:
        person["keypoints"] = list(keypoints.names)
        person["skeleton"] = [[a + 1, b + 1] for a, b in keypoints.links]
    return person


def coco_categories(classes: ClassSet) -> list[dict[str, Any]]:
    """COCO's panoptic `categories`: every class except the background, with its colour."""
    return [
        {"id": i, "name": name, "supercategory": "person", "isthing": 1, "color": list(classes.palette[i])}
        for i, name in enumerate(classes.names)
        if i > 0
    ]


def sapiens_json(people: People) -> dict[str, Any]:
    """What Sapiens writes for one image: `keypoints` [K][x, y] and `keypoint_scores` [K] of each person.

    InputError for people without keypoints.
    """
    return {
        "instance_info": [
            {"keypoints": _numbers(person[:, :2]), "keypoint_scores": _numbers(person[:, 2])}
            for person in _keypoints(people)
        ]
    }


def easy_vitpose_json(frames: Sequence[People]) -> dict[str, Any]:
    """What easy_ViTPose writes, one entry for each frame: person id -> [K][y, x, score], y before x.

    Ids count from 0 in each frame. InputError for people without keypoints, and for no frame at all, because the
    keypoint set of the first names the `skeleton`.
    """
    if not frames:
        raise InputError("easy_ViTPose's format needs at least one frame")
    keypoints = [
        {str(i): _numbers(person[:, [1, 0, 2]]) for i, person in enumerate(_keypoints(people))} for people in frames
    ]
    names = keypoint_set(frames[0].keypoint_set or "").names
    return {"keypoints": keypoints, "skeleton": {str(i): name for i, name in enumerate(names)}}


def openpose_json(people: People, threshold: float = 0.3) -> dict[str, Any]:
    """What OpenPose 1.3 writes for one image with its 18-point body: flat lists of x, y, score for each person.

    Faces (68 points) and hands (21 each) are empty lists for a keypoint set without them. threshold, errors: those of
    `openpose_keypoints`.
    """
    points = openpose_keypoints(people, threshold)
    return {
        "version": 1.3,
        "people": [
            {
                "person_id": [-1],
                "pose_keypoints_2d": _numbers(points.body[i].ravel()),
                "face_keypoints_2d": _numbers(points.face[i].ravel()),
                "hand_left_keypoints_2d": _numbers(points.left_hand[i].ravel()),
                "hand_right_keypoints_2d": _numbers(points.right_hand[i].ravel()),
            }
            for i in range(len(people))
        ],
    }


def depth_levels(depth: NDArray[np.floating[Any]]) -> tuple[NDArray[np.uint16], dict[str, float]]:
    """Depth [h, w] of any float type as u16 for a PNG of 16 bits, with its range, `min` and `max` of the finite values.

    Level 0 is a pixel without a finite value; the others are `min + (level - 1) / 65534 * (max - min)`. A map without
    a finite value has the range 0 to 0.
    """
    finite = np.isfinite(depth)
    values = depth[finite].astype(np.float64)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    levels = np.zeros(depth.shape, np.uint16)
    levels[finite] = 1 + np.round((values - low) * ((DEPTH_LEVELS - 1) / (high - low) if high > low else 0.0))
    return levels, {"min": low, "max": high}


def straight_alpha(matte: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A matte u8 [h, w, 4], RGB times alpha and alpha, as PNG has it: RGB without the factor alpha, and alpha."""
    alpha = matte[..., 3:].astype(np.float32)
    colours = matte[..., :3] * (255 / np.maximum(alpha, 1))
    return np.dstack([np.clip(np.round(colours), 0, 255), alpha]).astype(np.uint8)


def _keypoints(people: People) -> NDArray[np.float32]:
    if people.keypoints is None:
        raise InputError("these people have boxes only; this format is about keypoints")
    return people.keypoints


def _numbers(values: NDArray[np.floating[Any]] | np.floating[Any]) -> Any:
    return np.round(np.asarray(values, np.float64), 6).tolist()

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
    under their own names too, `pose_score` and `box_score`, and `keypoints`, one flat list of x, y, score. `track_id`
    is there for people of a video. `segmentation`, when there are instance_ids, is COCO's compressed RLE of the
    person's pixels.
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
        if people.track_ids is not None:
            row["track_id"] = int(people.track_ids[i])
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
    """What easy_ViTPose writes: `keypoints`, one `easy_vitpose_frame` for each frame, and the names as `skeleton`.

    InputError for people without keypoints, and for no frame at all, because the first one names the keypoint set.
    """
    if not frames:
        raise InputError("easy_ViTPose's format needs at least one frame")
    keypoints = [easy_vitpose_frame(people) for people in frames]
    return {"keypoints": keypoints, "skeleton": easy_vitpose_skeleton(keypoint_set(frames[0].keypoint_set or ""))}


def easy_vitpose_frame(people: People) -> dict[str, Any]:
    """One frame of easy_ViTPose: person id -> [K][y, x, score], y before x.

    Ids are those of the tracks, without people who are not tracked yet; without tracks they count from 0 in each frame.
    InputError for people without keypoints.
    """
    tracked = tracked_people(people)
    rows = zip(person_ids(tracked), _keypoints(tracked), strict=True)
    return {str(i): _numbers(person[:, [1, 0, 2]]) for i, person in rows}


def easy_vitpose_skeleton(keypoints: KeypointSet) -> dict[str, str]:
    """The names of the keypoints by their numbers, as easy_ViTPose writes them."""
    return {str(i): name for i, name in enumerate(keypoints.names)}


def posetrack_annotations(people: People, image_id: int, first_id: int) -> list[dict[str, Any]]:
    """PoseTrack18's annotations of one frame: COCO's, with `id` from `first_id` on, `track_id` and keypoint `scores`.

    `keypoints` is one flat list of x, y, score. People who are not tracked yet are left out. InputError for people
    without keypoints.
    """
    tracked = tracked_people(people)
    rows = zip(coco_results(tracked, image_id), person_ids(tracked), _keypoints(tracked), strict=True)
    return [
        row | {"id": first_id + i, "track_id": track, "scores": _numbers(keypoints[:, 2])}
        for i, (row, track, keypoints) in enumerate(rows)
    ]


def mot_lines(people: People, frame: int) -> list[str]:
    """MOTChallenge's results of one frame: frame, id, left, top, width, height, score, -1, -1, -1 of each person.

    frame: counts from 1. People who are not tracked yet are left out.
    """
    tracked = tracked_people(people)
    sides = np.hstack([tracked.boxes[:, :2], tracked.boxes[:, 2:] - tracked.boxes[:, :2]])
    rows = zip(person_ids(tracked), sides, tracked.scores, strict=True)
    return [f"{frame},{i},{','.join(f'{x:.2f}' for x in side)},{score:.4f},-1,-1,-1" for i, side, score in rows]


def keypoint_columns(people: People) -> dict[str, Any]:
    """A table of one row for each keypoint: `id` i64, `keypoint` its number, `x`, `y`, `score` f32, each [n * K].

    `id` is that of the track, -1 for somebody who is not tracked yet; without tracks the number of the person from 0.
    InputError for people without keypoints.
    """
    keypoints = _keypoints(people)
    count = keypoints.shape[1]
    x, y, score = keypoints.reshape(-1, 3).T
    return {
        "id": np.repeat(np.array(person_ids(people), np.int64), count),
        "keypoint": np.tile(np.arange(count), len(people)),
        **{"x": x, "y": y, "score": score},
    }


def person_ids(people: People) -> list[int]:
    """The track id of each person, or their numbers from 0 where nobody is tracked."""
    return list(range(len(people))) if people.track_ids is None else people.track_ids.tolist()


def tracked_people(people: People) -> People:
    """The people without those who are not tracked yet; all of them where nobody is tracked."""
    return people if people.track_ids is None else people[people.track_ids >= 0]


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

"""Accuracy against ground truth: AP and AR of COCO and COCO-WholeBody by faster-coco-eval, mean IoU of masks.

Figures are {row: {column: value}}, -1 where the ground truth has nothing of that kind; all but the false people are
0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError

Figures = dict[str, dict[str, float]]
FALSE_PEOPLE = "false people"  # the row of figures about images without people


class KeypointGroup(NamedTuple):
    """Where annotations and results keep some of a person's keypoints: under which key, and how many."""

    key: str
    size: int


KeypointGroups = dict[str, KeypointGroup]  # in the order of the keypoint set

# Jin et al., "Whole-Body Human Pose Estimation in the Wild", ECCV 2020.
WHOLE_BODY: KeypointGroups = {
    "body": KeypointGroup("keypoints", 17),
    "foot": KeypointGroup("foot_kpts", 6),
    "face": KeypointGroup("face_kpts", 68),
    "left hand": KeypointGroup("lefthand_kpts", 21),
    "right hand": KeypointGroup("righthand_kpts", 21),
}
# The official script ranks each group by a score of its own; as in published tables, all are the person's.
WHOLE_BODY_SCORES = ("foot_score", "face_score", "lefthand_score", "righthand_score", "wholebody_score")


def keypoint_groups(keypoint_set: str, count: int) -> KeypointGroups:
    """The groups of a keypoint set with `count` keypoints: those of COCO-WholeBody, or a single one."""
    return WHOLE_BODY if keypoint_set == "coco_wholebody_133" else {"keypoints": KeypointGroup("keypoints", count)}


def results_row(row: dict[str, Any], groups: KeypointGroups) -> dict[str, Any]:
    """A row of `coco_results` in the official form of a result: without its box, the keypoints under their keys."""
    points, start = row["keypoints"], 0
    official = {name: row[name] for name in ("image_id", "category_id", "score")}
    for key, count in groups.values():
        official[key] = points[3 * start : 3 * (start + count)]
        start += count
    return official | dict.fromkeys(WHOLE_BODY_SCORES if groups is WHOLE_BODY else (), row["score"])


def count_labelled(annotation: dict[str, Any], groups: KeypointGroups) -> int:
    """Number of labelled keypoints; InputError when the annotation has other keypoints than the groups."""
    for key, count in groups.values():
        if len(annotation.get(key, ())) != 3 * count:
            raise InputError(f"annotation {annotation['id']} has not {count} times x, y, v in {key!r}")
    labelled: int = _only(annotation, [key for key, _ in groups.values()])["num_keypoints"]
    return labelled


def box_figures(ground_truth: dict[str, Any], results: Sequence[dict[str, Any]]) -> Figures:
    """COCO's figures of boxes. ground_truth: COCO's annotation format; results: COCO's results format."""
    return {"boxes": _coco_figures(ground_truth, results, "bbox")}


def crowds_without_people(ground_truth: dict[str, Any]) -> dict[int, NDArray[np.float32]]:
    """The boxes of crowds, f32 [n, 4] x1, y1, x2, y2, of each image that has no other people, by image id."""
    crowds: dict[int, list[list[float]]] = {image["id"]: [] for image in ground_truth["images"]}
    for row in ground_truth["annotations"]:
        x, y, w, h = row["bbox"]
        if not row.get("iscrowd"):
            crowds.pop(row["image_id"], None)
        elif row["image_id"] in crowds:
            crowds[row["image_id"]].append([x, y, x + w, y + h])
    return {image_id: np.array(boxes, np.float32).reshape(-1, 4) for image_id, boxes in crowds.items()}


def in_crowds(boxes: NDArray[np.float32], crowds: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which boxes [n, 4] lie in a crowd [m, 4] by half of their area at least: COCO ignores them."""
    low, high = np.maximum(boxes[:, None, :2], crowds[:, :2]), np.minimum(boxes[:, None, 2:], crowds[:, 2:])
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    inside: NDArray[np.bool_] = ((high - low).clip(0).prod(2) >= 0.5 * areas[:, None]).any(1)
    return inside


def false_people_figures(counts: Sequence[int]) -> Figures:
    """How many people were found in an image without people. counts: of each such image."""
    mean = float(np.mean(counts)) if counts else -1.0
    return {FALSE_PEOPLE: {"per_image": mean, "images": float(len(counts))}}


def keypoint_figures(
    ground_truth: dict[str, Any], results: Sequence[dict[str, Any]], groups: KeypointGroups, sigmas: Sequence[float]
) -> Figures:
    """COCO's figures of keypoints, those of COCO-WholeBody group by group; rows of `results` as from `results_row`.

    A group is judged by its own keypoints and sigmas, the area of the whole person and the person's score; people
    without a labelled keypoint of the group are ignored. The area of a result, which counts for medium and large where
    it matches nobody, is that of the box around its first group, the body. "hand" is the mean of both hands, as in
    published tables.
    """
    figures, start = {}, 0
    for name, (key, count) in groups.items():
        figures[name] = _group_figures(ground_truth, results, [key], sigmas[start : start + count])
        start += count
    if groups is WHOLE_BODY:
        left, right = figures["left hand"], figures["right hand"]
        figures["hand"] = {name: -1.0 if -1 in (v, right[name]) else (v + right[name]) / 2 for name, v in left.items()}
        figures["whole"] = _group_figures(ground_truth, results, [key for key, _ in groups.values()], sigmas)
    return figures


def _group_figures(
    ground_truth: dict[str, Any], results: Sequence[dict[str, Any]], keys: Sequence[str], sigmas: Sequence[float]
) -> dict[str, float]:
    annotations = [_only(row, keys) for row in ground_truth["annotations"]]
    # Without a box the area of a result would be that of the box around the keypoints of `keys`.
    placed = (_only(row, keys) | {"bbox": _surrounding_box(row["keypoints"])} for row in results)
    rows = [row for row in placed if row["num_keypoints"]]
    return _coco_figures(ground_truth | {"annotations": annotations}, rows, "keypoints", sigmas)


def _only(row: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """An annotation or result whose keypoints are those of `keys` alone."""
    points = [value for key in keys for value in row[key]]
    return row | {"keypoints": points, "num_keypoints": sum(v > 0 for v in points[2::3])}


def _surrounding_box(points: Sequence[float]) -> list[float]:
    """COCO's box x, y, width, height around all keypoints x, y, score."""
    x, y = points[0::3], points[1::3]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def _coco_figures(
    ground_truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    iou_type: str,
    sigmas: Sequence[float] | None = None,
) -> dict[str, float]:
    from faster_coco_eval import COCO, COCOeval_faster  # of the extra `evaluate`

    # It writes into the rows that it is given. It looks annotations up by their ids, where 0 means "none".
    annotations = [row | {"id": i} for i, row in enumerate(ground_truth["annotations"], 1)]
    coco = COCO(ground_truth | {"annotations": annotations})
    evaluation = COCOeval_faster(coco, coco.loadRes([dict(row) for row in results]), iou_type, kpt_oks_sigmas=sigmas)
    evaluation.run()
    figures: dict[str, float] = evaluation.stats_as_dict
    return figures


def mask_counts(
    ground_truth: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], classes: int
) -> NDArray[np.int64]:
    """Pixels of each class, i64 [3, classes]: in both masks, in the true one, in the predicted one.

    Masks are [h, w] class ids. Pixels whose true id names no class, such as 255 or -1, are left out. InputError when
    the masks differ in size.
    """
    if ground_truth.shape != predicted.shape:
        raise InputError(f"the true mask is {list(ground_truth.shape)}, the image {list(predicted.shape)}")
    known = (ground_truth >= 0) & (ground_truth < classes)
    t, p = ground_truth[known].astype(np.int64), predicted[known].astype(np.int64)
    return np.stack([np.bincount(ids, minlength=classes) for ids in (t[t == p], t, p)])


def mask_figures(counts: NDArray[np.int64], names: Sequence[str]) -> Figures:
    """Intersection over union of each class in the ground truth, and their mean; counts: sums of `mask_counts`."""
    both, true, predicted = counts
    ious = {
        name: {"IoU": float(b / (t + p - b))} for name, b, t, p in zip(names, both, true, predicted, strict=True) if t
    }
    mean = float(np.mean([row["IoU"] for row in ious.values()])) if ious else -1.0
    return ious | {"mean": {"IoU": mean}}

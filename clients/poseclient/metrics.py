"""Accuracy against a truth: AP and AR of COCO and COCO-WholeBody by faster-coco-eval, mean IoU of masks.

Figures are {row: {column: value}}, 0..1, -1 where the truth has nothing of that kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Figures = dict[str, dict[str, float]]
Layout = dict[str, tuple[str, int]]  # part of the body -> key in annotations and results, number of keypoints

# Jin et al., "Whole-Body Human Pose Estimation in the Wild", ECCV 2020.
WHOLE_BODY: Layout = {
    "body": ("keypoints", 17),
    "foot": ("foot_kpts", 6),
    "face": ("face_kpts", 68),
    "left hand": ("lefthand_kpts", 21),
    "right hand": ("righthand_kpts", 21),
}
# The official script ranks each part by a score of its own; as in published tables, all are the person's.
WHOLE_BODY_SCORES = ("foot_score", "face_score", "lefthand_score", "righthand_score", "wholebody_score")


def layout(keypoint_set: str, count: int) -> Layout:
    """Where annotations and results of a set of `count` keypoints keep them."""
    return WHOLE_BODY if keypoint_set == "coco_wholebody_133" else {"keypoints": ("keypoints", count)}


def results_row(row: dict[str, Any], where: Layout) -> dict[str, Any]:
    """A row of `coco_results` in the official form of a result: without its box, the keypoints under their keys."""
    points, start = row["keypoints"], 0
    official = {name: row[name] for name in ("image_id", "category_id", "score")}
    for key, count in where.values():
        official[key] = points[3 * start : 3 * (start + count)]
        start += count
    return official | dict.fromkeys(WHOLE_BODY_SCORES if where is WHOLE_BODY else (), row["score"])


def count_labelled(annotation: dict[str, Any], where: Layout) -> int:
    """Number of labelled keypoints; ValueError when the annotation has not the keypoints of the layout."""
    for key, count in where.values():
        if len(annotation.get(key, ())) != 3 * count:
            raise ValueError(f"annotation {annotation['id']} has not {count} times x, y, v in {key!r}")
    return _part(annotation, [key for key, _ in where.values()])["num_keypoints"]


def box_figures(truth: dict[str, Any], results: Sequence[dict[str, Any]]) -> Figures:
    """COCO's figures of boxes. truth: COCO's annotation format; results: COCO's results format."""
    return {"boxes": _coco_figures(truth, results, "bbox")}


def keypoint_figures(
    truth: dict[str, Any], results: Sequence[dict[str, Any]], where: Layout, sigmas: Sequence[float]
) -> Figures:
    """COCO's figures of keypoints, those of COCO-WholeBody part by part; rows of `results` as from `results_row`.

    A part is judged by its own keypoints and sigmas, the area of the whole person and the person's score; people
    without a labelled keypoint of the part are ignored. "hand" is the mean of both hands, as in published tables.
    """
    figures, start = {}, 0
    for name, (key, count) in where.items():
        figures[name] = _part_figures(truth, results, [key], sigmas[start : start + count])
        start += count
    if where is WHOLE_BODY:
        left, right = figures["left hand"], figures["right hand"]
        figures["hand"] = {name: -1.0 if -1 in (v, right[name]) else (v + right[name]) / 2 for name, v in left.items()}
        figures["whole"] = _part_figures(truth, results, [key for key, _ in where.values()], sigmas)
    return figures


def _part_figures(
    truth: dict[str, Any], results: Sequence[dict[str, Any]], keys: Sequence[str], sigmas: Sequence[float]
) -> dict[str, float]:
    annotations = [_part(row, keys) for row in truth["annotations"]]
    found = [part for part in (_part(row, keys) for row in results) if part["num_keypoints"]]
    return _coco_figures(truth | {"annotations": annotations}, found, "keypoints", sigmas)


def _part(row: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """An annotation or result with the keypoints of `keys` alone."""
    points = [value for key in keys for value in row[key]]
    return row | {"keypoints": points, "num_keypoints": sum(v > 0 for v in points[2::3])}


def _coco_figures(
    truth: dict[str, Any], results: Sequence[dict[str, Any]], kind: str, sigmas: Sequence[float] | None = None
) -> dict[str, float]:
    from faster_coco_eval import COCO, COCOeval_faster  # of the extra `evaluate`

    # It writes into the rows that it is given.
    coco = COCO(truth | {"annotations": [dict(row) for row in truth["annotations"]]})
    evaluation = COCOeval_faster(coco, coco.loadRes([dict(row) for row in results]), kind, kpt_oks_sigmas=sigmas)
    evaluation.run()
    return evaluation.stats_as_dict


def mask_counts(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of each class, i64 [3, classes]: in both masks, in the truth, in the found one.

    Masks are [h, w] class ids. Pixels whose id in the truth names no class, such as 255, are left out. Raises
    ValueError when the masks differ in size.
    """
    if truth.shape != found.shape:
        raise ValueError(f"the true mask is {list(truth.shape)}, the image {list(found.shape)}")
    known = truth < classes
    t, f = truth[known].astype(np.int64), found[known].astype(np.int64)
    return np.stack([np.bincount(ids, minlength=classes) for ids in (t[t == f], t, f)])


def mask_figures(counts: np.ndarray, names: Sequence[str]) -> Figures:
    """Intersection over union of each class that the truth shows, and their mean; counts: sums of `mask_counts`."""
    both, true, found = counts
    shown = {name: {"IoU": float(b / (t + f - b))} for name, b, t, f in zip(names, both, true, found, strict=True) if t}
    mean = float(np.mean([row["IoU"] for row in shown.values()])) if shown else -1.0
    return shown | {"mean": {"IoU": mean}}

"""Boxes of people in image pixels: from detections, or from the client."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Three times the largest image. Beyond it the fixed-point arithmetic of OpenCV's warp would overflow.
MAX_COORDINATE = 100_000
# In pixels of the letterbox. A detector's boxes differ in their last bits with the images that share its batch, and
# crops that differ by so little have other keypoints. On a grid, thousands of times as wide, they are nearly always
# equal.
GRID = 1 / 8


def detected_boxes(
    detections: NDArray[np.float32], scale: NDArray[np.float32], height: int, width: int, score_threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Boxes f64 [n, 4] in image pixels, clipped to the image, and their scores f32 [n], best first.

    detections f32 [rows, 5]: x1, y1, x2, y2 in letterbox pixels, rounded to GRID, and score; scale f32 [2]: image to
    letterbox.
    Rows that do not score above the threshold, or whose box holds nothing of the image, are dropped.
    """
    scores = detections[:, 4]
    boxes = np.round(detections[:, :4].astype(np.float64) / GRID) * GRID / np.tile(scale, 2)
    boxes = boxes.clip(0, [width, height, width, height])
    held = np.flatnonzero((scores > score_threshold) & (boxes[:, 2:] > boxes[:, :2]).all(1))
    held = held[np.argsort(-scores[held], kind="stable")]
    return boxes[held], scores[held]


def checked_boxes(boxes: NDArray[np.float32], height: int, width: int, limit: int) -> NDArray[np.float32]:
    """The client's boxes, f32 [n, 4], unchanged: what lies outside the image is context and is not clipped.

    Raises ValueError for more than `limit` boxes and for a box that is unusable.
    """
    if len(boxes) > limit:
        raise ValueError(f"BOXES has {len(boxes)} rows; accepted are at most {limit}")
    usable = (
        (np.abs(boxes) <= MAX_COORDINATE).all(1)  # false for NaN too
        & (boxes[:, 2:] > boxes[:, :2]).all(1)
        & (boxes[:, :2] < [width, height]).all(1)
        & (boxes[:, 2:] > 0).all(1)
    )
    if not usable.all():
        row = int(np.argmin(usable))
        raise ValueError(
            f"BOXES row {row} is {boxes[row].tolist()}; accepted are x1, y1, x2, y2 from -{MAX_COORDINATE} "
            f"to {MAX_COORDINATE} pixels, x2 > x1, y2 > y1, that overlap the image (0, 0, {width}, {height})"
        )
    return boxes

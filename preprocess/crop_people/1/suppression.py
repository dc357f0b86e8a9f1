"""Greedy non-maximum suppression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def iou(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of every pair of boxes with area: f64 [n, 4] -> f64 [n, n]."""
    low = np.maximum(boxes[:, None, :2], boxes[:, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared: NDArray[np.float64] = (high - low).clip(0).prod(2)
    area: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return shared / (area[:, None] + area - shared)


def suppress(boxes: NDArray[np.float64], max_iou: float) -> NDArray[np.intp]:
    """The rows to keep, ascending, of boxes f64 [n, 4] that come best first.

    A box goes when one that is better and kept overlaps it by more than `max_iou`.
    """
    too_close = iou(boxes) > max_iou
    keep = np.ones(len(boxes), bool)
    for row in range(len(boxes)):
        if keep[row]:
            keep[row + 1 :] &= ~too_close[row, row + 1 :]
    return np.flatnonzero(keep)

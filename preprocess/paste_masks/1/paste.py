"""The parts of crops, pasted into one mask of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def paste(
    parts: NDArray[np.uint8], regions: NDArray[np.floating[Any]], height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Class ids, 0 for background, and instance ids, 0 for nobody and i for row i - 1, both u8 [height, width].

    parts: u8 [m, H, W, 3] of crops, as in `classes_at`; regions: [m, 4] centre x, centre y, width, height of each.

    The inverse of the UDP crop. Where crops overlap, each pixel belongs to the one in whose middle it lies: a
    neighbour's limb at the edge of a crop is seen better in the neighbour's own. A region without area is nobody.
    """
    classes, instance_ids = np.zeros((2, height, width), np.uint8)
    nearest = np.full((height, width), np.inf, np.float32)
    for row, (crop, (x, y, w, h)) in enumerate(zip(parts, regions.astype(np.float64), strict=True), 1):
        if not (w > 0 and h > 0):
            continue
        rows, crop_rows = _inside(y, h, crop.shape[0], height)
        columns, crop_columns = _inside(x, w, crop.shape[1], width)
        patch = np.ix_(rows, columns)
        aside, astray = np.abs(columns - x) / w, np.abs(rows - y) / h
        distance = np.maximum(astray[:, None], aside[None]).astype(np.float32)
        closer = distance < nearest[patch]
        found = classes_at(crop, crop_rows, crop_columns)
        classes[patch] = np.where(closer, found, classes[patch])
        instance_ids[patch] = np.where(closer, (found > 0) * np.uint8(row), instance_ids[patch])
        nearest[patch] = np.where(closer, distance, nearest[patch])
    return classes, instance_ids


def _inside(centre: float, size: float, crop_size: int, limit: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The image's pixels of one axis whose centres the crop's pixels cover, and where in the crop they lie."""
    pixel = size / (crop_size - 1)
    first, last = np.ceil(centre - (size + pixel) / 2), np.floor(centre + (size + pixel) / 2)
    pixels = np.arange(max(0, int(first)), min(limit - 1, int(last)) + 1)
    return pixels, ((pixels - centre + size / 2) / pixel).clip(0, crop_size - 1)


def classes_at(parts: NDArray[np.uint8], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Class ids u8 [n, m] at rows f64 [n] and columns f64 [m] of a crop's parts u8 [H, W, 3].

    parts: the best class of each pixel, the second best, and the margin of their logits. At the border of two classes
    their margins, interpolated, say where between the pixels it runs, as interpolated logits would. Of a class that is
    neither it is known that it is no better than the second: it counts as half a margin behind. Of classes that are
    equally good, that of the nearest pixel wins, and of equally near pixels the upper, then the left one.
    """
    height, width = parts.shape[:2]
    top, left = np.minimum(rows.astype(int), height - 2), np.minimum(columns.astype(int), width - 2)
    down, right = rows - top, columns - left
    best = parts[..., 0]
    classes = best[np.ix_(top + (down > 0.5), left + (right > 0.5))]
    corner = best[:-1, :-1]
    differ = (best[1:, 1:] != corner) | (best[1:, :-1] != corner) | (best[:-1, 1:] != corner)
    i, j = np.nonzero(differ[np.ix_(top, left)])
    near = [(a, b) for a in (0, 1) for b in (0, 1)]
    first, second, margin = np.moveaxis(np.stack([parts[top[i] + a, left[j] + b] for a, b in near]), 2, 0)
    weights = np.stack([np.abs(1 - a - down[i]) * np.abs(1 - b - right[j]) for a, b in near])
    gain = weights * margin  # [4, places at a border]
    against = np.where(second[:, None] == first, 0, gain[:, None] / 2)
    score = np.where(first[:, None] == first, gain[:, None], -against).sum(0)
    winner = np.where(score == score.max(0), weights, -1).argmax(0)
    classes[i, j] = np.take_along_axis(first, winner[None], 0)[0]
    return classes

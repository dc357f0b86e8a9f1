"""The region of a person, and its UDP crop (Huang et al., "The Devil is in the Details", CVPR 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def regions(boxes: NDArray[np.floating[Any]], aspect: float, scale: float) -> NDArray[np.float64]:
    """Boxes [n, 4] -> f64 [n, 4], centre x, centre y, width, height in image pixels.

    The box grown by `scale` around its centre, then widened or heightened to `aspect` (width / height).
    """
    boxes = boxes.astype(np.float64)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    width, height = ((boxes[:, 2:] - boxes[:, :2]) * scale).T
    sides = np.stack([np.maximum(width, height * aspect), np.maximum(height, width / aspect)], 1)
    return np.concatenate([centres, sides], 1)


def crop(pixels: NDArray[np.uint8], people: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    """The regions f64 [n, 4] of u8 [h, w, 3], bilinear, black outside the image: u8 [n, height, width, 3].

    Pixel centres of a region's border fall on pixel centres of the crop's border:
    x_crop = (width - 1) / region width * (x - centre x + region width / 2).
    A region without area gives a black crop.
    """
    crops = np.zeros((len(people), height, width, 3), np.uint8)
    for region, out in zip(people, crops, strict=True):
        _warp(pixels, region, out)
    return crops


def crop_averaged(pixels: NDArray[np.uint8], people: NDArray[np.float64], height: int, width: int) -> NDArray[np.uint8]:
    """As `crop`, of regions that overlap the image. What a crop shows at less than half its size is shrunk by means of
    whole pixels first: bilinear interpolation alone skips the pixels between those that it looks at."""
    crops = np.zeros((len(people), height, width, 3), np.uint8)
    for region, out in zip(people, crops, strict=True):
        side = int(min(region[2] / (width - 1), region[3] / (height - 1)))  # pixels that one of the crop covers
        seen, place = _block_means(pixels, region, side) if side > 1 else (pixels, region)
        _warp(seen, place, out)
    return crops


def _block_means(
    pixels: NDArray[np.uint8], region: NDArray[np.float64], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The means of blocks of side x side pixels that hold the region, and where the region lies among them.

    The centre of a block lies (side - 1) / 2 pixels after that of its first pixel. Outside the image is black.
    """
    # One block more on each side, for the interpolation, as far as the image reaches.
    first = np.floor(region[:2] - region[2:] / 2 - side).clip(0)
    count = np.ceil((region[:2] + region[2:] / 2 + side - first) / side)
    (left, top), (right, bottom) = first.astype(int), (first + count * side).astype(int)
    seen: NDArray[Any] = pixels[top:bottom, left:right]
    below, beside = -seen.shape[0] % side, -seen.shape[1] % side
    if below or beside:  # the image ends inside of blocks
        seen = cv2.copyMakeBorder(seen, 0, below, 0, beside, cv2.BORDER_CONSTANT)
    rows, columns = seen.shape[0] // side, seen.shape[1] // side
    means: NDArray[Any] = cv2.resize(seen, (columns, rows), interpolation=cv2.INTER_AREA)
    return means, np.concatenate([region[:2] - first - (side - 1) / 2, region[2:]]) / side


def _warp(pixels: NDArray[np.uint8], region: NDArray[np.float64], out: NDArray[np.uint8]) -> None:
    """The crop of one region into u8 [height, width, 3], which is black and stays so for a region without area."""
    (x, y, w, h), (height, width) = region, out.shape[:2]
    if w <= 0 or h <= 0:
        return
    to_image = np.array([[w / (width - 1), 0, x - w / 2], [0, h / (height - 1), y - h / 2]])
    cv2.warpAffine(pixels, to_image, (width, height), dst=out, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


# Outputs of the step, without the input size in their names.
CROP: dict[str, Callable[[NDArray[np.uint8], NDArray[np.float64], int, int], NDArray[np.uint8]]] = {
    "CROPS": crop,
    "CROPS_AREA": crop_averaged,
}

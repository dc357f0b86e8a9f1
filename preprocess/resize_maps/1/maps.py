"""Brings maps of an image to its size, bilinear, pixel centres aligned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def checked_size(size: NDArray[np.int32], max_pixels: int, max_side: int) -> tuple[int, int]:
    """Height and width of an image. Raises ValueError for a size that no image has."""
    height, width = (int(side) for side in size)
    if not (1 <= height <= max_side and 1 <= width <= max_side and height * width <= max_pixels):
        raise ValueError(
            f"SIZE is {height}, {width}; accepted are sides from 1 to {max_side}, at most {max_pixels} pixels"
        )
    return height, width


def stretch(values: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """[H, W, ...] of any type -> [height, width, ...] of that type."""
    numbers = values if values.dtype == np.uint8 else values.astype(np.float32)
    return cv2.resize(numbers, (width, height), interpolation=cv2.INTER_LINEAR).astype(values.dtype, copy=False)


def cut(values: NDArray[Any], bounds: NDArray[np.int32]) -> NDArray[Any]:
    """The part of a map [H, W, ...] that shows the image: `bounds` is its top, left, height, width.

    Raises ValueError when there is no such part.
    """
    top, left, height, width = (int(number) for number in bounds)
    if not (0 <= top < top + height <= values.shape[0] and 0 <= left < left + width <= values.shape[1]):
        raise ValueError(
            f"BOUNDS is {top}, {left}, {height}, {width}; accepted are top, left, height, width of a part of the map,"
            f" which is {values.shape[0]} x {values.shape[1]}"
        )
    return values[top : top + height, left : left + width]


def stretch_normals(values: NDArray[np.float16], height: int, width: int) -> NDArray[np.float16]:
    """Unit vectors f16 [H, W, 3] -> unit vectors f16 [height, width, 3]."""
    vectors: NDArray[np.float32] = stretch(values.astype(np.float32), height, width)
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=2, keepdims=True).clip(1e-5)
    return unit.astype(np.float16)


def of_people(values: NDArray[np.float16], mask: NDArray[np.uint8]) -> NDArray[np.float16]:
    """f16 [h, w, ...] with NaN where the mask u8 [h, w] is 0. Raises ValueError when the sizes differ."""
    if values.shape[:2] != mask.shape:
        raise ValueError(f"SIZE is {list(values.shape[:2])}, MASK {list(mask.shape)}; accepted is one size of both")
    people = values.copy()
    people[mask == 0] = np.nan
    return people


# Output of the step -> its input, and what stretches it to a height and width.
RESIZE: dict[str, tuple[str, Callable[[NDArray[Any], int, int], NDArray[Any]]]] = {
    "DEPTH": ("DEPTH_MAP", stretch),
    "NORMALS": ("NORMAL_MAP", stretch_normals),
    "POINTS": ("POINT_MAP", stretch),
    "MATTE": ("MATTE_MAP", stretch),
}

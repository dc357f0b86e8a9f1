"""Brings maps of an image to its size, bilinear, pixel centres aligned."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

MAX_PIXELS, MAX_SIDE = 2**27, 32766  # of an image, as in decode_image


def stretch(values: np.ndarray, size: np.ndarray) -> np.ndarray:
    """[H, W, ...] of any type -> [h, w, ...] of that type; `size` is h, w.

    Raises ValueError for a size that no image has.
    """
    height, width = (int(side) for side in size)
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE and height * width <= MAX_PIXELS):
        raise ValueError(
            f"SIZE is {height}, {width}; accepted are sides from 1 to {MAX_SIDE}, at most {MAX_PIXELS} pixels"
        )
    numbers = values if values.dtype == np.uint8 else values.astype(np.float32)
    return cv2.resize(numbers, (width, height), interpolation=cv2.INTER_LINEAR).astype(values.dtype, copy=False)


def cut(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
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


def stretch_normals(values: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Unit vectors f16 [H, W, 3] -> unit vectors f16 [h, w, 3]."""
    vectors = stretch(values.astype(np.float32), size)
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=2, keepdims=True), 1e-5)).astype(np.float16)


def of_people(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """f16 [h, w, ...] with NaN where the mask u8 [h, w] is 0. Raises ValueError when the sizes differ."""
    if values.shape[:2] != mask.shape:
        raise ValueError(f"SIZE is {list(values.shape[:2])}, MASK {list(mask.shape)}; accepted is one size of both")
    people = values.copy()
    people[mask == 0] = np.nan
    return people


# Output of the step -> its input, and what stretches it.
RESIZE: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "DEPTH": ("DEPTH_MAP", stretch),
    "NORMALS": ("NORMAL_MAP", stretch_normals),
    "POINTS": ("POINT_MAP", stretch),
    "MATTE": ("MATTE_MAP", stretch),
}

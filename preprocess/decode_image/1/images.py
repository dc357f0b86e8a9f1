"""From an encoded image to pixels, and from pixels to a detector's letterbox."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import reading
from numpy.typing import NDArray


def decode(encoded: bytes, max_pixels: int, max_side: int) -> NDArray[np.uint8]:
    """Upright RGB pixels, u8 [h, w, 3], contiguous, as `reading.decode` has them; ValueError as there."""
    try:
        with _quiet_stderr():
            return reading.decode(encoded, max_pixels, max_side)
    except ValueError as error:
        raise ValueError(f"IMAGE is {error}") from error


def letterbox(pixels: NDArray[np.uint8], height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The image scaled to fit into the top left corner of u8 [height, width, 3], the rest 114.

    Also returns the x and y scale from image to letterbox, f32 [2]; they differ as sides are whole pixels.
    """
    h, w = pixels.shape[:2]
    scale = min(height / h, width / w)
    new_h, new_w = max(1, int(h * scale + 0.5)), max(1, int(w * scale + 0.5))
    box = np.full((height, width, 3), 114, np.uint8)
    cv2.resize(pixels, (new_w, new_h), dst=box[:new_h, :new_w], interpolation=cv2.INTER_LINEAR)
    return box, np.array([new_w / w, new_h / h], np.float32)


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keeps what OpenCV's libjpeg writes to descriptor 2 about broken files out of the server's log."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)

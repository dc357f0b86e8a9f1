"""From an encoded image to pixels, and from pixels to the detector's letterbox."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from file_formats import image_format, jpeg_ends, still_png, tiff_tile
from numpy.typing import NDArray
from orientation import upright, webp_orientation

ACCEPTED = "accepted is one JPEG, PNG, WebP, BMP or TIFF image"
MAX_TILE = 2**24  # pixels


def decode(encoded: bytes, max_pixels: int, max_side: int) -> NDArray[np.uint8]:
    """Upright RGB pixels, u8 [h, w, 3], contiguous.

    16 bit become 8, alpha is dropped, grey, palette and CMYK become RGB; of several frames or pages the first
    counts. The limits are those that OpenCV was loaded with (OPENCV_IO_MAX_IMAGE_PIXELS, _WIDTH, _HEIGHT): it
    holds the header against them before it allocates. For a file that ends early it returns nothing.

    Raises ValueError for everything that is not a whole image within the limits.
    """
    name = image_format(encoded)
    if name is None:
        start = f", starting with {encoded[:12]!r}" if encoded else ""
        raise ValueError(f"IMAGE is not an image: {len(encoded)} bytes{start}; {ACCEPTED}")
    data = still_png(encoded) if name == "PNG" else encoded
    if name == "TIFF" and tiff_tile(encoded) > MAX_TILE:
        data = b""
    # Only recent OpenCV turns a WebP: with its own turning off, every version gives the same pixels.
    flags = cv2.IMREAD_COLOR_RGB | (cv2.IMREAD_IGNORE_ORIENTATION if name == "WebP" else 0)
    try:
        with _quiet_stderr():
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in str(error):
            raise ValueError(
                f"IMAGE is a {name} that declares too large a picture; accepted are at most {max_pixels} "
                f"pixels and no side above {max_side}"
            ) from None
        decoded = None
    if decoded is None or (name == "JPEG" and not jpeg_ends(encoded)):
        raise ValueError(
            f"IMAGE is a {name} of {len(encoded)} bytes that cannot be decoded: truncated, damaged or a rare "
            f"kind, 32 bit samples for example; {ACCEPTED}"
        )
    pixels = decoded.astype(np.uint8, copy=False)
    return upright(pixels, webp_orientation(encoded)) if name == "WebP" else pixels


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
    """Keeps what libpng and libjpeg write to descriptor 2 about broken files out of the server's log."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)

"""The EXIF orientation of WebP files: OpenCV 4.11 applies that of JPEG, PNG and TIFF, not theirs."""

from __future__ import annotations

import struct

import numpy as np
from file_formats import tiff_tags
from numpy.typing import NDArray


def webp_orientation(encoded: bytes) -> int:
    """The orientation, 1..8, of a WebP file; 1 (upright) when it names none or its EXIF is damaged."""
    offset = 12
    while offset + 8 <= len(encoded):
        name, size = struct.unpack_from("<4sI", encoded, offset)
        if name == b"EXIF":
            exif = encoded[offset + 8 : offset + 8 + size].removeprefix(b"Exif\0\0")
            orientation = tiff_tags(exif).get(0x0112, 1)
            return orientation if 1 <= orientation <= 8 else 1
        offset += 8 + size + size % 2
    return 1


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """u8 [h, w, 3] as a viewer shows it, contiguous; `orientation` is EXIF's, 1..8."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(pixels[rows, columns])

"""The EXIF orientation of WebP files, which OpenCV 4.11 does not apply; as in the server's step `decode_image`."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

ORIENTATION = 0x0112  # its tag
NUMBERS = {3: "H", 4: "I"}  # the types that its value may have


def is_webp(encoded: bytes) -> bool:
    """Whether the first bytes announce a WebP."""
    return encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP"


def webp_orientation(encoded: bytes) -> int:
    """The orientation, 1..8, of a WebP file; 1 (upright) when it names none or its EXIF is damaged."""
    offset = 12
    while offset + 8 <= len(encoded):
        name, size = struct.unpack_from("<4sI", encoded, offset)
        if name == b"EXIF":
            return _orientation(encoded[offset + 8 : offset + 8 + size].removeprefix(b"Exif\0\0"))
        offset += 8 + size + size % 2
    return 1


def _orientation(exif: bytes) -> int:
    order = ">" if exif[:2] == b"MM" else "<"
    with suppress(struct.error):
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(order + "HH", exif, entry)
            if tag == ORIENTATION and kind in NUMBERS:
                (orientation,) = struct.unpack_from(order + NUMBERS[kind], exif, entry + 8)
                return orientation if 1 <= orientation <= 8 else 1
    return 1


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """u8 [h, w, 3] as a viewer shows it, contiguous; `orientation` is EXIF's, 1..8."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return np.ascontiguousarray(pixels[rows, columns])

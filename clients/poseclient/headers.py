"""The header of an encoded image: what is known of it without decoding it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

from PIL import ExifTags, Image

QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations by which width and height change places


class Header(NamedTuple):
    """Height and width as stored and as a viewer shows them, and the EXIF orientation between the two, 1..8."""

    stored: tuple[int, int]
    shown: tuple[int, int]
    orientation: int


def read_header(image: Path | bytes) -> Header | None:
    """The header of a file or of encoded bytes; None where Pillow knows none."""
    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
            width, height = opened.size
            orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
            turned_already = opened.format == "TIFF"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    size, turned = (height, width), (width, height) if orientation in QUARTER_TURNS else (height, width)
    stored, shown = (turned, size) if turned_already else (size, turned)
    return Header(stored, shown, orientation if orientation in range(1, 9) else 1)

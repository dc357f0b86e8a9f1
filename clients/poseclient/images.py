"""Images to be sent, read and written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError
from poseclient.orientation import is_webp, upright, webp_orientation

Image = str | os.PathLike[str] | bytes | NDArray[Any]  # a path, encoded bytes, or pixels


def encode_image(image: Image) -> bytes:
    """The bytes to send: files and bytes as they are, pixels as BMP, which loses nothing and costs little.

    Pixels are u8 [h, w, 3] RGB or [h, w] grey; others raise InputError, and a file that cannot be read OSError.
    """
    if isinstance(image, bytes):
        return image
    if not isinstance(image, np.ndarray):
        return Path(image).read_bytes()
    shape = image.shape
    if image.dtype != np.uint8 or image.size == 0 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        raise InputError(
            f"pixels must be uint8 [h, w, 3] RGB or [h, w] grey, not empty; got {image.dtype} {list(shape)}"
        )
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".bmp", pixels)[1].tobytes()


def image_size(image: Image) -> tuple[int, int] | None:
    """Height and width of pixels; None for encoded images, which only the server decodes."""
    return (image.shape[0], image.shape[1]) if isinstance(image, np.ndarray) else None


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """u8 [h, w, 3] RGB as a viewer shows it (EXIF orientation applied); InputError when OpenCV cannot decode it."""
    # Only recent OpenCV turns a WebP: with its own turning off, every version gives the same pixels.
    webp = is_webp(data)
    flags = cv2.IMREAD_COLOR | (cv2.IMREAD_IGNORE_ORIENTATION if webp else 0)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        raise InputError(f"OpenCV cannot decode these {len(data)} bytes: {error}") from error
    if decoded is None:
        raise InputError(f"{len(data)} bytes that are no image which OpenCV can decode")
    pixels = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
    return upright(pixels, webp_orientation(data)) if webp else pixels


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """The file as u8 [h, w, 3] RGB, like `decode_image`; OSError when it cannot be read."""
    return decode_image(Path(path).read_bytes())


def write_image(path: str | os.PathLike[str], image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write u8 [h, w, 3] RGB or [h, w, 4] RGBA, u8 or u16 [h, w] in the format of the suffix.

    InputError when OpenCV cannot write such an image, OSError when the file cannot be written.
    """
    colours = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, colours[image.shape[2]])
    try:
        encoded = cv2.imencode(Path(path).suffix, pixels)[1]
    except cv2.error as error:
        raise InputError(f"{path}: OpenCV cannot write {list(image.shape)} so: {error}") from error
    Path(path).write_bytes(encoded.tobytes())

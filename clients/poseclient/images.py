"""Images to be sent, read and written."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from poseclient import reading
from poseclient.errors import InputError

# A path, an encoded image in memory or in an open file, or pixels.
Image = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any] | PIL.Image.Image
SUFFIXES = {  # of the files that the server reads
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    *(".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
    *(".avif", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpf", ".jpx"),
}
MAX_PIXELS, MAX_SIDE = 2**27, 32766  # the limits of the server, which images that are read here must keep too


def encode_image(image: Image) -> bytes:
    """The bytes to send: files and bytes as they are, pixels as BMP, which loses nothing and costs little.

    Pixels are u8 [h, w, 3] RGB or [h, w] grey, or an image of Pillow, as it is: one that Pillow has opened is not
    turned by its EXIF orientation. Others raise InputError, and a file that cannot be read OSError.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return Path(image).read_bytes()
    if isinstance(image, PIL.Image.Image):
        return _bmp(_pixels(image))
    if isinstance(image, np.ndarray):
        return _bmp(image)
    data = image.getvalue() if isinstance(image, io.BytesIO) else image.read() if hasattr(image, "read") else None
    if not isinstance(data, bytes):
        raise InputError(
            f"an image is a path, bytes, a file opened in binary mode, pixels or an image of Pillow; got {image!r:.80}"
        )
    return data


def _pixels(image: PIL.Image.Image) -> NDArray[np.uint8]:
    try:
        return reading.rgb_pixels(image.copy())
    except ValueError as error:
        raise InputError(f"an image of Pillow must be of 8 or 16 bit; got {image.mode}: {error}") from error


def _bmp(pixels: NDArray[Any]) -> bytes:
    shape = pixels.shape
    if pixels.dtype != np.uint8 or pixels.size == 0 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)):
        raise InputError(
            f"pixels must be uint8 [h, w, 3] RGB or [h, w] grey, not empty; got {pixels.dtype} {list(shape)}"
        )
    return cv2.imencode(".bmp", pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


def image_size(image: Image) -> tuple[int, int] | None:
    """Height and width of pixels; None for encoded images, which only the server decodes."""
    if isinstance(image, PIL.Image.Image):
        return image.height, image.width
    return (image.shape[0], image.shape[1]) if isinstance(image, np.ndarray) else None


def decode_image(data: bytes | bytearray | memoryview) -> NDArray[np.uint8]:
    """u8 [h, w, 3] RGB as a viewer shows it and as the server reads it; InputError when that is not possible."""
    return _decoded(bytes(data), "the image")


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """The file as u8 [h, w, 3] RGB, like `decode_image`; OSError when it cannot be read."""
    return _decoded(Path(path).read_bytes(), str(path))


def _decoded(data: bytes, name: str) -> NDArray[np.uint8]:
    try:
        return reading.decode(data, MAX_PIXELS, MAX_SIDE)
    except ValueError as error:
        raise InputError(f"{name} is {error}") from error


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

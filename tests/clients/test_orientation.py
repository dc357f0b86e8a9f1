"""Images are turned by their EXIF as the server turns them."""

import io

import numpy as np
import PIL.Image
import pytest

from poseclient.images import decode_image
from poseserve.in_process import step_module
from poseserve.repository.config import MAX_PIXELS, MAX_SIDE


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 256, (31, 47, 3), np.uint8)


def encoded_with(pixels: np.ndarray, kind: str, exif: bytes) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    return buffer.getvalue()


def orientation_of(order: str, orientation: int) -> bytes:
    """EXIF that names it, in the byte order `<` or `>`."""
    exif = PIL.Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    return exif.tobytes()


def of_the_server(data: bytes) -> np.ndarray:
    return step_module("decode_image", "images").decode(data, MAX_PIXELS, MAX_SIDE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_is_turned_as_the_server_turns_it(pixels, kind, order, orientation):
    data = encoded_with(pixels, kind, orientation_of(order, orientation))
    found = decode_image(data)
    assert found.shape == ((31, 47, 3) if orientation < 5 else (47, 31, 3))
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, of_the_server(data))


@pytest.mark.parametrize("exif", [b"II*\0", b"MM\0*\xff\xff\xff\xff", orientation_of("<", 9), orientation_of(">", 0)])
def test_a_webp_of_damaged_exif_is_upright(pixels, exif):
    data = encoded_with(pixels, "WEBP", exif)
    np.testing.assert_array_equal(decode_image(data), pixels)
    np.testing.assert_array_equal(of_the_server(data), pixels)

"""Images reach the server as they are."""

import io

import cv2
import numpy as np
import PIL.Image
import pytest

from poseclient.images import decode_image, encode_image, image_size, read_image, write_image
from poseserve.in_process import step_module
from poseserve.repository.config import MAX_PIXELS, MAX_SIDE


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 256, (31, 47, 3), np.uint8)


def test_bytes_and_files_are_sent_as_they_are(tmp_path):
    path = tmp_path / "not really an image.jpg"
    path.write_bytes(b"\xff\xd8 whatever")
    assert encode_image(b"\xff\xd8 whatever") == encode_image(path) == encode_image(str(path)) == path.read_bytes()


def test_pixels_are_sent_without_loss(pixels):
    np.testing.assert_array_equal(decode_image(encode_image(pixels)), pixels)


def test_a_view_of_pixels_is_sent_like_its_copy(pixels):
    view = pixels[::-1, 3:30]
    np.testing.assert_array_equal(decode_image(encode_image(view)), view)


def test_grey_pixels_are_sent_without_loss(pixels):
    grey = decode_image(encode_image(pixels[..., 1]))
    np.testing.assert_array_equal(grey, np.repeat(pixels[..., 1:2], 3, 2))


@pytest.mark.parametrize("shape", [(5,), (0, 4, 3), (4, 4, 1), (4, 4, 4), (1, 4, 4, 3)])
def test_pixels_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="uint8"):
        encode_image(np.zeros(shape, np.uint8))


def test_pixels_of_another_type_are_refused(pixels):
    with pytest.raises(ValueError, match="float32"):
        encode_image(pixels.astype(np.float32))


def test_the_size_is_known_of_pixels_only(pixels):
    assert image_size(pixels) == (31, 47)
    assert image_size(pixels[..., 0]) == (31, 47)
    assert image_size(b"") is image_size("a.jpg") is None


def test_what_is_written_is_read_again(tmp_path, pixels):
    write_image(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)
    write_image(tmp_path / "b.png", pixels[..., 0])
    assert cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED).shape == (31, 47)


def test_16_bits_and_alpha_are_written_without_loss(tmp_path):
    rng = np.random.default_rng(4)
    levels, colours = rng.integers(0, 65536, (5, 7), np.uint16), rng.integers(0, 256, (5, 7, 4), np.uint8)
    write_image(tmp_path / "levels.png", levels)
    write_image(tmp_path / "colours.png", colours)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "levels.png"), cv2.IMREAD_UNCHANGED), levels)
    written = cv2.imread(str(tmp_path / "colours.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written[..., [2, 1, 0, 3]], colours)


@pytest.mark.parametrize("data", [b"", b"no image"])
def test_what_is_no_image_is_an_error(data):
    with pytest.raises(ValueError, match=f"{len(data)} bytes"):
        decode_image(data)


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

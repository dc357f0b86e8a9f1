"""Images reach the server as they are."""

import cv2
import numpy as np
import pytest

from poseclient import InputError
from poseclient.images import decode_image, encode_image, image_size, read_image, write_image


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


def test_a_format_that_cannot_be_written_is_refused(tmp_path, pixels):
    with pytest.raises(InputError, match="OpenCV cannot write"):
        write_image(tmp_path / "a.docx", pixels)
    assert not (tmp_path / "a.docx").exists()

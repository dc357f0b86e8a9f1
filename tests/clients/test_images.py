"""Images reach the server as they are."""

import io

import cv2
import numpy as np
import PIL.Image
import pytest

from poseclient import InputError
from poseclient.images import SUFFIXES, decode_image, encode_image, image_size, read_image, write_image


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 256, (31, 47, 3), np.uint8)


def test_bytes_and_files_are_sent_as_they_are(tmp_path):
    path = tmp_path / "not really an image.jpg"
    path.write_bytes(b"\xff\xd8 whatever")
    assert encode_image(b"\xff\xd8 whatever") == encode_image(path) == encode_image(str(path)) == path.read_bytes()


@pytest.mark.parametrize("holder", [bytearray, memoryview, io.BytesIO])
def test_encoded_images_are_taken_from_whatever_holds_them(holder, pixels):
    encoded = encode_image(pixels)
    held = holder(encoded)
    if isinstance(held, io.BytesIO):
        held.seek(0, io.SEEK_END)  # where writing it has left it
    assert encode_image(held) == encoded
    assert image_size(held) is None


def test_an_open_file_is_read(tmp_path, pixels):
    write_image(tmp_path / "a.png", pixels)
    with open(tmp_path / "a.png", "rb") as file:
        assert encode_image(file) == (tmp_path / "a.png").read_bytes()


def test_an_image_of_pillow_is_sent_as_its_pixels(pixels):
    image = PIL.Image.fromarray(pixels)
    image.putalpha(100)
    np.testing.assert_array_equal(decode_image(encode_image(image)), pixels)
    assert image_size(image) == (31, 47)


def test_an_image_that_pillow_has_opened_is_not_turned(pixels):
    exif, buffer = PIL.Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    PIL.Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    np.testing.assert_array_equal(decode_image(encode_image(PIL.Image.open(buffer))), pixels)


def test_deep_images_of_pillow_are_sent_by_their_high_bytes(pixels):
    levels = pixels[..., 0].astype(np.uint16) * 256 + 200
    sent = decode_image(encode_image(PIL.Image.fromarray(levels)))
    np.testing.assert_array_equal(sent, np.repeat(pixels[..., :1], 3, 2))
    with pytest.raises(InputError, match="must be of 8 or 16 bit; got F"):
        encode_image(PIL.Image.new("F", (4, 4)))


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"a\.jpg is not an image: 5 bytes"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("thing", [None, 7, [1, 2], io.StringIO("text")])
def test_what_holds_no_image_is_refused_with_what_is_accepted(thing):
    with pytest.raises(InputError, match="an image is a path, bytes, a file opened in binary mode, pixels or"):
        encode_image(thing)


def test_suffixes_are_small_and_name_every_accepted_format():
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
    assert {".jpg", ".jfif", ".jpe", ".mpo", ".dib", ".heic", ".avif", ".gif", ".jp2"} <= SUFFIXES


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

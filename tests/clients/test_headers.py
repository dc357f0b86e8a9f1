"""Sizes from headers, as stored and as shown."""

import io

import pytest
from PIL import ExifTags, Image

from poseclient.headers import read_header


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(("orientation", "shown"), [(1, (20, 30)), (3, (20, 30)), (6, (30, 20)), (8, (30, 20))])
def test_an_orientation_turns_the_size_that_is_shown(kind, orientation, shown, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    Image.new("RGB", (30, 20)).save(file, kind, exif=exif)
    (tmp_path / "a").write_bytes(file.getvalue())
    assert read_header(file.getvalue()) == read_header(tmp_path / "a") == ((20, 30), shown, orientation)


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff"])
def test_no_image_has_no_header(data):
    assert read_header(data) is None

"""The real server finds the same people whatever the format of the image, and however it lies in its file."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poseclient import PoseClient
from poseclient.images import decode_image
from poseserve.serving.server import Server
from tests.images.corpus import DATA, STORED, encode, exif_of, xmp_of

LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "JPEG2000": {}, "BMP": {}}


@pytest.fixture(scope="module")
def image(scene: SimpleNamespace) -> Image.Image:
    return Image.fromarray(decode_image(scene.jpeg))


def test_every_lossless_format_has_the_same_people(server: Server, image: Image.Image) -> None:
    with PoseClient(f"grpc://{server.grpc_url}") as client:
        expected = client.detect(np.asarray(image))
        assert len(expected) > 1
        for kind, options in LOSSLESS.items():
            found = client.detect(encode(image, kind, **options))
            np.testing.assert_array_equal(found.boxes, expected.boxes, kind)


def test_a_jpeg_whose_exif_follows_its_xmp_is_turned(server: Server, image: Image.Image) -> None:
    lying = image.transpose(STORED[6])
    encoded = encode(lying, "JPEG", quality=98, subsampling=0, exif=exif_of(6))
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + xmp_of(1)
    encoded = encoded[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + encoded[2:]
    with PoseClient(f"grpc://{server.grpc_url}") as client:
        expected, found = client.detect(np.asarray(image)), client.detect(encoded)
    assert len(found) == len(expected) > 1
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=3)


def test_a_heic_and_an_avif_are_served_in_the_processes_of_the_step(server: Server, image: Image.Image) -> None:
    with PoseClient(f"grpc://{server.grpc_url}") as client:
        assert client.parts((DATA / "ramp_exif6.heic").read_bytes()).shape == (61, 48)
        found = client.detect(encode(image, "AVIF", quality=90))
        assert len(found) == len(client.detect(np.asarray(image))) > 1

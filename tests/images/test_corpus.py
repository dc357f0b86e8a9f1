"""One corpus, two readers: the server's step and the client read every kind of file alike, and as Pillow shows it."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from poseclient.images import decode_image
from poseserve.defaults import MAX_PIXELS, MAX_SIDE
from poseserve.in_process import step_module
from tests.images.corpus import Case, accepted, refused

Reader = Callable[[bytes], NDArray[np.uint8]]
READERS: dict[str, Reader] = {
    "step": lambda encoded: step_module("decode_image", "images").decode(encoded, MAX_PIXELS, MAX_SIDE),
    "client": decode_image,
}
ACCEPTED, REFUSED = accepted(), refused()
JPEG_ROUNDING = 3


def difference(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> int:
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected).max())


def test_the_corpus_is_large_and_names_nothing_twice() -> None:
    assert len(ACCEPTED) >= 150
    assert len({case.name for case in ACCEPTED}) == len(ACCEPTED)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_file_is_read_as_it_was_made(case: Case, reader: str) -> None:
    found = READERS[reader](case.encoded)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert difference(found, case.pixels) <= case.tolerance
    if case.pillow:
        with Image.open(io.BytesIO(case.encoded)) as image:
            shown = ImageOps.exif_transpose(image).convert("RGB")
        assert difference(found, np.asarray(shown)) <= JPEG_ROUNDING


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("name", "encoded"), REFUSED, ids=[name for name, _ in REFUSED])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_file_that_is_not_whole_or_of_a_rare_kind_is_refused_by_name(name: str, encoded: bytes, reader: str) -> None:
    with pytest.raises(
        ValueError, match=r"is a .* of \d+ bytes that cannot be decoded: .*\(.+\); accepted is one JPEG"
    ):
        READERS[reader](encoded)

"""The measurement of the step `decode_image` runs to its end and finds the step and OpenCV to agree."""

from __future__ import annotations

import re

import cv2
import pytest

from loadtest.experiments import decoding


@pytest.fixture(autouse=True)
def same_threads():
    threads = cv2.getNumThreads()
    yield
    cv2.setNumThreads(threads)


def test_decoding(capsys, monkeypatch):
    monkeypatch.setattr(decoding, "SIZE", (192, 108))
    assert decoding.main(["--rounds", "1"]) == 0
    ratios = re.findall(r"^(\w+).* (\d+\.\d+)$", capsys.readouterr().out, re.MULTILINE)
    assert [name for name, _ in ratios] == [name.partition(",")[0] for name in decoding.FORMATS]
    assert all(float(ratio) > 0 for _, ratio in ratios)


def test_a_step_that_reads_other_pixels_is_not_measured(monkeypatch):
    monkeypatch.setattr(decoding, "SIZE", (192, 108))
    monkeypatch.setattr(decoding, "step_module", lambda *_: type("Step", (), {"decode": lambda *_: 0}))
    with pytest.raises(RuntimeError, match="JPEG: the pixels of the step differ"):
        decoding.main(["--rounds", "1"])

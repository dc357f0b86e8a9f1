"""mmdet's detectors and ours give the same boxes. mmdet lives in an environment of its own below .cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENT = ROOT / ".cache" / "parity"


@pytest.fixture(scope="module")
def python():
    """The Python that has mmdet; made once."""
    python, done = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "requirements.txt"
    wanted = (HERE / "requirements.txt").read_text()
    if not done.exists() or done.read_text() != wanted:
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", ENVIRONMENT],
            [*install, f"torch=={torch.__version__.partition('+')[0]}"],
            [*install, "--requirement", HERE / "requirements.txt"],
        ):
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode:
                pytest.skip(f"mmdet cannot be installed: {ran.stderr.strip()[-300:]}")
        done.write_text(wanted)
    return python


def differences(python: Path, what: str) -> dict[str, float]:
    command = [python, "-W", "ignore", HERE / "compare.py", what]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.slow
def test_the_plain_rtmdet_is_mmdets(python):
    found = differences(python, "rtmdet")
    assert found["images"] == found["logits"] == found["distances"] == 0
    assert found["boxes"] < 1e-3
    assert found["scores"] < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", ["rtmdet/rtmdet_tiny_8xb32-300e_coco.py", "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py"]
)
def test_detectors_exported_from_mmdet_answer_as_mmdet_does(python, config):
    found = differences(python, config)
    assert found["boxes"] < 1e-3
    assert found["scores"] < 1e-6


@pytest.mark.slow
def test_a_detector_of_another_kind_is_refused(python):
    with pytest.raises(AssertionError, match="RetinaNet is not supported"):
        differences(python, "retinanet/retinanet_r18_fpn_1x_coco.py")

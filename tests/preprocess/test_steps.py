"""Each step stands alone in its folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poseserve import in_process
from poseserve.repository.folders import PREPROCESS
from poseserve.repository.installed import STEPS


def test_every_step_answers_its_requests_in_the_same_way():
    assert len({(PREPROCESS / step / "1" / "responses.py").read_text() for step in STEPS}) == 1


@pytest.fixture
def two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`left` and `right`, with an options.py each, which one imports at once and the other as late as it is called."""
    monkeypatch.setattr(in_process, "PREPROCESS", tmp_path)
    for step, crop in {
        "left": "from options import NAME\ndef name(): return NAME",
        "right": "def name():\n    import options\n    return options.NAME",
    }.items():
        folder = tmp_path / step / "1"
        folder.mkdir(parents=True)
        (folder / "options.py").write_text(f"NAME = {step!r}\n")
        (folder / "crop.py").write_text(crop)
    yield
    for name in [name for name in sys.modules if name.startswith(("preprocess.left.", "preprocess.right."))]:
        del sys.modules[name]


@pytest.mark.usefixtures("two_steps")
def test_modules_of_one_name_are_those_of_their_own_step():
    left, right = (in_process.step_module(step, "crop") for step in ("left", "right"))
    assert (left.name(), right.name()) == ("left", "right")
    assert left.__name__ == "preprocess.left.crop"
    assert in_process.step_module("right", "options").NAME == "right"
    assert in_process.step_module("left", "crop") is left
    assert not {"options", "crop"} & sys.modules.keys()


@pytest.mark.usefixtures("two_steps")
def test_a_module_that_fails_is_not_there(tmp_path: Path):
    (tmp_path / "left" / "1" / "broken.py").write_text("import options, nothing_of_this_name")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
            in_process.step_module("left", "broken")

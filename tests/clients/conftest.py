"""What the tests of several modules share: results of every command, the files that they become, annotations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseclient import People, class_set, keypoint_set
from poseclient.arguments import parser
from poseclient.files import OutputFiles, write_lists
from poseclient.image_commands import IMAGE_COMMANDS
from poseclient.images import encode_image

SIZE = 6, 8


@pytest.fixture
def results() -> dict[str, Any]:
    """A result of each command that draws one, of an image of 6 x 8 pixels."""
    mask = np.zeros(SIZE, np.uint8)
    mask[1:4, 2:5] = 21
    people = People(
        np.array([[2, 1, 5, 4]], np.float32), np.array([0.5], np.float32), np.ones((1, 17, 3), np.float32), "coco_17",
        pose_scores=np.array([0.25], np.float32), mask=mask, class_set="sapiens_28",
        instance_ids=(mask > 0).astype(np.uint8),
    )  # fmt: skip
    return {
        "detect": People(people.boxes, people.scores),
        "pose": replace(people, mask=None, class_set=None, instance_ids=None),
        "people": people,
        "parts": (mask, class_set("sapiens_28")),
        "depth": np.linspace(0, 1, 48, dtype=np.float16).reshape(SIZE),
        "normals": np.dstack([np.zeros(SIZE), np.zeros(SIZE), -np.ones(SIZE)]).astype(np.float16),
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the result for the grey image x/a.jpg with a command's options; gives the folder of its files."""

    def write(command: str, result: Any, *options: str) -> Path:
        args = parser().parse_args([command, "x/a.jpg", "--out", str(tmp_path), *options])
        image = encode_image(np.full((*SIZE, 3), 200, np.uint8))
        entry = IMAGE_COMMANDS[command].write(OutputFiles("x/a.jpg", image, args), result)
        if args.format == "coco":
            classes = class_set("sapiens_28") if command == "people" else None
            write_lists(tmp_path, ["x/a.jpg"], {"x/a.jpg": entry}, keypoint_set("coco_17"), classes)
        return tmp_path / "x"

    return write


@pytest.fixture
def annotations() -> Callable[..., dict[str, Any]]:
    """Makes COCO's annotations of one person with three keypoints, with changes to that person."""

    def annotations(**changes: object) -> dict[str, Any]:
        person = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 200, 100], "area": 10_000.0, "iscrowd": 0}
        person |= {"keypoints": [0, 0, 2, 7, 0, 2, 14, 0, 2]} | changes
        images = [{"id": 7, "file_name": "7.jpg", "height": 300, "width": 300}]
        return {"images": images, "annotations": [person], "categories": [{"id": 1, "name": "person"}]}

    return annotations

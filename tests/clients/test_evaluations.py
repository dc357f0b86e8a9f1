"""What an evaluation asks for depends on the server: whose boxes, how many people."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from poseclient import InputError, RequestError
from poseclient.evaluations import detector_of, most_poses
from poseclient.protocol import ModelDescription

STEPS = {
    "detect": ("decode_image", "nanodet", "crop_people"),
    "detect.rtmdet": ("decode_image", "rtmdet", "crop_people"),
    "pose": ("decode_image", "nanodet", "crop_people", "movenet", "collect_people"),
    "pose.vitpose": ("decode_image", "rtmdet", "crop_people", "vitpose", "collect_people"),
    "pose.lost": ("decode_image", "yolo", "crop_people", "vitpose", "collect_people"),
}


class Client:
    """Of a server with these ensembles, whose networks take so many people."""

    def __init__(self, accepted: int = 100) -> None:
        self.accepted = accepted

    async def _describe(self, model: str) -> ModelDescription:
        if model not in STEPS:
            raise RequestError(f"{model} is not found", "NOT_FOUND")
        return ModelDescription(model, {}, (), STEPS[model])

    async def max_boxes(self) -> int:
        return self.accepted


@pytest.mark.parametrize(("model", "detector"), [("pose", "detect"), ("pose.vitpose", "detect.rtmdet")])
async def test_the_boxes_are_those_in_which_the_pose_network_looks(model, detector):
    assert await detector_of(Client(), model) == detector


async def test_boxes_that_cannot_be_asked_for_are_said():
    with pytest.raises(InputError, match=r"no ensemble with the boxes of 'pose\.lost': give them with --detections"):
        await detector_of(Client(), "pose.lost")


@pytest.mark.parametrize(
    ("asked", "accepted", "most"), [(None, 100, 30), (20, 100, 20), (50, 100, 50), (None, 12, 12), (20, 12, 12)]
)
async def test_at_most_30_people_of_an_image_are_asked_for_and_fewer_are_said(asked, accepted, most, caplog):
    assert await most_poses(SimpleNamespace(max_people=asked), Client(accepted)) == most
    assert [record.getMessage() for record in caplog.records] == (
        ["warning: a network of the server takes at most 12 people of an image"] if most == accepted else []
    )

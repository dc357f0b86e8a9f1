"""Commands request, draw and write what their flags say."""

import inspect

import cv2
import numpy as np
import pytest

from poseclient import AsyncPoseClient, files, pictures
from poseclient.arguments import parser
from poseclient.image_commands import IMAGE_COMMANDS


@pytest.mark.parametrize("command", ["pose", "people", "parts", "depth", "normals"])
def test_an_overlay_shows_the_image_beside_it_on_demand(write, results, command):
    alone, beside = (
        cv2.imread(str(write(command, results[command], *options) / "a.jpg_overlay.jpg"))
        for options in ([], ["--side-by-side"])
    )
    assert beside.shape[1] == 8 + alone.shape[1]
    np.testing.assert_allclose(beside[:, :4], 200, atol=12)


@pytest.mark.parametrize("name", IMAGE_COMMANDS)
def test_the_server_is_asked_with_the_options_that_were_given(name):
    """None is left to the server; flags of the format and the command line alone do not reach it."""
    command = IMAGE_COMMANDS[name]
    flags = ["--max-people", "3"] if "--max-people" in command.request_flags else []
    args = parser().parse_args([name, "a.jpg", "--model", "other", *flags])
    asked = command.options(args)
    assert asked["model"] == command.model(args) == "other"
    assert asked.get("max_people") == (3 if flags else None)
    assert None not in asked.values()
    inspect.signature(getattr(AsyncPoseClient, command.method)).bind(None, b"jpeg", **asked)


def test_the_pose_of_a_whole_image_has_no_options_of_a_detector():
    args = parser().parse_args(["pose", "a.jpg", "--whole-image", "--max-people", "3"])
    assert IMAGE_COMMANDS["pose"].options(args) == {}
    assert IMAGE_COMMANDS["pose"].model(args) == "pose_of_image"


@pytest.mark.parametrize("command", IMAGE_COMMANDS.values())
def test_the_table_names_functions_that_there_are(command):
    assert hasattr(AsyncPoseClient, command.method)
    assert command.draw is None or callable(getattr(pictures, command.draw))
    assert all(callable(getattr(files, kind.write)) for kind in command.formats.values())


def test_only_some_commands_find_people():
    assert {name for name, command in IMAGE_COMMANDS.items() if command.finds_people} == {"detect", "pose", "people"}

"""What each method requests."""

import pytest
import tritonclient.grpc

from poseclient import inference


def test_options_left_out_are_left_to_the_server():
    options = {"score_threshold": 0.0, "nms_iou": None, "max_people": 1}
    assert inference.detect("a.jpg", "detect", options).parameters == {"score_threshold": 0.0, "max_people": 1}
    assert inference.detect("a.jpg", "detect", {}).parameters == {}


def test_a_misspelt_option_is_an_error():
    with pytest.raises(TypeError, match="unknown: score_treshold; there are score_threshold, "):
        _ = inference.pose("a.jpg", "pose", {"score_treshold": 0.5}).parameters


def test_only_outputs_that_the_model_has_are_requested():
    request = inference.people("a.jpg", "people", {})
    arguments = request.arguments(tritonclient.grpc, b"jpeg", {"BOXES", "MASK", "MASK_PNG"})
    assert [output.name() for output in arguments["outputs"]] == ["BOXES", "MASK"]
    assert (arguments["model_name"], arguments["parameters"]) == ("people", {})


def test_the_whole_image_and_maps_take_no_options():
    for request in (inference.pose_of_image("a.jpg", "pose_of_image"), inference.single_output("a.jpg", "X", "maps")):
        assert request.parameters == {}


def test_detection_needs_no_description_of_the_model():
    request = inference.detect("a.jpg", "detect", {})
    assert not request.needs_description
    assert request.assumed_description.outputs == request.outputs

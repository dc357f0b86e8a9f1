"""What each method requests."""

import numpy as np
import pytest
import tritonclient.grpc

from poseclient import inference


def test_options_left_out_are_left_to_the_server():
    options = {"score_threshold": 0.0, "nms_iou": None, "max_people": 1}
    assert inference.detect("a.jpg", "detect", options).parameters == {"score_threshold": 0.0, "max_people": 1}
    assert inference.detect("a.jpg", "detect", {}).parameters == {}


def test_numbers_of_numpy_are_sent_as_those_of_python():
    options = {"score_threshold": np.float32(0.5), "nms_iou": np.float64(0.25), "max_people": np.int64(3)}
    parameters = inference.detect("a.jpg", "detect", options).parameters
    assert parameters == {"score_threshold": 0.5, "nms_iou": 0.25, "max_people": 3}
    assert [type(value) for value in parameters.values()] == [float, float, int]


def test_a_misspelt_option_is_an_error():
    with pytest.raises(TypeError, match="unknown: score_treshold; there are score_threshold, "):
        _ = inference.pose("a.jpg", "pose", {"score_treshold": 0.5}).parameters


def test_extras_are_requested_where_the_model_has_them():
    request = inference.people("a.jpg", "people", {})
    arguments = request.arguments(tritonclient.grpc, b"jpeg", {"CLASS_SET", "MASK_PNG"})
    needed = ["BOXES", "SCORES", "PEOPLE_FOUND", "KEYPOINTS", "POSE_SCORES", "MASK"]
    assert [output.name() for output in arguments["outputs"]] == [*needed, "CLASS_SET"]
    assert (arguments["model_name"], arguments["parameters"]) == ("people", {})


def test_the_whole_image_and_maps_take_no_options():
    for request in (
        inference.pose_of_image("a.jpg", "pose_of_image"),
        inference.single_output("a.jpg", "DEPTH", "depth", ("depth",)),
    ):
        assert request.parameters == {}


def test_detection_needs_no_description_of_the_model():
    request = inference.detect("a.jpg", "detect", {})
    assert not request.needs_description
    assert request.extras == ()

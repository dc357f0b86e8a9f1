"""Addresses, tensors and model descriptions, without a server."""

import json

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import model_config_pb2, service_pb2

from poseclient import RequestError
from poseclient.keypoints import keypoint_set
from poseclient.protocol import Endpoint, box_rows, describe, infer_inputs, tensor


@pytest.mark.parametrize(
    ("url", "address", "api", "secure"),
    [
        ("grpc://127.0.0.1:8001", "127.0.0.1:8001", tritonclient.grpc, False),
        ("grpc://gpu", "gpu:8001", tritonclient.grpc, False),
        ("grpcs://gpu", "gpu:443", tritonclient.grpc, True),
        ("http://gpu", "gpu:8000", tritonclient.http, False),
        ("https://gpu:8443/triton/", "gpu:8443/triton", tritonclient.http, True),
        ("http://[::1]", "[::1]:8000", tritonclient.http, False),
    ],
)
def test_a_url_says_protocol_port_and_security(url, address, api, secure):
    server = Endpoint(url, 1)
    assert (server.address, server.api, server.is_secure) == (address, api, secure)


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8001", "localhost:8001", "ftp://gpu", "ftp://gpu:21", "grpc://", "grpc://gpu:port", "http://[::1"],
)
def test_what_is_no_url_of_a_server_is_refused(url):
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        Endpoint(url, 1)


@pytest.mark.parametrize("api", [tritonclient.grpc, tritonclient.http])
def test_requests_have_the_tensors_of_the_contract(api):
    image, boxes = infer_inputs(api, b"jpeg", box_rows([[1, 2, 3, 4], [5, 6, 7, 8]]))
    assert (image.name(), image.datatype(), image.shape()) == ("IMAGE", "BYTES", [1])
    assert (boxes.name(), boxes.datatype(), boxes.shape()) == ("BOXES", "FP32", [2, 4])
    assert len(infer_inputs(api, b"jpeg")) == 1


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4)), np.zeros(0)])
def test_no_boxes_are_zero_rows(boxes):
    assert box_rows(boxes).shape == (0, 4)


@pytest.mark.parametrize("boxes", [[1, 2, 3, 4], [[1, 2, 3]], np.zeros((1, 1, 4))])
def test_boxes_of_another_shape_are_refused(boxes):
    with pytest.raises(ValueError, match=r"\[n, 4\]"):
        box_rows(boxes)


def test_a_configuration_says_the_same_over_both_protocols():
    config = model_config_pb2.ModelConfig(name="pose")
    config.parameters["keypoint_set"].string_value = "coco_17"
    config.output.add(name="BOXES")
    config.ensemble_scheduling.step.add(model_name="decode_image")
    message = service_pb2.ModelConfigResponse(config=config)
    as_dict = {
        "name": "pose",
        "parameters": {"keypoint_set": {"string_value": "coco_17"}},
        "output": [{"name": "BOXES"}],
        "ensemble_scheduling": {"step": [{"model_name": "decode_image"}]},
    }
    assert describe(message) == describe(as_dict)
    assert describe(message).parameter("keypoint_set") == "coco_17"
    assert "BOXES" in describe(message).outputs
    assert describe(message).steps == ("decode_image",)
    for silent in (message, as_dict, {"name": "pose"}):
        with pytest.raises(RequestError, match="'pose' names no class_set"):
            describe(silent).parameter("class_set")


def test_the_operators_own_keypoint_set_comes_with_the_configuration():
    table = {"names": ["snout", "tail"]}
    values = {"keypoint_set": "fox_of_the_server", "keypoint_table": json.dumps(table)}
    config = {"name": "pose.fox", "parameters": {key: {"string_value": value} for key, value in values.items()}}
    assert describe(config).parameter("keypoint_set") == "fox_of_the_server"
    assert keypoint_set("fox_of_the_server").names == ("snout", "tail")


def test_a_tensor_is_an_array_of_its_own():
    response = service_pb2.ModelInferResponse()
    response.outputs.add(name="SCORES", datatype="FP32", shape=[2])
    response.raw_output_contents.append(np.array([0.5, 0.25], np.float32).tobytes())
    result = tritonclient.grpc.InferResult(response)
    scores = tensor(result, "SCORES")
    scores[0] = 1
    assert scores.tolist() == [1, 0.25]
    with pytest.raises(RequestError, match="no output MASK"):
        tensor(result, "MASK")

"""What is asked in which order; the answers are put in by hand here, by a real server in the other tests."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.grpc import model_config_pb2, service_pb2

from poseclient import RequestError, exchange, inference
from poseclient.exchange import Call
from poseclient.protocol import ModelDescription

UNEXPECTED = RequestError("unexpected inference output 'INSTANCE_IDS' for model 'people'", "INVALID_ARGUMENT")
KNOWN = ModelDescription("pose", {"keypoint_set": "coco_17"}, {"KEYPOINT_SET"})


def answer(keypoint_set: str, count: int) -> tritonclient.grpc.InferResult:
    """One person with keypoints of a set."""
    message = service_pb2.ModelInferResponse()
    tensors = {"BOXES": (1, 4), "SCORES": (1,), "KEYPOINTS": (1, count, 3), "POSE_SCORES": (1,)}
    for name, shape in tensors.items():
        message.outputs.add(name=name, datatype="FP32", shape=shape)
        message.raw_output_contents.append(np.zeros(shape, np.float32).tobytes())
    message.outputs.add(name="PEOPLE_FOUND", datatype="INT32", shape=[1])
    message.raw_output_contents.append(np.ones(1, np.int32).tobytes())
    message.outputs.add(name="KEYPOINT_SET", datatype="BYTES", shape=[1])
    message.raw_output_contents.append(len(keypoint_set).to_bytes(4, "little") + keypoint_set.encode())
    return tritonclient.grpc.InferResult(message)


def config(keypoint_set: str, **parameters: str) -> service_pb2.ModelConfigResponse:
    message = model_config_pb2.ModelConfig(name="pose")
    for name, value in {"keypoint_set": keypoint_set, **parameters}.items():
        message.parameters[name].string_value = value
    return service_pb2.ModelConfigResponse(config=message)


def pose(known: dict[str, ModelDescription]):
    return exchange.infer(inference.pose(b"jpeg", "pose", {}), tritonclient.grpc, b"jpeg", known)


def result(calls, last):
    with pytest.raises(StopIteration) as stop:
        calls.send(last)
    return stop.value.value


def test_a_known_model_is_asked_at_once():
    calls = pose({"pose": KNOWN})
    assert next(calls).method == "infer"
    assert result(calls, answer("coco_17", 17)).keypoint_set == "coco_17"


def test_a_set_of_the_operators_comes_with_its_table():
    calls = pose({"pose": KNOWN})
    next(calls)
    assert calls.send(answer("own", 2)) == Call("model_config", {"model": "pose"})
    people = result(calls, config("own", keypoint_table=json.dumps({"names": ["tip", "toe"]})))
    assert people.to_dict()["keypoint_names"] == ["tip", "toe"]


def test_keypoints_that_their_set_has_not_are_refused():
    calls = pose({"pose": KNOWN})
    next(calls)
    assert calls.send(answer("coco_17", 2)) == Call("model_config", {"model": "pose"})
    with pytest.raises(RequestError, match="model 'pose' contradicts itself: coco_17 has 17 keypoints, got 2") as error:
        calls.send(config("coco_17"))
    assert error.value.status == "INTERNAL"


def test_a_model_with_other_outputs_now_is_asked_once_more():
    calls = pose({"pose": KNOWN})
    next(calls)
    assert calls.throw(UNEXPECTED).method == "model_config"
    again = calls.send(config("coco_17"))
    assert [output.name() for output in again.arguments["outputs"]][-1] == "POSE_SCORES"
    assert result(calls, answer("coco_17", 17)).keypoint_set == "coco_17"


def test_a_model_that_was_described_just_now_is_not():
    calls = pose({})
    assert next(calls).method == "model_config"
    assert calls.send(config("coco_17")).method == "infer"
    assert calls.throw(UNEXPECTED) == Call("models")


def test_other_refusals_are_handed_on():
    calls = pose({"pose": KNOWN})
    next(calls)
    refusal = RequestError("IMAGE is not an image", "INVALID_ARGUMENT")
    with pytest.raises(RequestError) as error:
        calls.throw(refusal)
    assert error.value is refusal


def test_a_server_that_does_not_tell_its_models():
    calls = pose({})
    next(calls)
    missing = RequestError("unknown model: 'pose'", "NOT_FOUND")
    assert calls.throw(missing) == Call("models")
    with pytest.raises(RequestError) as error:
        calls.throw(RequestError("this API is restricted", "PERMISSION_DENIED"))
    assert error.value is missing

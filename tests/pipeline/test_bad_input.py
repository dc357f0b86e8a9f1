"""Hostile and mistaken requests: the cause and what is accepted are named, and the next request is answered."""

from __future__ import annotations

import queue
import re
import struct
import urllib.error
import urllib.request
import zlib

import cv2
import numpy as np
import psutil
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from poseclient import PoseClient, RequestError


@pytest.fixture
def client(url, scene):
    with PoseClient(url) as connected:
        yield connected
        assert len(connected.pose(scene.jpeg)) == len(scene.people), "the next request was not answered"


def png_bomb() -> bytes:
    """A small PNG that declares 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BAD_IMAGES = {
    "empty": lambda scene: b"",
    "text": lambda scene: b"hello, this is no image",
    "truncated JPEG": lambda scene: scene.jpeg[: len(scene.jpeg) // 2],
    "PNG bomb": lambda scene: png_bomb(),
    "10 MB of noise": lambda scene: np.random.default_rng(0).bytes(10_000_000),
    "too many pixels": lambda scene: cv2.imencode(".png", np.zeros((12_000, 12_000), np.uint8))[1].tobytes(),
    "too long a side": lambda scene: cv2.imencode(".png", np.zeros((1, 32_767), np.uint8))[1].tobytes(),
}


ROWS = "DETECTIONS_ABOVE_0.3"  # of a detector that works at that threshold


def resident_bytes(server) -> int:
    return sum(p.memory_info().rss for p in psutil.Process(server.pid).children(recursive=True))


@pytest.mark.parametrize("ensemble", ["detect", "pose", "parts"])
@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_is_refused(client, server, scene, kind, ensemble):
    before = resident_bytes(server)
    with pytest.raises(RequestError, match="accepted") as refusal:
        getattr(client, ensemble)(BAD_IMAGES[kind](scene))
    assert refusal.value.status == "INVALID_ARGUMENT"
    assert resident_bytes(server) - before < 200e6


@pytest.mark.parametrize(
    "box",
    [
        [np.nan, 0, 10, 10],
        [0, 0, np.inf, 10],
        [50, 50, 10, 90],
        [50, 50, 50, 90],
        [5000, 5000, 5100, 5100],
        [-90, -90, -10, -10],
        [0, 0, 1e30, 1e30],
    ],
    ids=str,
)
def test_a_bad_box_is_refused_and_named(client, scene, box):
    with pytest.raises(RequestError, match=r"(?s)row 1 .*accepted") as refusal:
        client.pose_in_boxes(scene.jpeg, [[10, 10, 50, 90], box])
    assert refusal.value.status == "INVALID_ARGUMENT"


def test_too_many_boxes_are_refused(client, scene):
    with pytest.raises(RequestError, match="at most 100") as refusal:
        client.pose_in_boxes(scene.jpeg, np.tile([10.0, 10.0, 50.0, 90.0], (101, 1)))
    assert refusal.value.status == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "parameters",
    [{"score_threshold": 7.0}, {"nms_iou": -0.1}, {"max_people": 0}, {"max_people": 101}],
    ids=str,
)
def test_a_parameter_out_of_range_is_refused(client, scene, parameters):
    with pytest.raises(RequestError, match=f"{next(iter(parameters))}.*accepted") as refusal:
        client.pose(scene.jpeg, **parameters)
    assert refusal.value.status == "INVALID_ARGUMENT"


def request(api, server, scene, ensemble, **options):
    """One raw request, as any KServe client sends it."""
    address = server.grpc_url if api is tritonclient.grpc else server.http_url
    image = api.InferInput("IMAGE", [1], "BYTES")
    image.set_data_from_numpy(np.array([scene.jpeg], object))
    boxes = api.InferInput("BOXES", [1, 4], "FP32")
    boxes.set_data_from_numpy(np.array([[10, 10, 90, 90]], np.float32))
    with api.InferenceServerClient(address) as connection:
        return connection.infer(ensemble, [image, boxes] if ensemble == "pose_in_boxes" else [image], **options)


@pytest.mark.parametrize("api", [tritonclient.grpc, tritonclient.http])
@pytest.mark.parametrize(
    "ensemble", ["detect", "pose", "pose_in_boxes", "pose_of_image", "parts", "people", "depth", "normals"]
)
def test_a_parameter_that_there_is_not_is_refused_by_name(server, scene, api, ensemble):
    with pytest.raises(
        InferenceServerException, match=r"unknown parameter 'threshold'; accepted are score_th"
    ) as refusal:
        request(api, server, scene, ensemble, parameters={"threshold": 0.9})
    assert re.search("INVALID_ARGUMENT|400", refusal.value.status())


@pytest.mark.parametrize("api", [tritonclient.grpc, tritonclient.http])
def test_parameters_of_the_protocol_and_of_every_step_are_accepted(server, scene, api):
    ours = {"score_threshold": 0.3, "nms_iou": 0.6, "max_people": 2, "oks_nms": 1.0}
    protocols = {"request_id": "a", "priority": 1, "timeout": 60_000_000, "sequence_id": 7, "sequence_start": True}
    answer = request(api, server, scene, "people", parameters=ours, **protocols)
    assert len(answer.as_numpy("BOXES")) == 2
    assert len(request(api, server, scene, "depth", parameters=ours).as_numpy("DEPTH"))


def test_a_stream_is_answered(server, scene):
    """Over a stream tritonclient adds a parameter of its own."""
    answers: queue.Queue = queue.Queue()
    image = tritonclient.grpc.InferInput("IMAGE", [1], "BYTES")
    image.set_data_from_numpy(np.array([scene.jpeg], object))
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as connection:
        connection.start_stream(lambda result, error: answers.put((result, error)))
        connection.async_stream_infer("detect", [image], enable_empty_final_response=True)
        result, error = answers.get(timeout=60)
        connection.stop_stream()
    assert error is None
    assert len(result.as_numpy("BOXES")) == len(scene.people)


@pytest.mark.parametrize("api", [tritonclient.grpc, tritonclient.http])
@pytest.mark.parametrize(
    ("name", "shape", "dtype", "array"),
    [
        ("PICTURE", [1], "BYTES", np.array([b"x"], object)),
        ("IMAGE", [2], "BYTES", np.array([b"x", b"y"], object)),
        ("IMAGE", [1], "FP32", np.zeros(1, np.float32)),
        ("IMAGE", [1, 1], "BYTES", np.array([[b"x"]], object)),
    ],
    ids=["name", "two images", "dtype", "rank"],
)
def test_a_wrong_tensor_is_refused(server, scene, api, name, shape, dtype, array):
    address = server.grpc_url if api is tritonclient.grpc else server.http_url
    tensor = api.InferInput(name, shape, dtype)
    tensor.set_data_from_numpy(array)
    with api.InferenceServerClient(address) as connection, pytest.raises(InferenceServerException) as refusal:
        connection.infer("pose", [tensor])
    assert re.search("INVALID_ARGUMENT|400", refusal.value.status())
    with PoseClient(f"grpc://{server.grpc_url}") as client:
        assert len(client.pose(scene.jpeg)) == len(scene.people)


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        ((ROWS, "SCALE"), "BOXES", "PIXELS are missing"),
        (("SIZE", ROWS, "SCALE"), "CROPS_256x192", "need PIXELS"),
        (("SIZE", ROWS), "BOXES", f"the image: {ROWS}; accepted are BOXES, one of {ROWS} and SCALE, or nothing"),
    ],
)
def test_crops_need_pixels_and_people(server, inputs, output, message):
    values = {
        "SIZE": np.array([480, 640], np.int32),
        ROWS: np.zeros((100, 5), np.float32),
        "SCALE": np.ones(2, np.float32),
    }
    tensors = []
    for name in inputs:
        tensors.append(tritonclient.grpc.InferInput(name, values[name].shape, np_to_triton_dtype(values[name].dtype)))
        tensors[-1].set_data_from_numpy(values[name])
    outputs = [tritonclient.grpc.InferRequestedOutput(output)]
    with (
        tritonclient.grpc.InferenceServerClient(server.grpc_url) as api,
        pytest.raises(InferenceServerException, match=message) as refused,
    ):
        api.infer("crop_people", tensors, outputs=outputs)
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"


def post(server, ensemble: str, body: bytes) -> urllib.request.Request:
    headers = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
    return urllib.request.Request(f"http://{server.http_url}/v2/models/{ensemble}/infer", body, headers)


def test_raw_bytes_as_curl_sends_them(server, scene):
    with urllib.request.urlopen(post(server, "pose", scene.jpeg)) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("body", [b"", b"hello"], ids=["empty", "text"])
def test_bad_raw_bytes_are_a_400(server, body):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(post(server, "pose", body))
    assert refusal.value.code == 400
    assert refusal.value.read()

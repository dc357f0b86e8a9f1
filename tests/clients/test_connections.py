"""What the blocking connections do beneath the client."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import tritonclient.grpc

from poseclient import PoseClient, RequestError
from poseclient.connections import HttpConnection, ready_models
from poseclient.protocol import Endpoint
from poseserve.serving.server import Server
from tests.eventually import eventually


def computed(server: Server, model: str) -> int:
    """Requests that the model has answered with success."""
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as api:
        return int(api.get_inference_statistics(model).model_stats[0].inference_stats.success.count)


@pytest.fixture
def before(server):
    """Requests to `people` before the test."""
    return computed(server, "people")


@pytest.fixture
def hasty(before, server, scene):
    """A client that waits 0.02 s for an answer, after its first request."""
    client = PoseClient(f"grpc://{server.grpc_url}")
    client.people(scene.jpeg)
    client._endpoint.timeout = 0.02
    return client


def test_a_request_that_is_given_up_is_not_cancelled(server, scene, before, hasty):
    """Triton 2.51 may die of one that is: it is computed, and close() waits for it."""
    for _ in range(5):
        with pytest.raises(RequestError, match=r"did not answer within 0\.02 s"):
            hasty.people(scene.jpeg)
    hasty.close()
    assert eventually(lambda: computed(server, "people"), before + 1 + 5) == before + 1 + 5


def test_a_client_that_nobody_closes_waits_too(server, scene, before):
    code = (
        "from poseclient import PoseClient\n"
        f"client = PoseClient('grpc://{server.grpc_url}')\n"
        "client.keypoint_set('people')\n"
        "client._endpoint.timeout = 0.02\n"
        "client.people(open(0, 'rb').read())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=scene.jpeg, capture_output=True, timeout=60)
    assert b"did not answer within 0.02 s" in done.stderr
    assert eventually(lambda: computed(server, "people"), before + 1) == before + 1


def test_closing_is_quick_where_nothing_is_in_flight(url, scene):
    client = PoseClient(url)
    client.detect(scene.jpeg)
    start = time.monotonic()
    client.close()
    client.close()
    assert time.monotonic() - start < 1


def test_models_are_those_that_are_ready(url):
    with PoseClient(url) as client:
        names = client._connection.models()
    assert {"pose", "pose.demo_pose_133", "decode_image"} <= set(names)
    assert ready_models([{"name": "a", "state": "READY"}, {"name": "b", "state": "UNAVAILABLE"}, {"name": "c"}]) == [
        "a"
    ]


def test_http_connections_are_kept(server, scene):
    connection = HttpConnection(Endpoint(f"http://{server.http_url}", 10))
    for _ in range(3):
        connection.model_config("pose")
    pool = connection._pool.connection_from_url(f"http://{server.http_url}")
    assert (pool.num_connections, pool.num_requests) == (1, 3)
    connection.close()

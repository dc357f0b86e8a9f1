"""Requests and answers of the HTTP endpoint, without a connection."""

import pytest
import tritonclient.http
from tritonclient.utils import InferenceServerException

from poseclient.failures import StrangeAnswer
from poseclient.kserve_http import HttpAnswer, check, config_request, infer_request, read_infer, read_json
from poseclient.protocol import infer_inputs


def test_a_request_says_how_long_its_json_is():
    request = infer_request("pose.a/b", inputs=infer_inputs(tritonclient.http, b"jpeg"), outputs=[], parameters={})
    assert (request.method, request.path) == ("POST", "v2/models/pose.a%2Fb/infer")
    length = int(request.headers["Inference-Header-Content-Length"])
    assert request.body[:1] + request.body[length - 1 : length] == b"{}"
    assert request.body[length:] == b"\4\0\0\0jpeg"
    assert config_request("pose.a/b").path == "v2/models/pose.a%2Fb/config"


def test_a_refusal_has_the_servers_words():
    with pytest.raises(InferenceServerException, match="too large") as refusal:
        check(HttpAnswer(400, None, b'{"error": "too large"}'))
    assert refusal.value.status() == "400"
    check(HttpAnswer(200, None, b""))


@pytest.mark.parametrize(
    "answer", [HttpAnswer(200, None, b""), HttpAnswer(200, None, b"<html>"), HttpAnswer(404, None, b'["error"]')]
)
def test_what_is_not_tritons_is_strange(answer):
    for read in (read_json, read_infer):
        with pytest.raises(StrangeAnswer, match=f"HTTP {answer.status}"):
            read(answer)


def test_a_status_that_triton_has_not_is_strange():
    with pytest.raises(StrangeAnswer, match="HTTP 405 Method Not Allowed"):
        check(HttpAnswer(405, None, b'{"error": "Method Not Allowed"}'))

"""Requests and answers of Triton's HTTP endpoint, without the connection that carries them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from tritonclient.http import InferenceServerClient
from tritonclient.utils import InferenceServerException

from poseclient.failures import HTTP_STATUS, StrangeAnswer

HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class HttpRequest:
    """path: below the server's URL."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HttpAnswer:
    """header_length: of the JSON before the tensors' bytes, None where all is JSON."""

    status: int
    header_length: str | None
    body: bytes


def infer_request(model_name: str, **arguments: Any) -> HttpRequest:
    """The request of an inference. arguments: those of tritonclient's `infer`."""
    body, length = InferenceServerClient.generate_request_body(**arguments)
    return HttpRequest("POST", f"v2/models/{quote(model_name, safe='')}/infer", body, {HEADER_LENGTH: str(length)})


def config_request(model: str) -> HttpRequest:
    """The request of a model's configuration."""
    return HttpRequest("GET", f"v2/models/{quote(model, safe='')}/config")


INDEX = HttpRequest("POST", "v2/repository/index", b"{}")
READY = HttpRequest("GET", "v2/health/ready")
METADATA = HttpRequest("GET", "v2")


def read_infer(answer: HttpAnswer) -> Any:
    """The tensors; InferenceServerException for a refusal, StrangeAnswer for what no Triton says."""
    check(answer)
    if answer.header_length is None:
        read_json(answer)
    length = None if answer.header_length is None else int(answer.header_length)
    return InferenceServerClient.parse_response_body(answer.body, header_length=length)


def read_json(answer: HttpAnswer) -> Any:
    """What the JSON says; InferenceServerException for a refusal, StrangeAnswer for what no Triton says."""
    check(answer)
    try:
        return json.loads(answer.body)
    except ValueError as error:
        raise StrangeAnswer(answer.status) from error


def is_ok(answer: HttpAnswer) -> bool:
    """Whether the answer is one of success."""
    return answer.status == HTTPStatus.OK


def check(answer: HttpAnswer) -> None:
    """InferenceServerException for a refusal, StrangeAnswer for one that is not Triton's."""
    if is_ok(answer):
        return
    if answer.status not in HTTP_STATUS:
        raise StrangeAnswer(answer.status)
    try:
        text = json.loads(answer.body)["error"]
    except (ValueError, KeyError, TypeError) as error:
        raise StrangeAnswer(answer.status) from error
    raise InferenceServerException(str(text), str(answer.status))

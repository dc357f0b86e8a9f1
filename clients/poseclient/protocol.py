"""What both clients share: the server's address, the tensors of requests and responses, model descriptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
import numpy as np
import tritonclient.grpc
import tritonclient.http
from geventhttpclient.response import HTTPParseError
from numpy.typing import ArrayLike, NDArray
from tritonclient.utils import InferenceServerException

from poseclient.errors import InputError, RequestError
from poseclient.keypoints import add_keypoint_set

# tritonclient has no types.
InferInput = Any
InferResult = Any

DEFAULT_URL = "grpc://127.0.0.1:8001"
DEFAULT_PORTS = {"grpc": 8001, "grpcs": 443, "http": 8000, "https": 443}

# gRPC's names for the status codes of Triton's HTTP endpoint.
HTTP_STATUS = {
    "400": "INVALID_ARGUMENT",
    "404": "NOT_FOUND",
    "409": "ALREADY_EXISTS",
    "499": "CANCELLED",
    "500": "INTERNAL",
    "501": "UNIMPLEMENTED",
    "503": "UNAVAILABLE",
}


class Endpoint:
    """A server's address: `grpc://`, `grpcs://`, `http://` or `https://`, host and port; else InputError.

    timeout: seconds for one request.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parts, port = _split(url)
        self.url, self.timeout = url, timeout
        self.address = parts.netloc + port + parts.path.rstrip("/")
        self.is_grpc = parts.scheme.startswith("grpc")
        self.is_secure = parts.scheme.endswith("s")
        self.api: ModuleType = tritonclient.grpc if self.is_grpc else tritonclient.http
        # Over HTTP the timeout belongs to the connection.
        self.deadline = {"client_timeout": timeout} if self.is_grpc else {}

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Whatever goes wrong between client and server becomes a RequestError."""
        try:
            yield
        except InferenceServerException as error:
            status = (error.status() or "UNKNOWN").removeprefix("StatusCode.")
            raise self._error(error.message(), HTTP_STATUS.get(status, status)) from error
        except (TimeoutError, asyncio.TimeoutError) as error:
            raise self._error(str(error), "DEADLINE_EXCEEDED") from error
        except (OSError, HTTPParseError, aiohttp.ClientError) as error:
            raise self._error(str(error) or type(error).__name__, "UNAVAILABLE") from error

    def _error(self, text: str, status: str) -> RequestError:
        if status == "DEADLINE_EXCEEDED":
            text = f"{self.url} did not answer within {self.timeout:g} s"
        elif status == "UNAVAILABLE":
            text = f"{self.url} is unavailable: {text}"
        return RequestError(text, status)


def _split(url: str) -> tuple[SplitResult, str]:
    """The URL in parts, and the protocol's own port as `:8001` where the URL names none."""
    try:
        parts = urlsplit(url)
        default, given = DEFAULT_PORTS[parts.scheme], parts.port
        if not parts.hostname:
            raise ValueError("no host")
    except (KeyError, ValueError) as error:
        raise InputError(f"a server's URL looks like {DEFAULT_URL} or http://127.0.0.1:8000, got {url!r}") from error
    return parts, "" if given else f":{default}"


def infer_inputs(api: ModuleType, encoded: bytes, boxes: NDArray[np.float32] | None = None) -> list[InferInput]:
    """The tensors IMAGE BYTES [1] and, where given, BOXES FP32 [n, 4].

    api: `tritonclient.grpc` or `tritonclient.http`, whose types they have.
    """
    image = api.InferInput("IMAGE", [1], "BYTES")
    image.set_data_from_numpy(np.array([encoded], dtype=object))
    if boxes is None:
        return [image]
    rows = api.InferInput("BOXES", list(boxes.shape), "FP32")
    rows.set_data_from_numpy(boxes)
    return [image, rows]


def box_rows(boxes: ArrayLike) -> NDArray[np.float32]:
    """Boxes as f32 [n, 4]; InputError for another shape."""
    rows = np.asarray(boxes, np.float32)
    if rows.size == 0:
        return np.zeros((0, 4), np.float32)
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise InputError(f"boxes must be [n, 4] x1, y1, x2, y2, got {list(rows.shape)}")
    return rows


def tensor(response: InferResult, name: str) -> NDArray[Any]:
    """An output as a copy, which may be written to; RequestError when the response has none of that name."""
    values = response.as_numpy(name)
    if values is None:
        raise RequestError(f"the response has no output {name}", "INVALID_ARGUMENT")
    return np.array(values)


@dataclass(frozen=True)
class ModelDescription:
    """What a model's configuration says to clients: its parameters, and the names of its outputs."""

    name: str
    parameters: Mapping[str, str]
    outputs: Collection[str]

    def parameter(self, name: str) -> str:
        """A parameter, such as its `keypoint_set` or `class_set`; RequestError when it has none."""
        if name not in self.parameters:
            raise RequestError(f"model {self.name!r} names no {name} in its configuration", "INVALID_ARGUMENT")
        return self.parameters[name]


def describe(config: Any) -> ModelDescription:
    """The description in a model's configuration, which comes as a message over gRPC and as a dict over HTTP.

    A keypoint set of the server's operator comes with its table, and is known in this process from here on.
    """
    if isinstance(config, dict):
        name, outputs = config["name"], frozenset(output["name"] for output in config.get("output", []))
        parameters = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
    else:
        name, outputs = config.config.name, frozenset(output.name for output in config.config.output)
        parameters = {key: value.string_value for key, value in config.config.parameters.items()}
    if "keypoint_table" in parameters:
        add_keypoint_set(parameters["keypoint_set"], json.loads(parameters["keypoint_table"]))
    return ModelDescription(name, parameters, outputs)


def max_boxes(crop_people: ModelDescription) -> int:
    """Most boxes that all networks take at once: the step `crop_people` has a limit for each input size."""
    limits: dict[str, int] = json.loads(crop_people.parameter("max_people"))
    return min(limits.values())

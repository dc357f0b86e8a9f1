"""What the clients share: addresses, requests, answers and errors, over gRPC and HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import tritonclient.grpc
import tritonclient.http
from geventhttpclient.response import HTTPParseError
from tritonclient.utils import InferenceServerException

from poseclient.keypoints import add_keypoint_set

DEFAULT_URL = "grpc://127.0.0.1:8001"
DEFAULT_PORTS = {"grpc": 8001, "grpcs": 443, "http": 8000, "https": 443}

# gRPC's names for what Triton answers over HTTP.
HTTP_STATUS = {
    "400": "INVALID_ARGUMENT",
    "404": "NOT_FOUND",
    "409": "ALREADY_EXISTS",
    "499": "CANCELLED",
    "500": "INTERNAL",
    "501": "UNIMPLEMENTED",
    "503": "UNAVAILABLE",
}


class RequestError(Exception):
    """The server refused or could not be reached.

    message: the server's own words. status: gRPC's name of the reason over both protocols, such as
    INVALID_ARGUMENT (the request is wrong), UNAVAILABLE (no server, or it cannot take more) or
    DEADLINE_EXCEEDED (no answer in time).
    """

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message, status)  # both, so that the error can be pickled
        self.message, self.status = message, status

    def __str__(self) -> str:
        return self.message


class Endpoint:
    """A server's address: `grpc://`, `grpcs://`, `http://` or `https://`, host and port; else ValueError."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError(f"a server's URL looks like {DEFAULT_URL} or http://127.0.0.1:8000, got {url!r}")
        port = "" if parts.port else f":{DEFAULT_PORTS[parts.scheme]}"
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


def infer_inputs(api: ModuleType, encoded: bytes, boxes: np.ndarray | None = None) -> list:
    """The tensors IMAGE BYTES [1] and, where given, BOXES FP32 [n, 4], in the types of `api`."""
    image = api.InferInput("IMAGE", [1], "BYTES")
    image.set_data_from_numpy(np.array([encoded], dtype=object))
    if boxes is None:
        return [image]
    rows = api.InferInput("BOXES", list(boxes.shape), "FP32")
    rows.set_data_from_numpy(boxes)
    return [image, rows]


def box_rows(boxes: Any) -> np.ndarray:
    """Boxes as f32 [n, 4]; ValueError for another shape."""
    rows = np.asarray(boxes, np.float32)
    if rows.size == 0:
        return np.zeros((0, 4), np.float32)
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"boxes must be [n, 4] x1, y1, x2, y2, got {list(rows.shape)}")
    return rows


def tensor(answer: Any, name: str) -> np.ndarray:
    """An output as an array of its own, which may be written to."""
    values = answer.as_numpy(name)
    if values is None:
        raise RequestError(f"the answer has no output {name}", "INVALID_ARGUMENT")
    return np.array(values)


@dataclass(frozen=True)
class Described:
    """What an ensemble's configuration says to clients."""

    name: str
    parameters: Mapping[str, str]
    outputs: Collection[str]

    def label(self, parameter: str) -> str:
        """A parameter, such as its `keypoint_set` or `class_set`; RequestError when it has none."""
        if parameter not in self.parameters:
            raise RequestError(f"model {self.name!r} names no {parameter} in its configuration", "INVALID_ARGUMENT")
        return self.parameters[parameter]


def described(config: Any) -> Described:
    """A model's configuration, which comes as a message over gRPC and as a dict over HTTP.

    A keypoint set of the server's operator comes with its table, and is known in this process from here on.
    """
    if isinstance(config, dict):
        name, outputs = config["name"], frozenset(output["name"] for output in config.get("output", []))
        values = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
    else:
        name, outputs = config.config.name, frozenset(output.name for output in config.config.output)
        values = {key: value.string_value for key, value in config.config.parameters.items()}
    if "keypoint_table" in values:
        add_keypoint_set(values["keypoint_set"], json.loads(values["keypoint_table"]))
    return Described(name, values, outputs)


def max_boxes(cropping: Described) -> int:
    """Most boxes that all networks take at once, as the server's step crop_people says it of each input size."""
    return min(json.loads(cropping.label("max_people")).values())

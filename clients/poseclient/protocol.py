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
import urllib3
from numpy.typing import ArrayLike, NDArray
from tritonclient.utils import InferenceServerException

from poseclient.errors import InputError, RequestError
from poseclient.failures import HTTP_STATUS, StrangeAnswer, advice, cause_of, words
from poseclient.keypoints import add_keypoint_set, keypoint_count

# tritonclient has no types.
InferInput = Any
InferResult = Any

DEFAULT_URL = "grpc://127.0.0.1:8001"
DEFAULT_PORTS = {"grpc": 8001, "grpcs": 443, "http": 8000, "https": 443}

TIMEOUTS = (
    TimeoutError,
    asyncio.TimeoutError,  # the same from Python 3.11 on
    urllib3.exceptions.TimeoutError,
    urllib3.exceptions.EmptyPoolError,
)


class Endpoint:
    """A server's address: `grpc://`, `grpcs://`, `http://` or `https://`, host and port; else InputError.

    timeout: seconds for one request.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parts, port = _split(url)
        self.url, self.timeout = url, timeout
        self.has_port, self.port = parts.port is not None, port
        netloc = parts.netloc if self.has_port else f"{parts.netloc}:{port}"
        self.address = netloc + parts.path.rstrip("/")
        self.is_grpc = parts.scheme.startswith("grpc")
        self.is_secure = parts.scheme.endswith("s")
        self.api: ModuleType = tritonclient.grpc if self.is_grpc else tritonclient.http

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Whatever goes wrong between client and server becomes a RequestError."""
        try:
            yield
        except InferenceServerException as error:
            status = (error.status() or "UNKNOWN").removeprefix("StatusCode.")
            status = HTTP_STATUS[int(status)] if status.isdecimal() and int(status) in HTTP_STATUS else status
            raise self._error(error.message(), status) from error
        except StrangeAnswer as error:
            if error.status in ("NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL", "UNIMPLEMENTED", "UNKNOWN"):
                raise self._error(f"it answers {error}, not as Triton does", "UNAVAILABLE") from error
            text = str(error) if error.status == "UNAVAILABLE" else f"{self.url} answers {error}"
            raise self._error(text, error.status) from error
        except TIMEOUTS as error:
            late = not isinstance(error, urllib3.exceptions.NewConnectionError)  # which counts as a timeout there
            raise self._error(words(error), "DEADLINE_EXCEEDED" if late else "UNAVAILABLE") from error
        except (OSError, urllib3.exceptions.HTTPError, aiohttp.ClientError) as error:
            raise self._error(words(error), "UNAVAILABLE") from error

    def _error(self, text: str, status: str) -> RequestError:
        hint = ""
        if status == "DEADLINE_EXCEEDED":
            text = f"{self.url} did not answer within {self.timeout:g} s"
        elif status == "UNAVAILABLE":
            hint = cause_of(text, self.url, self.port, self.has_port)
            text = f"{self.url} is unavailable: {text}"
        else:
            hint = advice(text)
        return RequestError(f"{text}; {hint}" if hint else text, status)


def _split(url: str) -> tuple[SplitResult, int]:
    """The URL in parts, and its port, or the protocol's own where the URL names none."""
    try:
        parts = urlsplit(url)
        default, given = DEFAULT_PORTS[parts.scheme], parts.port
        if not parts.hostname:
            raise ValueError("no host")
    except (KeyError, ValueError) as error:
        raise InputError(f"a server's URL looks like {DEFAULT_URL} or http://127.0.0.1:8000, got {url!r}") from error
    return parts, given or default


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
    """What a model's configuration says to clients: its parameters, its outputs, and the models it is made of."""

    name: str
    parameters: Mapping[str, str]
    outputs: Collection[str]
    steps: tuple[str, ...] = ()

    def parameter(self, name: str) -> str:
        """A parameter, such as its `keypoint_set` or `class_set`; RequestError when it has none."""
        if name not in self.parameters:
            raise RequestError(f"model {self.name!r} names no {name} in its configuration", "INVALID_ARGUMENT")
        return self.parameters[name]


def set_name(response: InferResult, description: ModelDescription, output: str) -> str:
    """The name of the set that explains the answer. output: `KEYPOINT_SET` or `CLASS_SET`.

    The answer itself says it; where the model has no such output, its description does. RequestError for neither.
    """
    values = response.as_numpy(output)
    return description.parameter(output.lower()) if values is None else str(values[0].decode())


def fits(response: InferResult, description: ModelDescription) -> bool:
    """Whether the description explains the answer: it does not when another network has taken the name since."""
    sets = ("KEYPOINT_SET", "CLASS_SET")
    named = [output for output in sets if response.as_numpy(output) is not None]
    if any(set_name(response, description, output) != description.parameters.get(output.lower()) for output in named):
        return False
    keypoints = response.as_numpy("KEYPOINTS")
    count = keypoint_count(description.parameters.get("keypoint_set"))
    return keypoints is None or count in (None, keypoints.shape[1])


def describe(config: Any) -> ModelDescription:
    """The description in a model's configuration, which comes as a message over gRPC and as a dict over HTTP.

    A keypoint set of the server's operator comes with its table, and is known in this process from here on.
    """
    if isinstance(config, dict):
        name, outputs = config["name"], frozenset(output["name"] for output in config.get("output", []))
        parameters = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
        steps = tuple(step["model_name"] for step in config.get("ensemble_scheduling", {}).get("step", []))
    else:
        name, outputs = config.config.name, frozenset(output.name for output in config.config.output)
        parameters = {key: value.string_value for key, value in config.config.parameters.items()}
        steps = tuple(step.model_name for step in config.config.ensemble_scheduling.step)
    if "keypoint_table" in parameters:
        add_keypoint_set(parameters["keypoint_set"], json.loads(parameters["keypoint_table"]))
    return ModelDescription(name, parameters, outputs, steps)


def max_boxes(crop_people: ModelDescription) -> int:
    """Most boxes that all networks take at once: the step `crop_people` has a limit for each input size."""
    limits: dict[str, int] = json.loads(crop_people.parameter("max_people"))
    return min(limits.values())

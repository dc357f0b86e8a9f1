"""The blocking client."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import gevent.ssl
import numpy as np
import tritonclient.grpc
import tritonclient.http

from poseclient import calls, protocol
from poseclient.calls import Answer, Call, Limits, PoseLimits
from poseclient.images import Image, encode_image
from poseclient.keypoints import ClassSet, KeypointSet, class_set, keypoint_set
from poseclient.people import People
from poseclient.protocol import Described

if TYPE_CHECKING:
    from typing_extensions import Unpack  # of Python 3.11


class PoseClient:
    """Talks to one server; safe to share between threads.

    url: `grpc://host:port` or `http://host:port`, with `grpcs` or `https` for TLS. timeout: seconds for one
    request. An image is a path or encoded bytes (sent as they are), or pixels u8 [h, w, 3] RGB or [h, w]
    grey. `model` names another ensemble with the same tensors. Every method raises RequestError when the
    server refuses or is away.

    >>> with PoseClient("grpc://127.0.0.1:8001") as client:
    ...     people = client.pose("street.jpg", score_threshold=0.4)
    """

    def __init__(self, url: str = protocol.DEFAULT_URL, timeout: float = 60.0) -> None:
        self._server = protocol.Endpoint(url, timeout)
        self._models: dict[str, Described] = {}
        # A gRPC channel serves all threads, an HTTP client of tritonclient only the thread that made it.
        self._own: Any = SimpleNamespace() if self._server.is_grpc else threading.local()
        self._own.api = self._connect()

    def __enter__(self) -> PoseClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; those of other threads when nothing uses them any more."""
        self._api.close()
        self._own = threading.local()

    def detect(self, image: Image, *, model: str = "detect", **limits: Unpack[Limits]) -> People:
        """Boxes and scores of the people in the image."""
        return self._ask(calls.detect(image, model, limits))

    def pose(self, image: Image, *, model: str = "pose", **limits: Unpack[PoseLimits]) -> People:
        """Boxes, scores and keypoints of the people in the image."""
        return self._ask(calls.pose(image, model, limits))

    def people(self, image: Image, *, model: str = "people", **limits: Unpack[PoseLimits]) -> People:
        """Boxes, scores, keypoints and body parts of the people in the image."""
        return self._ask(calls.people(image, model, limits))

    def pose_in_boxes(
        self, image: Image, boxes: Any, *, model: str = "pose_in_boxes", oks_nms: float | None = None
    ) -> People:
        """Keypoints of the people in the given boxes, [n, 4] x1, y1, x2, y2 in image pixels."""
        return self._ask(calls.pose_in_boxes(image, boxes, model, {"oks_nms": oks_nms}))

    def pose_of_image(self, image: Image, *, model: str = "pose_of_image") -> People:
        """Keypoints of the one person whom the whole image shows."""
        return self._ask(calls.pose_of_image(image, model))

    def parts(self, image: Image, *, model: str = "parts", **limits: Unpack[Limits]) -> np.ndarray:
        """The class id of every pixel, u8 [h, w], 0 is background; `class_set` explains the ids.

        The limits hold where people are found first, as in `parts_of_people`.
        """
        return self._ask(calls.output(image, "MASK", model, limits))

    def depth(
        self, image: Image, *, of_people: bool = False, model: str = "depth", **limits: Unpack[Limits]
    ) -> np.ndarray:
        """Relative depth, f16 [h, w]: smaller is nearer, scale and shift are unknown. of_people: NaN elsewhere."""
        return self._ask(calls.output(image, "DEPTH_OF_PEOPLE" if of_people else "DEPTH", model, limits))

    def normals(
        self, image: Image, *, of_people: bool = False, model: str = "normals", **limits: Unpack[Limits]
    ) -> np.ndarray:
        """Surface normals, unit vectors f16 [h, w, 3]. of_people: NaN elsewhere."""
        return self._ask(calls.output(image, "NORMALS_OF_PEOPLE" if of_people else "NORMALS", model, limits))

    def features(self, image: Image, *, pooled: bool = False, model: str = "features") -> np.ndarray:
        """The encoder's features of the whole image, f16 [C, h, w], or their mean over the image, f32 [C]."""
        return self._ask(calls.output(image, "POOLED" if pooled else "FEATURES", model))

    def pointmap(self, image: Image, *, model: str = "pointmap") -> np.ndarray:
        """The point in space of every pixel, f32 [h, w, 3], metres from the camera."""
        return self._ask(calls.output(image, "POINTS", model))

    def matting(self, image: Image, *, model: str = "matting") -> np.ndarray:
        """The people without their background, u8 [h, w, 4]: red, green and blue times alpha, and alpha."""
        return self._ask(calls.output(image, "MATTE", model))

    def keypoint_set(self, model: str = "pose") -> KeypointSet:
        """The keypoint set of an ensemble that answers with keypoints."""
        return keypoint_set(self._described(model).label("keypoint_set"))

    def class_set(self, model: str = "parts") -> ClassSet:
        """The class set of an ensemble that answers with a mask."""
        return class_set(self._described(model).label("class_set"))

    def max_boxes(self) -> int:
        """Most boxes that a request may have, whichever network it is for."""
        return protocol.max_boxes(self._described("crop_people"))

    def is_ready(self) -> bool:
        """Whether the server answers and all its models are ready."""
        try:
            with self._server.errors():
                return self._api.is_server_ready(**self._server.deadline)
        except protocol.RequestError:
            return False

    @property
    def _api(self) -> Any:
        if not hasattr(self._own, "api"):
            self._own.api = self._connect()
        return self._own.api

    def _connect(self) -> Any:
        server = self._server
        if server.is_grpc:
            return tritonclient.grpc.InferenceServerClient(server.address, ssl=server.is_secure)
        return tritonclient.http.InferenceServerClient(
            server.address,
            connection_timeout=server.timeout,
            network_timeout=server.timeout,
            ssl=server.is_secure,
            ssl_context_factory=gevent.ssl.create_default_context,
        )

    def _ask(self, call: Call[Answer]) -> Answer:
        known = self._described(call.model) if call.described else Described(call.model, {}, call.outputs)
        inputs = protocol.infer_inputs(self._server.api, encode_image(call.image), call.boxes)
        wanted = [self._server.api.InferRequestedOutput(name) for name in call.outputs if name in known.outputs]
        with self._server.errors():
            answer = self._api.infer(
                call.model, inputs, outputs=wanted, parameters=call.parameters, **self._server.deadline
            )
        return call.read(answer, known)

    def _described(self, model: str) -> Described:
        if model not in self._models:
            with self._server.errors():
                config = self._api.get_model_config(model, **self._server.deadline)
            self._models[model] = protocol.described(config)
        return self._models[model]

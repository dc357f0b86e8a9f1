"""The blocking client."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import gevent.ssl
import numpy as np
import tritonclient.grpc
import tritonclient.http

from poseclient import protocol
from poseclient.images import Image, encode_image
from poseclient.keypoints import ClassSet, KeypointSet, class_set, keypoint_set
from poseclient.people import People


class PoseClient:
    """Talks to one server; safe to share between threads.

    url: `grpc://host:port` or `http://host:port`, with `grpcs` or `https` for TLS. timeout: seconds for one
    request. An image is a path or encoded bytes (sent as they are), or pixels u8 [h, w, 3] RGB or [h, w]
    grey. `model` names another ensemble with the same tensors. Every method raises PoseServerError when the
    server refuses or is away.

    >>> with PoseClient("grpc://127.0.0.1:8001") as client:
    ...     people = client.pose("street.jpg", score_threshold=0.4)
    """

    def __init__(self, url: str = protocol.DEFAULT_URL, timeout: float = 60.0) -> None:
        self._server = protocol.Endpoint(url, timeout)
        self._labels: dict[tuple[str, str], str] = {}
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

    def detect(
        self,
        image: Image,
        *,
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_people: int | None = None,
        model: str = "detect",
    ) -> People:
        """Boxes and scores of the people in the image."""
        answer = self._infer(model, image, parameters=protocol.limits(score_threshold, nms_iou, max_people))
        return protocol.detected_people(answer, image)

    def pose(
        self,
        image: Image,
        *,
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_people: int | None = None,
        model: str = "pose",
    ) -> People:
        """Boxes, scores and keypoints of the people in the image."""
        labels = self._label(model, "keypoint_set")
        answer = self._infer(model, image, parameters=protocol.limits(score_threshold, nms_iou, max_people))
        return protocol.detected_people(answer, image, labels)

    def pose_in_boxes(self, image: Image, boxes: Any, *, model: str = "pose_in_boxes") -> People:
        """Keypoints of the people in the given boxes, [n, 4] x1, y1, x2, y2 in image pixels."""
        rows = protocol.box_rows(boxes)
        labels = self._label(model, "keypoint_set")
        return protocol.people_in_boxes(self._infer(model, image, rows), image, rows, labels)

    def parts(
        self,
        image: Image,
        *,
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_people: int | None = None,
        model: str = "parts",
    ) -> np.ndarray:
        """The class id of every pixel, u8 [h, w], 0 is background; `class_set` explains the ids.

        The limits hold where people are found first, as in `parts_of_people`.
        """
        answer = self._infer(model, image, parameters=protocol.limits(score_threshold, nms_iou, max_people))
        return protocol.tensor(answer, "MASK")

    def keypoint_set(self, model: str = "pose") -> KeypointSet:
        """The keypoint set of an ensemble that answers with keypoints."""
        return keypoint_set(self._label(model, "keypoint_set"))

    def class_set(self, model: str = "parts") -> ClassSet:
        """The class set of an ensemble that answers with a mask."""
        return class_set(self._label(model, "class_set"))

    def is_ready(self) -> bool:
        """Whether the server answers and all its models are ready."""
        try:
            with self._server.errors():
                return self._api.is_server_ready(**self._server.deadline)
        except protocol.PoseServerError:
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

    def _infer(self, model: str, image: Image, boxes: np.ndarray | None = None, parameters: dict | None = None) -> Any:
        inputs = protocol.infer_inputs(self._server.api, encode_image(image), boxes)
        with self._server.errors():
            return self._api.infer(model, inputs, parameters=parameters, **self._server.deadline)

    def _label(self, model: str, parameter: str) -> str:
        if (model, parameter) not in self._labels:
            with self._server.errors():
                config = self._api.get_model_config(model, **self._server.deadline)
            self._labels[model, parameter] = protocol.config_parameter(config, parameter)
        return self._labels[model, parameter]

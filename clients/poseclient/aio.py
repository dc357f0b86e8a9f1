"""The client for asyncio: the same methods as PoseClient, awaited."""

from __future__ import annotations

import asyncio
import ssl
from functools import cached_property
from typing import Any

import numpy as np
import tritonclient.grpc.aio
import tritonclient.http.aio

from poseclient import protocol
from poseclient.images import Image, encode_image
from poseclient.keypoints import ClassSet, KeypointSet, class_set, keypoint_set
from poseclient.people import People


class AsyncPoseClient:
    """Talks to one server from one event loop, with any number of requests in flight.

    Arguments, answers and errors are those of PoseClient.

    >>> async with AsyncPoseClient("grpc://127.0.0.1:8001") as client:
    ...     street, park = await asyncio.gather(client.pose("street.jpg"), client.pose("park.jpg"))
    """

    def __init__(self, url: str = protocol.DEFAULT_URL, timeout: float = 60.0) -> None:
        self._server = protocol.Endpoint(url, timeout)
        self._labels: dict[tuple[str, str], str] = {}

    async def __aenter__(self) -> AsyncPoseClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._api.close()

    async def detect(
        self,
        image: Image,
        *,
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_people: int | None = None,
        model: str = "detect",
    ) -> People:
        """Boxes and scores of the people in the image."""
        parameters = protocol.limits(score_threshold, nms_iou, max_people)
        return protocol.detected_people(await self._infer(model, image, parameters=parameters), image)

    async def pose(
        self,
        image: Image,
        *,
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_people: int | None = None,
        model: str = "pose",
    ) -> People:
        """Boxes, scores and keypoints of the people in the image."""
        parameters = protocol.limits(score_threshold, nms_iou, max_people)
        labels = await self._label(model, "keypoint_set")
        return protocol.detected_people(await self._infer(model, image, parameters=parameters), image, labels)

    async def pose_in_boxes(self, image: Image, boxes: Any, *, model: str = "pose_in_boxes") -> People:
        """Keypoints of the people in the given boxes, [n, 4] x1, y1, x2, y2 in image pixels."""
        rows = protocol.box_rows(boxes)
        labels = await self._label(model, "keypoint_set")
        return protocol.people_in_boxes(await self._infer(model, image, rows), image, rows, labels)

    async def parts(
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
        answer = await self._infer(model, image, parameters=protocol.limits(score_threshold, nms_iou, max_people))
        return protocol.tensor(answer, "MASK")

    async def keypoint_set(self, model: str = "pose") -> KeypointSet:
        """The keypoint set of an ensemble that answers with keypoints."""
        return keypoint_set(await self._label(model, "keypoint_set"))

    async def class_set(self, model: str = "parts") -> ClassSet:
        """The class set of an ensemble that answers with a mask."""
        return class_set(await self._label(model, "class_set"))

    async def is_ready(self) -> bool:
        """Whether the server answers and all its models are ready."""
        try:
            with self._server.errors():
                return await self._api.is_server_ready(**self._server.deadline)
        except protocol.PoseServerError:
            return False

    @cached_property
    def _api(self) -> Any:
        # Made at first use, because a connection belongs to the event loop that runs at that moment.
        server = self._server
        if server.is_grpc:
            return tritonclient.grpc.aio.InferenceServerClient(server.address, ssl=server.is_secure)
        return tritonclient.http.aio.InferenceServerClient(
            server.address,
            conn_timeout=server.timeout,
            ssl=server.is_secure,
            ssl_context=ssl.create_default_context(),  # without a context it would trust any certificate
        )

    async def _infer(
        self, model: str, image: Image, boxes: np.ndarray | None = None, parameters: dict | None = None
    ) -> Any:
        encoded = await asyncio.to_thread(encode_image, image)
        inputs = protocol.infer_inputs(self._server.api, encoded, boxes)
        with self._server.errors():
            return await self._api.infer(model, inputs, parameters=parameters, **self._server.deadline)

    async def _label(self, model: str, parameter: str) -> str:
        if (model, parameter) not in self._labels:
            with self._server.errors():
                config = await self._api.get_model_config(model, **self._server.deadline)
            self._labels[model, parameter] = protocol.config_parameter(config, parameter)
        return self._labels[model, parameter]

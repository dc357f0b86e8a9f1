"""The client for asyncio: the same methods as PoseClient, awaited."""

from __future__ import annotations

import asyncio
import ssl
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import tritonclient.grpc.aio
import tritonclient.http.aio

from poseclient import calls, protocol
from poseclient.calls import Answer, Call, Limits, PoseLimits
from poseclient.images import Image, encode_image
from poseclient.keypoints import ClassSet, KeypointSet, class_set, keypoint_set
from poseclient.people import People
from poseclient.protocol import Described

if TYPE_CHECKING:
    from typing_extensions import Unpack  # of Python 3.11


class AsyncPoseClient:
    """Talks to one server from one event loop, with any number of requests in flight.

    Arguments, answers and errors are those of PoseClient.

    >>> async with AsyncPoseClient("grpc://127.0.0.1:8001") as client:
    ...     street, park = await asyncio.gather(client.pose("street.jpg"), client.pose("park.jpg"))
    """

    def __init__(self, url: str = protocol.DEFAULT_URL, timeout: float = 60.0) -> None:
        self._server = protocol.Endpoint(url, timeout)
        self._models: dict[str, Described] = {}

    async def __aenter__(self) -> AsyncPoseClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._api.close()

    async def detect(self, image: Image, *, model: str = "detect", **limits: Unpack[Limits]) -> People:
        """Boxes and scores of the people in the image."""
        return await self._ask(calls.detect(image, model, limits))

    async def pose(self, image: Image, *, model: str = "pose", **limits: Unpack[PoseLimits]) -> People:
        """Boxes, scores and keypoints of the people in the image."""
        return await self._ask(calls.pose(image, model, limits))

    async def people(self, image: Image, *, model: str = "people", **limits: Unpack[PoseLimits]) -> People:
        """Boxes, scores, keypoints and body parts of the people in the image."""
        return await self._ask(calls.people(image, model, limits))

    async def pose_in_boxes(
        self, image: Image, boxes: Any, *, model: str = "pose_in_boxes", oks_nms: float | None = None
    ) -> People:
        """Keypoints of the people in the given boxes, [n, 4] x1, y1, x2, y2 in image pixels."""
        return await self._ask(calls.pose_in_boxes(image, boxes, model, {"oks_nms": oks_nms}))

    async def pose_of_image(self, image: Image, *, model: str = "pose_of_image") -> People:
        """Keypoints of the one person whom the whole image shows."""
        return await self._ask(calls.pose_of_image(image, model))

    async def parts(self, image: Image, *, model: str = "parts", **limits: Unpack[Limits]) -> np.ndarray:
        """The class id of every pixel, u8 [h, w], 0 is background; `class_set` explains the ids.

        The limits hold where people are found first, as in `parts_of_people`.
        """
        return await self._ask(calls.output(image, "MASK", model, limits))

    async def depth(
        self, image: Image, *, of_people: bool = False, model: str = "depth", **limits: Unpack[Limits]
    ) -> np.ndarray:
        """Relative depth, f16 [h, w]: smaller is nearer, scale and shift are unknown. of_people: NaN elsewhere."""
        return await self._ask(calls.output(image, "DEPTH_OF_PEOPLE" if of_people else "DEPTH", model, limits))

    async def normals(
        self, image: Image, *, of_people: bool = False, model: str = "normals", **limits: Unpack[Limits]
    ) -> np.ndarray:
        """Surface normals, unit vectors f16 [h, w, 3]. of_people: NaN elsewhere."""
        return await self._ask(calls.output(image, "NORMALS_OF_PEOPLE" if of_people else "NORMALS", model, limits))

    async def features(self, image: Image, *, pooled: bool = False, model: str = "features") -> np.ndarray:
        """The encoder's features of the whole image, f16 [C, h, w], or their mean over the image, f32 [C]."""
        return await self._ask(calls.output(image, "POOLED" if pooled else "FEATURES", model))

    async def pointmap(self, image: Image, *, model: str = "pointmap") -> np.ndarray:
        """The point in space of every pixel, f32 [h, w, 3], metres from the camera."""
        return await self._ask(calls.output(image, "POINTS", model))

    async def matting(self, image: Image, *, model: str = "matting") -> np.ndarray:
        """The people without their background, u8 [h, w, 4]: red, green and blue times alpha, and alpha."""
        return await self._ask(calls.output(image, "MATTE", model))

    async def keypoint_set(self, model: str = "pose") -> KeypointSet:
        """The keypoint set of an ensemble that answers with keypoints."""
        return keypoint_set((await self._described(model)).label("keypoint_set"))

    async def class_set(self, model: str = "parts") -> ClassSet:
        """The class set of an ensemble that answers with a mask."""
        return class_set((await self._described(model)).label("class_set"))

    async def max_boxes(self) -> int:
        """Most boxes that a request may have, whichever network it is for."""
        return protocol.max_boxes(await self._described("crop_people"))

    async def is_ready(self) -> bool:
        """Whether the server answers and all its models are ready."""
        try:
            with self._server.errors():
                return await self._api.is_server_ready(**self._server.deadline)
        except protocol.RequestError:
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

    async def _ask(self, call: Call[Answer]) -> Answer:
        known = await self._described(call.model) if call.described else Described(call.model, {}, call.outputs)
        encoded = await asyncio.to_thread(encode_image, call.image)
        inputs = protocol.infer_inputs(self._server.api, encoded, call.boxes)
        wanted = [self._server.api.InferRequestedOutput(name) for name in call.outputs if name in known.outputs]
        with self._server.errors():
            answer = await self._api.infer(
                call.model, inputs, outputs=wanted, parameters=call.parameters, **self._server.deadline
            )
        return call.read(answer, known)

    async def _described(self, model: str) -> Described:
        if model not in self._models:
            with self._server.errors():
                config = await self._api.get_model_config(model, **self._server.deadline)
            self._models[model] = protocol.described(config)
        return self._models[model]

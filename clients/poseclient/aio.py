"""The client for asyncio: the same methods as PoseClient, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from poseclient import exchange, inference, protocol
from poseclient.aio_connections import AsyncConnection, connect
from poseclient.errors import RequestError
from poseclient.exchange import Calls
from poseclient.images import Image, encode_image
from poseclient.inference import DetectionOptions, InferRequest, PoseOptions, Result
from poseclient.keypoints import ClassSet, KeypointSet, class_set, keypoint_set
from poseclient.people import People, PosedPeople
from poseclient.protocol import ModelDescription

if TYPE_CHECKING:
    from typing_extensions import Unpack  # of Python 3.11

    from poseclient.video.follow import TrackedFrame
    from poseclient.video.track import FrameSource


class AsyncPoseClient:
    """Talks to one server from one event loop, with any number of requests in flight.

    Arguments, results and errors are those of PoseClient.

    >>> async with AsyncPoseClient("grpc://127.0.0.1:8001") as client:
    ...     street, park = await asyncio.gather(client.pose("street.jpg"), client.pose("park.jpg"))
    """

    def __init__(self, url: str = protocol.DEFAULT_URL, timeout: float = 60.0) -> None:
        self._endpoint = protocol.Endpoint(url, timeout)
        self._descriptions: dict[str, ModelDescription] = {}

    async def __aenter__(self) -> AsyncPoseClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections of this client.

        Over gRPC it first waits for requests that were given up: Triton 2.51 may end when one is cancelled.

        >>> await client.close()
        """
        await self._connection.close()

    async def detect(self, image: Image, *, model: str = "detect", **options: Unpack[DetectionOptions]) -> People:
        """Find people: `boxes` f32 [n, 4], `scores` f32 [n], best first; no keypoints.

        >>> people = await client.detect("street.jpg", score_threshold=0.5, max_people=10)
        """
        return await self._infer(inference.detect(image, model, options))

    async def pose(self, image: Image, *, model: str = "pose", **options: Unpack[PoseOptions]) -> PosedPeople:
        """Find people and their keypoints: what `detect` gives, `keypoints` f32 [n, K, 3], `pose_scores` f32 [n].

        RequestError also for a model without keypoints.

        >>> people = await client.pose("street.jpg", oks_nms=0.9)
        """
        return await self._infer(inference.pose(image, model, options))

    async def people(self, image: Image, *, model: str = "people", **options: Unpack[PoseOptions]) -> PosedPeople:
        """Find people, keypoints and body parts in one request: what `pose` gives, and `mask` u8 [h, w].

        `instance_ids` u8 [h, w] are there where the network sees people one by one. RequestError also for a model
        without keypoints or mask.

        >>> people = await client.people("street.jpg", max_people=20)
        """
        return await self._infer(inference.people(image, model, options))

    async def pose_in_boxes(
        self, image: Image, boxes: ArrayLike, *, model: str = "pose_in_boxes", oks_nms: float | None = None
    ) -> PosedPeople:
        """Keypoints f32 [n, K, 3] of the people in your boxes, [n, 4] x1, y1, x2, y2 in image pixels.

        The result has the boxes in your order with scores of 1, without those that `oks_nms` dropped. InputError for
        boxes of another shape; RequestError also for more than `max_boxes`, and for one that misses the image.

        >>> people = await client.pose_in_boxes("street.jpg", [[10, 20, 110, 320]])
        """
        return await self._infer(inference.pose_in_boxes(image, boxes, model, {"oks_nms": oks_nms}))

    async def pose_of_image(self, image: Image, *, model: str = "pose_of_image") -> PosedPeople:
        """Keypoints f32 [1, K, 3] of the one person whom the whole image shows, which is the box.

        >>> person = await client.pose_of_image("portrait.jpg")
        """
        return await self._infer(inference.pose_of_image(image, model))

    def track(
        self,
        source: FrameSource,
        *,
        model: str = "pose",
        tracker: str = "bytetrack",
        detect_every: int = 1,
        window: int = 8,
        wait: float = 0.0,
        smooth: bool = False,
        focus: str | None = None,
        fps: float = 25.0,
        input_format: str | None = None,
        **options: Unpack[PoseOptions],
    ) -> AsyncGenerator[TrackedFrame]:
        """Follow the people of a video, a camera or frames of your own, in the order of the frames.

        source: a path, an address, or what `input_format`, a device or filter of FFmpeg, reads, such as "/dev/video0"
        of "v4l2"; or an iterable of images u8 [h, w, 3] RGB, `fps` of them a second, or of pairs of a time in seconds
        and an image; it may be asynchronous. A camera drops frames that the server has no time for, and is opened again
        when it was lost; the log "poseclient" says so. A result has `index`, `time`, `image` and `people` with
        `track_ids`.
        tracker: bytetrack, cbiou, ocsort, sort or none. detect_every: frames from one detection to the next. window:
        requests in flight. wait: seconds for a server that went away to come back. smooth: without the trembling of
        keypoints. focus: one person alone, as `poseclient.focus.Focus` says. InputError for a source that cannot be
        read, MissingExtraError without `poseclient[video,track]`.

        >>> ids = [result.people.track_ids async for result in client.track("walk.mp4", detect_every=5)]
        """
        from poseclient.video.track import track  # not for those who have no videos

        return track(
            self,
            source,
            model=model,
            tracker=tracker,
            detect_every=detect_every,
            window=window,
            wait=wait,
            smooth=smooth,
            focus=focus,
            fps=fps,
            input_format=input_format,
            **options,
        )

    async def parts(
        self, image: Image, *, model: str = "parts", **options: Unpack[DetectionOptions]
    ) -> NDArray[np.uint8]:
        """The class id of every pixel, u8 [h, w], 0 is background; `class_set` explains the ids.

        The options count where people are found first, as in `parts_of_people`.

        >>> mask = await client.parts("street.jpg", model="parts_of_people")
        """
        return await self._infer(inference.single_output(image, "MASK", model, inference.MASK_ENSEMBLES, options))

    async def depth(
        self, image: Image, *, of_people: bool = False, model: str = "depth", **options: Unpack[DetectionOptions]
    ) -> NDArray[np.float16]:
        """Relative depth, f16 [h, w]: smaller is nearer, scale and shift are unknown. of_people: NaN elsewhere.

        >>> depth = await client.depth("street.jpg", of_people=True)
        """
        name = "DEPTH_OF_PEOPLE" if of_people else "DEPTH"
        return await self._infer(inference.single_output(image, name, model, ("depth",), options))

    async def normals(
        self, image: Image, *, of_people: bool = False, model: str = "normals", **options: Unpack[DetectionOptions]
    ) -> NDArray[np.float16]:
        """Surface normals, unit vectors f16 [h, w, 3]. of_people: NaN elsewhere.

        >>> normals = await client.normals("street.jpg")
        """
        name = "NORMALS_OF_PEOPLE" if of_people else "NORMALS"
        return await self._infer(inference.single_output(image, name, model, ("normals",), options))

    async def features(
        self, image: Image, *, pooled: bool = False, model: str = "features"
    ) -> NDArray[np.float16 | np.float32]:
        """The encoder's features of the whole image, f16 [C, h, w]; pooled: their mean over the image, f32 [C].

        >>> vector = await client.features("street.jpg", pooled=True)
        """
        name = "POOLED" if pooled else "FEATURES"
        return await self._infer(inference.single_output(image, name, model, ("features",)))

    async def pointmap(self, image: Image, *, model: str = "pointmap") -> NDArray[np.float32]:
        """The point in space of every pixel, f32 [h, w, 3], metres from the camera.

        >>> points = await client.pointmap("street.jpg")
        """
        return await self._infer(inference.single_output(image, "POINTS", model, ("pointmap",)))

    async def matting(self, image: Image, *, model: str = "matting") -> NDArray[np.uint8]:
        """The people without their background, u8 [h, w, 4]: red, green and blue times alpha, and alpha.

        >>> matte = await client.matting("street.jpg")
        """
        return await self._infer(inference.single_output(image, "MATTE", model, ("matting",)))

    async def keypoint_set(self, model: str = "pose") -> KeypointSet:
        """The keypoint set of an ensemble: names, skeleton and colours of its K keypoints.

        RequestError also for a model without keypoints; InputError for a set that this version does not know.

        >>> names = (await client.keypoint_set("pose")).names
        """
        return keypoint_set(await self._run(exchange.keypoint_set(model, self._descriptions)))

    async def class_set(self, model: str = "parts") -> ClassSet:
        """The class set of an ensemble: names and colours of the class ids in its mask.

        RequestError also for a model without a mask; InputError for a set that this version does not know.

        >>> names = (await client.class_set("parts")).names
        """
        return class_set(await self._run(exchange.class_set(model, self._descriptions)))

    async def max_boxes(self) -> int:
        """Most boxes that a request may have, whichever network it is for.

        >>> people = await client.pose_in_boxes("street.jpg", boxes[: await client.max_boxes()])
        """
        return protocol.max_boxes(await self._describe("crop_people"))

    async def is_ready(self) -> bool:
        """Whether the server answers and all its models are ready; False where it cannot be reached, no error.

        >>> await client.is_ready()
        True
        """
        try:
            return await self._connection.is_ready()
        except RequestError:
            return False

    @cached_property
    def _connection(self) -> AsyncConnection:
        # Made at first use, because it belongs to the event loop that runs at that moment.
        return connect(self._endpoint)

    async def _infer(self, request: InferRequest[Result]) -> Result:
        encoded = await asyncio.to_thread(encode_image, request.image)
        return await self._run(exchange.infer(request, self._endpoint.api, encoded, self._descriptions))

    async def _describe(self, model: str) -> ModelDescription:
        return await self._run(exchange.describe(model, self._descriptions))

    async def _run(self, calls: Calls[Result]) -> Result:
        """Make the calls, one after the other."""
        try:
            call = next(calls)
            while True:
                try:
                    answer = await getattr(self._connection, call.method)(**call.arguments)
                except RequestError as error:
                    call = calls.throw(error)
                else:
                    call = calls.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result

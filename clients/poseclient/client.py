"""The blocking client."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from poseclient import exchange, inference, protocol
from poseclient.connections import Connection, connect
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


class PoseClient:
    """Talks to one server; safe to share between threads.

    url: `grpc://host:port` or `http://host:port`, with `grpcs` or `https` for TLS; InputError for anything else.
    timeout: seconds for one request.

    In the methods, `image` is a path, encoded bytes or a binary file (sent as they are), or pixels u8 [h, w, 3] RGB or
    [h, w] grey or an image of Pillow, and `model` names another ensemble with the same tensors, as `pose.NETWORK`.
    Boxes and keypoints are in pixels of the image as a viewer shows it. Methods that find people take the options
    `score_threshold`, `nms_iou` and `max_people`, those that find poses `oks_nms` too; the server has defaults for
    them.

    Every method raises RequestError when the server refuses or cannot be reached; those that take an image raise
    InputError for pixels of another type or shape, OSError for a file that cannot be read, and TypeError for an unknown
    option.

    >>> with PoseClient("grpc://127.0.0.1:8001") as client:
    ...     people = client.pose("street.jpg", score_threshold=0.4)
    """

    def __init__(self, url: str = protocol.DEFAULT_URL, timeout: float = 60.0) -> None:
        self._endpoint = protocol.Endpoint(url, timeout)
        self._descriptions: dict[str, ModelDescription] = {}
        self._connection: Connection = self._connect()
        # At the latest when the program ends: a request in flight must not be cancelled (see `connections.ABANDONED`).
        self._close = weakref.finalize(self, self._connection.close)

    def __enter__(self) -> PoseClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of this client.

        Over gRPC it first waits for requests that were given up: Triton 2.51 may end when one is cancelled.

        >>> client.close()
        """
        self._close()

    def detect(self, image: Image, *, model: str = "detect", **options: Unpack[DetectionOptions]) -> People:
        """Find people: `boxes` f32 [n, 4], `scores` f32 [n], best first; no keypoints.

        >>> people = client.detect("street.jpg", score_threshold=0.5, max_people=10)
        """
        return self._infer(inference.detect(image, model, options))

    def pose(self, image: Image, *, model: str = "pose", **options: Unpack[PoseOptions]) -> PosedPeople:
        """Find people and their keypoints: what `detect` gives, `keypoints` f32 [n, K, 3], `pose_scores` f32 [n].

        RequestError also for a model without keypoints.

        >>> people = client.pose("street.jpg", oks_nms=0.9)
        """
        return self._infer(inference.pose(image, model, options))

    def people(self, image: Image, *, model: str = "people", **options: Unpack[PoseOptions]) -> PosedPeople:
        """Find people, keypoints and body parts in one request: what `pose` gives, and `mask` u8 [h, w].

        `instance_ids` u8 [h, w] are there where the network sees people one by one. RequestError also for a model
        without keypoints or mask.

        >>> people = client.people("street.jpg", max_people=20)
        """
        return self._infer(inference.people(image, model, options))

    def pose_in_boxes(
        self, image: Image, boxes: ArrayLike, *, model: str = "pose_in_boxes", oks_nms: float | None = None
    ) -> PosedPeople:
        """Keypoints f32 [n, K, 3] of the people in your boxes, [n, 4] x1, y1, x2, y2 in image pixels.

        The result has the boxes in your order with scores of 1, without those that `oks_nms` dropped. InputError for
        boxes of another shape; RequestError also for more than `max_boxes`, and for one that misses the image.

        >>> people = client.pose_in_boxes("street.jpg", [[10, 20, 110, 320]])
        """
        return self._infer(inference.pose_in_boxes(image, boxes, model, {"oks_nms": oks_nms}))

    def pose_of_image(self, image: Image, *, model: str = "pose_of_image") -> PosedPeople:
        """Keypoints f32 [1, K, 3] of the one person whom the whole image shows, which is the box.

        >>> person = client.pose_of_image("portrait.jpg")
        """
        return self._infer(inference.pose_of_image(image, model))

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
    ) -> Iterator[TrackedFrame]:
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

        >>> ids = [result.people.track_ids for result in client.track("walk.mp4", detect_every=5)]
        """
        from poseclient.aio import AsyncPoseClient
        from poseclient.video.track import track_blocking  # not for those who have no videos

        return track_blocking(
            AsyncPoseClient(self._endpoint.url, self._endpoint.timeout),
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

    def parts(self, image: Image, *, model: str = "parts", **options: Unpack[DetectionOptions]) -> NDArray[np.uint8]:
        """The class id of every pixel, u8 [h, w], 0 is background; `class_set` explains the ids.

        The options count where people are found first, as in `parts_of_people`.

        >>> mask = client.parts("street.jpg", model="parts_of_people")
        """
        return self._infer(inference.single_output(image, "MASK", model, inference.MASK_ENSEMBLES, options))

    def depth(
        self, image: Image, *, of_people: bool = False, model: str = "depth", **options: Unpack[DetectionOptions]
    ) -> NDArray[np.float16]:
        """Relative depth, f16 [h, w]: smaller is nearer, scale and shift are unknown. of_people: NaN elsewhere.

        >>> depth = client.depth("street.jpg", of_people=True)
        """
        name = "DEPTH_OF_PEOPLE" if of_people else "DEPTH"
        return self._infer(inference.single_output(image, name, model, ("depth",), options))

    def normals(
        self, image: Image, *, of_people: bool = False, model: str = "normals", **options: Unpack[DetectionOptions]
    ) -> NDArray[np.float16]:
        """Surface normals, unit vectors f16 [h, w, 3]. of_people: NaN elsewhere.

        >>> normals = client.normals("street.jpg")
        """
        name = "NORMALS_OF_PEOPLE" if of_people else "NORMALS"
        return self._infer(inference.single_output(image, name, model, ("normals",), options))

    def features(
        self, image: Image, *, pooled: bool = False, model: str = "features"
    ) -> NDArray[np.float16 | np.float32]:
        """The encoder's features of the whole image, f16 [C, h, w]; pooled: their mean over the image, f32 [C].

        >>> vector = client.features("street.jpg", pooled=True)
        """
        name = "POOLED" if pooled else "FEATURES"
        return self._infer(inference.single_output(image, name, model, ("features",)))

    def pointmap(self, image: Image, *, model: str = "pointmap") -> NDArray[np.float32]:
        """The point in space of every pixel, f32 [h, w, 3], metres from the camera.

        >>> points = client.pointmap("street.jpg")
        """
        return self._infer(inference.single_output(image, "POINTS", model, ("pointmap",)))

    def matting(self, image: Image, *, model: str = "matting") -> NDArray[np.uint8]:
        """The people without their background, u8 [h, w, 4]: red, green and blue times alpha, and alpha.

        >>> matte = client.matting("street.jpg")
        """
        return self._infer(inference.single_output(image, "MATTE", model, ("matting",)))

    def keypoint_set(self, model: str = "pose") -> KeypointSet:
        """The keypoint set of an ensemble: names, skeleton and colours of its K keypoints.

        RequestError also for a model without keypoints; InputError for a set that this version does not know.

        >>> names = client.keypoint_set("pose").names
        """
        return keypoint_set(self._run(exchange.keypoint_set(model, self._descriptions)))

    def class_set(self, model: str = "parts") -> ClassSet:
        """The class set of an ensemble: names and colours of the class ids in its mask.

        RequestError also for a model without a mask; InputError for a set that this version does not know.

        >>> names = client.class_set("parts").names
        """
        return class_set(self._run(exchange.class_set(model, self._descriptions)))

    def max_boxes(self) -> int:
        """Most boxes that a request may have, whichever network it is for.

        >>> people = client.pose_in_boxes("street.jpg", boxes[: client.max_boxes()])
        """
        return protocol.max_boxes(self._describe("crop_people"))

    def is_ready(self) -> bool:
        """Whether the server answers and all its models are ready; False where it cannot be reached, no error.

        >>> client.is_ready()
        True
        """
        try:
            return self._connection.is_ready()
        except RequestError:
            return False

    def _connect(self) -> Any:
        return connect(self._endpoint)

    def _infer(self, request: InferRequest[Result]) -> Result:
        encoded = encode_image(request.image)
        return self._run(exchange.infer(request, self._endpoint.api, encoded, self._descriptions))

    def _describe(self, model: str) -> ModelDescription:
        return self._run(exchange.describe(model, self._descriptions))

    def _run(self, calls: Calls[Result]) -> Result:
        """Make the calls, one after the other."""
        try:
            call = next(calls)
            while True:
                try:
                    answer = getattr(self._connection, call.method)(**call.arguments)
                except RequestError as error:
                    call = calls.throw(error)
                else:
                    call = calls.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result

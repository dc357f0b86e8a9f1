"""The commands of `poseclient` for images, one row each in IMAGE_COMMANDS: what to request, write and draw."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from poseclient import files
from poseclient.aio import AsyncPoseClient
from poseclient.draw import draw_depth, draw_normals, draw_parts, draw_people, parts_legend
from poseclient.files import OutputFiles
from poseclient.images import write_image
from poseclient.inference import Result
from poseclient.keypoints import ClassSet, class_set
from poseclient.people import People

Flags = Mapping[str, dict[str, Any]]  # flag of the command line -> arguments of argparse
DETECTION_FLAGS: Flags = {
    "--score-threshold": {"type": float, "help": "least score of a person, 0..1"},
    "--nms-iou": {"type": float, "help": "most overlap of two people's boxes, 0..1"},
    "--max-people": {"type": int, "help": "most people of one image"},
}
POSE_FLAGS: Flags = {
    **DETECTION_FLAGS,
    "--oks-nms": {"type": float, "help": "most similarity (OKS) of two people's poses, 0..1"},
}
OF_PEOPLE: Flags = {"--of-people": {"action": "store_true", "help": "nothing where the background is"}}
WHOLE_IMAGE: Flags = {"--whole-image": {"action": "store_true", "help": "one person fills each image: find nobody"}}
POOLED: Flags = {"--pooled": {"action": "store_true", "help": "one vector for the whole image"}}
IDS: Flags = {
    "--ids": {"choices": ["uint8", "int64"], "default": "uint8", "help": "class ids in Sapiens' files (%(default)s)"}
}
OVERLAY: Flags = {
    "--no-overlay": {"dest": "overlay", "action": "store_false", "help": "draw no pictures"},
    "--side-by-side": {"action": "store_true", "help": "pictures show the image, too, on the left"},
}


@dataclass(frozen=True)
class ImageCommand(Generic[Result]):
    """A command, whose result for one image is a Result.

    request: gets the result from client, encoded image, and options by their names. request_flags: those options.
    formats: writers of a result by the name of the format, the first is the default. draw: a picture u8 [h, w, 3] of
    image and result, where there is one. format_flags: options of the formats.
    """

    help: str
    request: Callable[..., Awaitable[Result]]
    request_flags: Flags
    formats: Mapping[str, Callable[[OutputFiles, Result], None]]
    draw: Callable[[NDArray[np.uint8], Result], NDArray[np.uint8]] | None = None
    format_flags: Flags = field(default_factory=dict)

    @property
    def finds_people(self) -> bool:
        """Whether its results are People."""
        return "coco" in self.formats

    @property
    def flags(self) -> Flags:
        """All flags of this command alone."""
        choices = list(self.formats)
        format_flag = {"--format": {"choices": choices, "default": choices[0], "help": "of the files (%(default)s)"}}
        return {**self.request_flags, **format_flag, **self.format_flags, **(OVERLAY if self.draw else {})}

    async def result(self, client: AsyncPoseClient, data: bytes, args: Namespace) -> Result:
        """The server's result for one encoded image."""
        names = ["model", *(flag.removeprefix("--").replace("-", "_") for flag in self.request_flags)]
        options = {name: value for name in names if (value := getattr(args, name)) is not None}
        return await self.request(client, data, **options)

    def write(self, output: OutputFiles, result: Result) -> None:
        """The picture of one image as `<name>_overlay.jpg`, and the files of its result."""
        if self.draw and output.args.overlay:
            picture = self.draw(output.image, result)
            if output.args.side_by_side:
                picture = np.hstack([output.image, picture])
            write_image(output.named("_overlay.jpg"), picture)
        self.formats[output.args.format](output, result)


async def _request_pose(client: AsyncPoseClient, data: bytes, *, whole_image: bool, **options: Any) -> People:
    if whole_image:
        return await client.pose_of_image(data, **{name: options[name] for name in options if name == "model"})
    return await client.pose(data, **options)


async def _request_parts(client: AsyncPoseClient, data: bytes, **options: Any) -> tuple[NDArray[np.uint8], ClassSet]:
    mask = await client.parts(data, **options)
    return mask, await client.class_set(options.get("model", "parts"))


def _draw_parts(image: NDArray[np.uint8], parts: tuple[NDArray[np.uint8], ClassSet]) -> NDArray[np.uint8]:
    return np.hstack([draw_parts(image, *parts), parts_legend(*parts)])


def _draw_people_and_parts(image: NDArray[np.uint8], people: People) -> NDArray[np.uint8]:
    assert people.mask is not None
    classes = class_set(people.class_set or "")
    picture = draw_people(draw_parts(image, people.mask, classes), people)
    return np.hstack([picture, parts_legend(people.mask, classes)])


IMAGE_COMMANDS: dict[str, ImageCommand[Any]] = {
    "detect": ImageCommand(
        "boxes of people", AsyncPoseClient.detect, DETECTION_FLAGS, {"coco": files.write_coco}, draw_people
    ),
    "pose": ImageCommand(
        "boxes and keypoints of people",
        _request_pose,
        {**POSE_FLAGS, **WHOLE_IMAGE},
        {
            "coco": files.write_coco,
            "sapiens": files.write_sapiens_pose,
            "easy_vitpose": files.write_easy_vitpose,
            "openpose": files.write_openpose,
        },
        draw_people,
    ),
    "parts": ImageCommand(
        "class id of every pixel",
        _request_parts,
        DETECTION_FLAGS,
        {"png": files.write_parts_png, "sapiens": files.write_sapiens_parts},
        _draw_parts,
        IDS,
    ),
    "people": ImageCommand(
        "boxes, keypoints and body parts of people",
        AsyncPoseClient.people,
        POSE_FLAGS,
        {"coco": files.write_coco},
        _draw_people_and_parts,
    ),
    "depth": ImageCommand(
        "relative depth of every pixel",
        AsyncPoseClient.depth,
        {**DETECTION_FLAGS, **OF_PEOPLE},
        {"png": files.write_depth_png, "sapiens": files.write_array},
        lambda _, depth: draw_depth(depth),
    ),
    "normals": ImageCommand(
        "surface normal of every pixel",
        AsyncPoseClient.normals,
        {**DETECTION_FLAGS, **OF_PEOPLE},
        {"png": files.write_normals_png, "sapiens": files.write_array},
        lambda _, normals: draw_normals(normals),
    ),
    "features": ImageCommand("features of the image", AsyncPoseClient.features, POOLED, {"sapiens": files.write_array}),
    "pointmap": ImageCommand("point in space of every pixel", AsyncPoseClient.pointmap, {}, {"npy": files.write_array}),
    "matting": ImageCommand("people without background", AsyncPoseClient.matting, {}, {"png": files.write_matte_png}),
}

"""The commands of `poseclient`, one row each in COMMANDS: what to ask, how to write the answer, what to draw."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from poseclient import files
from poseclient.aio import AsyncPoseClient
from poseclient.draw import draw_depth, draw_normals, draw_parts, draw_people, parts_legend
from poseclient.files import Target
from poseclient.images import write_image
from poseclient.keypoints import ClassSet, class_set
from poseclient.people import People

Options = Mapping[str, dict[str, Any]]  # flag -> arguments of argparse
LIMITS: Options = {
    "--score-threshold": {"type": float, "help": "least score of a person, 0..1"},
    "--nms-iou": {"type": float, "help": "most overlap of two people's boxes, 0..1"},
    "--max-people": {"type": int, "help": "most people of one image"},
}
OKS_NMS: Options = {"--oks-nms": {"type": float, "help": "most likeness (OKS) of two people's poses, 0..1"}}
OF_PEOPLE: Options = {"--of-people": {"action": "store_true", "help": "nothing where the background is"}}
WHOLE_IMAGE: Options = {"--whole-image": {"action": "store_true", "help": "one person fills each image: find nobody"}}
POOLED: Options = {"--pooled": {"action": "store_true", "help": "one vector for the whole image"}}
IDS: Options = {
    "--ids": {"choices": ["uint8", "int64"], "default": "uint8", "help": "class ids in Sapiens' files (%(default)s)"}
}
PICTURES: Options = {
    "--no-overlay": {"dest": "overlay", "action": "store_false", "help": "draw no pictures"},
    "--side-by-side": {"action": "store_true", "help": "pictures show the image, too, on the left"},
}

Ask = Callable[..., Awaitable[Any]]  # client, encoded image, options by their names
Write = Callable[[Target, Any], None]
Draw = Callable[[np.ndarray, Any], np.ndarray]


@dataclass(frozen=True)
class Command:
    """ask: gets the answer for one image. asks: the options that are passed to it.

    formats: ways to write an answer, the first is the default. draw: a picture u8 [h, w, 3] of image and answer, where
    there is one. writes: options that the formats know.
    """

    help: str
    ask: Ask
    asks: Options
    formats: Mapping[str, Write]
    draw: Draw | None = None
    writes: Options = field(default_factory=dict)

    @property
    def finds_people(self) -> bool:
        """Whether its answers are People."""
        return "coco" in self.formats

    @property
    def options(self) -> Options:
        """All options of this command alone."""
        choices = list(self.formats)
        layout = {"--format": {"choices": choices, "default": choices[0], "help": "of the files (%(default)s)"}}
        return {**self.asks, **layout, **self.writes, **(PICTURES if self.draw else {})}

    async def answer(self, client: AsyncPoseClient, data: bytes, given: Namespace) -> Any:
        """The server's answer for one encoded image."""
        names = ["model", *(flag.removeprefix("--").replace("-", "_") for flag in self.asks)]
        return await self.ask(client, data, **{name: v for name in names if (v := getattr(given, name)) is not None})

    def write(self, target: Target, answer: Any) -> None:
        """The picture of one image as `<name>_overlay.jpg`, and the files of its answer."""
        if self.draw and target.options.overlay:
            picture = self.draw(target.image, answer)
            if target.options.side_by_side:
                picture = np.hstack([target.image, picture])
            write_image(target.named("_overlay.jpg"), picture)
        self.formats[target.options.format](target, answer)


async def _ask_pose(client: AsyncPoseClient, data: bytes, *, whole_image: bool, **options: Any) -> People:
    if whole_image:
        return await client.pose_of_image(data, **{name: options[name] for name in options if name == "model"})
    return await client.pose(data, **options)


async def _ask_parts(client: AsyncPoseClient, data: bytes, **options: Any) -> tuple[np.ndarray, ClassSet]:
    mask = await client.parts(data, **options)
    return mask, await client.class_set(options.get("model", "parts"))


def _draw_parts(image: np.ndarray, parts: tuple[np.ndarray, ClassSet]) -> np.ndarray:
    return np.hstack([draw_parts(image, *parts), parts_legend(*parts)])


def _draw_people_and_parts(image: np.ndarray, people: People) -> np.ndarray:
    assert people.mask is not None
    classes = class_set(people.class_set or "")
    picture = draw_people(draw_parts(image, people.mask, classes), people)
    return np.hstack([picture, parts_legend(people.mask, classes)])


COMMANDS: dict[str, Command] = {
    "detect": Command("boxes of people", AsyncPoseClient.detect, LIMITS, {"coco": files.write_coco}, draw_people),
    "pose": Command(
        "boxes and keypoints of people",
        _ask_pose,
        {**LIMITS, **OKS_NMS, **WHOLE_IMAGE},
        {
            "coco": files.write_coco,
            "sapiens": files.write_sapiens_pose,
            "easy_vitpose": files.write_easy_vitpose,
            "openpose": files.write_openpose,
        },
        draw_people,
    ),
    "parts": Command(
        "class id of every pixel",
        _ask_parts,
        LIMITS,
        {"png": files.write_parts_png, "sapiens": files.write_sapiens_parts},
        _draw_parts,
        IDS,
    ),
    "people": Command(
        "boxes, keypoints and body parts of people",
        AsyncPoseClient.people,
        {**LIMITS, **OKS_NMS},
        {"coco": files.write_coco},
        _draw_people_and_parts,
    ),
    "depth": Command(
        "relative depth of every pixel",
        AsyncPoseClient.depth,
        {**LIMITS, **OF_PEOPLE},
        {"png": files.write_depth_png, "sapiens": files.write_array},
        lambda _, depth: draw_depth(depth),
    ),
    "normals": Command(
        "surface normal of every pixel",
        AsyncPoseClient.normals,
        {**LIMITS, **OF_PEOPLE},
        {"png": files.write_normals_png, "sapiens": files.write_array},
        lambda _, normals: draw_normals(normals),
    ),
    "features": Command("features of the image", AsyncPoseClient.features, POOLED, {"sapiens": files.write_array}),
    "pointmap": Command("point in space of every pixel", AsyncPoseClient.pointmap, {}, {"npy": files.write_array}),
    "matting": Command("people without background", AsyncPoseClient.matting, {}, {"png": files.write_matte_png}),
}

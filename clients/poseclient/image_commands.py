"""The commands of `poseclient` for images, one row each in IMAGE_COMMANDS: what to request, write and draw.

The table names functions of `files` and `draw`, and methods of the client, so that `--help` need not import them.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poseclient.aio import AsyncPoseClient
    from poseclient.files import OutputFiles

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


OPENPOSE_SETS = ("coco_17", "coco_wholebody_133")


@dataclass(frozen=True)
class Format:
    """A format of files.

    write: the function of `files` that writes a result. endings: of the files that it makes for an image. lists: of
    all images together. keypoint_sets: those that it can hold, where not all of them.
    """

    write: str
    endings: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    keypoint_sets: tuple[str, ...] = ()


COCO_LISTS = ("results.json", "images.json")
OVERLAY_ENDING = "_overlay.jpg"


@dataclass(frozen=True)
class ImageCommand:
    """A command.

    method: of AsyncPoseClient, gets the result from an encoded image and the options by their names. request_flags:
    those options. formats: of the files by name, the first is the default. draw: the function of `pictures` that draws
    image and result, where there is one. format_flags: options of the formats.
    """

    help: str
    method: str
    request_flags: Flags
    formats: Mapping[str, Format]
    draw: str | None = None
    format_flags: Flags = field(default_factory=dict)

    @property
    def finds_people(self) -> bool:
        """Whether its results are People."""
        return "coco" in self.formats

    @property
    def has_keypoints(self) -> bool:
        """Whether its People have keypoints."""
        return "--oks-nms" in self.request_flags

    @property
    def has_classes(self) -> bool:
        """Whether its results have class ids."""
        return self.method in ("parts", "people")

    @property
    def flags(self) -> Flags:
        """All flags of this command alone."""
        choices = list(self.formats)
        format_flag = {"--format": {"choices": choices, "default": choices[0], "help": "of the files (%(default)s)"}}
        return {**self.request_flags, **format_flag, **self.format_flags, **(OVERLAY if self.draw else {})}

    def model(self, args: Namespace) -> str:
        """The ensemble that is asked."""
        name: str = args.model or self._method(args)
        return name

    def options(self, args: Namespace) -> dict[str, Any]:
        """What the command line asks of the server, by the names of the client's arguments."""
        names = ["model", *(flag.removeprefix("--").replace("-", "_") for flag in self.request_flags)]
        if self._method(args) == "pose_of_image":
            names = ["model"]
        return {name: value for name in names if (value := getattr(args, name)) is not None and name != "whole_image"}

    async def result(self, client: AsyncPoseClient, data: bytes, args: Namespace) -> Any:
        """The server's result for one encoded image."""
        result = await getattr(client, self._method(args))(data, **self.options(args))
        return (result, await client.class_set(self.model(args))) if self.method == "parts" else result

    def endings(self, args: Namespace) -> tuple[str, ...]:
        """Of the files that it writes for an image."""
        return (*((OVERLAY_ENDING,) if self.draws(args) else ()), *self.formats[args.format].endings)

    def draws(self, args: Namespace) -> bool:
        """Whether it draws pictures."""
        return self.draw is not None and args.overlay

    def write(self, output: OutputFiles, result: Any) -> Any:
        """The picture of one image, and the files of its result; what they put into the lists of all images."""
        from poseclient import files, pictures

        if self.draw and self.draws(output.args):
            picture = getattr(pictures, self.draw)(output.image, result)
            if output.args.side_by_side:
                picture = pictures.side_by_side(output.image, picture)
            output.write_image(OVERLAY_ENDING, picture)
        return getattr(files, self.formats[output.args.format].write)(output, result)

    def _method(self, args: Namespace) -> str:
        return "pose_of_image" if getattr(args, "whole_image", False) else self.method


COCO = Format("write_coco", lists=COCO_LISTS)
ARRAY = Format("write_array", (".npy",))

IMAGE_COMMANDS: dict[str, ImageCommand] = {
    "detect": ImageCommand("boxes of people", "detect", DETECTION_FLAGS, {"coco": COCO}, "draw_people"),
    "pose": ImageCommand(
        "boxes and keypoints of people",
        "pose",
        {**POSE_FLAGS, **WHOLE_IMAGE},
        {
            "coco": COCO,
            "sapiens": Format("write_sapiens_pose", (".json",)),
            "easy_vitpose": Format("write_easy_vitpose", (".json",)),
            "openpose": Format("write_openpose", ("_keypoints.json", "_openpose.png"), keypoint_sets=OPENPOSE_SETS),
        },
        "draw_people",
    ),
    "parts": ImageCommand(
        "class id of every pixel",
        "parts",
        DETECTION_FLAGS,
        {
            "png": Format("write_parts_png", ("_parts.png",)),
            "sapiens": Format("write_sapiens_parts", (".npy", "_seg.npy")),
        },
        "draw_parts",
        IDS,
    ),
    "people": ImageCommand(
        "boxes, keypoints and body parts of people",
        "people",
        POSE_FLAGS,
        {"coco": Format("write_coco", ("_panoptic.png",), (*COCO_LISTS, "panoptic.json"))},
        "draw_people_and_parts",
    ),
    "depth": ImageCommand(
        "relative depth of every pixel",
        "depth",
        {**DETECTION_FLAGS, **OF_PEOPLE},
        {"png": Format("write_depth_png", ("_depth.png", "_depth.json")), "sapiens": ARRAY},
        "draw_depth",
    ),
    "normals": ImageCommand(
        "surface normal of every pixel",
        "normals",
        {**DETECTION_FLAGS, **OF_PEOPLE},
        {"png": Format("write_normals_png", ("_normals.png",)), "sapiens": ARRAY},
        "draw_normals",
    ),
    "features": ImageCommand("features of the image", "features", POOLED, {"sapiens": ARRAY}),
    "pointmap": ImageCommand("point in space of every pixel", "pointmap", {}, {"npy": ARRAY}),
    "matting": ImageCommand(
        "people without background", "matting", {}, {"png": Format("write_matte_png", ("_matte.png",))}
    ),
}

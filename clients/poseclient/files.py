"""What the command line writes: files for each image, named after it, and COCO's lists of all images."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseclient import formats
from poseclient.draw import draw_normals
from poseclient.images import decode_image, write_image
from poseclient.keypoints import ClassSet, class_set
from poseclient.openpose import draw_openpose
from poseclient.people import People

PANOPTIC = "_panoptic.png"


@dataclass
class CocoFiles:
    """COCO's files for a whole run, by image id; `write` sorts by it, whatever the order of the responses."""

    images: dict[int, str] = field(default_factory=dict)
    results: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    segments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    categories: list[dict[str, Any]] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """`results.json` and `images.json`, and `panoptic.json` of people with instance ids."""
        images = [{"id": i, "file_name": name} for i, name in sorted(self.images.items())]
        write_json(folder / "images.json", images)
        write_json(folder / "results.json", [row for _, rows in sorted(self.results.items()) for row in rows])
        if self.segments:
            annotations = [
                {"image_id": i, "file_name": self.images[i] + PANOPTIC, "segments_info": segments}
                for i, segments in sorted(self.segments.items())
            ]
            panoptic = {"images": images, "annotations": annotations, "categories": self.categories}
            write_json(folder / "panoptic.json", panoptic)


@dataclass(frozen=True)
class OutputFiles:
    """Where and how the result for one image is written.

    name: begins the names of its files. stem: begins those of Sapiens' format. data: the encoded image. args: of the
    command line, `out` and `ids` among them.
    """

    image_id: int
    name: str
    stem: str
    data: bytes
    args: Namespace
    coco: CocoFiles

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The image, u8 [h, w, 3] RGB; InputError when OpenCV cannot decode it."""
        return decode_image(self.data)

    def named(self, ending: str) -> Path:
        """The file `<name><ending>`; its folder exists."""
        return self._file(self.name + ending)

    def short(self, ending: str) -> Path:
        """The file `<stem><ending>`; its folder exists."""
        return self._file(self.stem + ending)

    def _file(self, name: str) -> Path:
        path: Path = self.args.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def file_stems(names: Iterable[str]) -> dict[str, str]:
    """The names without suffixes, as Sapiens names its files; with it where files of two images would share a name."""
    short = {name: PurePosixPath(name).with_suffix("").as_posix() for name in names}
    claims = {name: {part + ending for part in (name, stem) for ending in ("", "_seg")} for name, stem in short.items()}
    counts = Counter(claim for own in claims.values() for claim in own)
    return {name: name if counts[stem] + counts[stem + "_seg"] > 2 else stem for name, stem in short.items()}


def write_json(path: Path, value: Any) -> None:
    """One JSON file in UTF-8."""
    path.write_text(json.dumps(value), encoding="utf-8")


def write_coco(files: OutputFiles, people: People) -> None:
    """Into COCO's lists; for people with instance ids also `<name>_panoptic.png`."""
    coco, image_id = files.coco, files.image_id
    coco.results[image_id] = formats.coco_results(people, image_id)
    coco.images[image_id] = files.name
    if people.instance_ids is not None:
        pixels, coco.segments[image_id] = formats.coco_panoptic(people)
        coco.categories = formats.coco_categories(class_set(people.class_set or ""))
        write_image(files.named(PANOPTIC), pixels)


def write_sapiens_pose(files: OutputFiles, people: People) -> None:
    """`<stem>.json` of Sapiens."""
    write_json(files.short(".json"), formats.sapiens_json(people))


def write_easy_vitpose(files: OutputFiles, people: People) -> None:
    """`<name>.json` of easy_ViTPose, a list of one frame."""
    write_json(files.named(".json"), formats.easy_vitpose_json([people]))


def write_openpose(files: OutputFiles, people: People) -> None:
    """OpenPose's `<name>_keypoints.json`, and the skeletons on black as `<name>_openpose.png`."""
    write_json(files.named("_keypoints.json"), formats.openpose_json(people))
    height, width = files.image.shape[:2]
    write_image(files.named("_openpose.png"), draw_openpose((height, width), people))


def write_parts_png(files: OutputFiles, parts: tuple[NDArray[np.uint8], ClassSet]) -> None:
    """The class ids as `<name>_parts.png`."""
    write_image(files.named("_parts.png"), parts[0])


def write_sapiens_parts(files: OutputFiles, parts: tuple[NDArray[np.uint8], ClassSet]) -> None:
    """Sapiens' `<stem>.npy`, bool [h, w], true on people, and `<stem>_seg.npy`, class ids in the type `args.ids`."""
    mask = parts[0]
    np.save(files.short(".npy"), mask > 0)
    np.save(files.short("_seg.npy"), mask.astype(files.args.ids))


def write_depth_png(files: OutputFiles, depth: NDArray[np.float16]) -> None:
    """`<name>_depth.png`, 16 bits, and its range in `<name>_depth.json`; see `depth_levels`."""
    levels, limits = formats.depth_levels(depth)
    write_image(files.named("_depth.png"), levels)
    write_json(files.named("_depth.json"), limits)


def write_normals_png(files: OutputFiles, normals: NDArray[np.float16]) -> None:
    """The colours of the normals as `<name>_normals.png`."""
    write_image(files.named("_normals.png"), draw_normals(normals))


def write_array(files: OutputFiles, values: NDArray[np.floating[Any]]) -> None:
    """`<stem>.npy` in f32, whatever the server's type, as Sapiens has it."""
    np.save(files.short(".npy"), values.astype(np.float32))


def write_matte_png(files: OutputFiles, matte: NDArray[np.uint8]) -> None:
    """`<name>_matte.png`, RGB and alpha."""
    write_image(files.named("_matte.png"), formats.straight_alpha(matte))

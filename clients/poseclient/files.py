"""What the command line writes: files for each image, named after it, and COCO's lists of all images."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseclient import formats, images
from poseclient.draw import draw_normals
from poseclient.errors import InputError
from poseclient.headers import read_header
from poseclient.images import decode_image
from poseclient.keypoints import ClassSet, KeypointSet
from poseclient.openpose import draw_openpose
from poseclient.people import People

PANOPTIC = "_panoptic.png"


@dataclass(frozen=True)
class OutputFiles:
    """Where and how the result for one image is written: all names begin with the whole name of the image.

    data: the encoded image. args: of the command line, `out` and `ids` among them.
    """

    name: str
    data: bytes
    args: Namespace

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The image, u8 [h, w, 3] RGB; InputError when it cannot be decoded."""
        return decode_image(self.data)

    @contextmanager
    def whole(self, ending: str) -> Iterator[Path]:
        """Where to write the file `<name><ending>`, which appears when it is whole; its folder exists."""
        path: Path = self.args.out / (self.name + ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            yield part

    def write_json(self, ending: str, value: Any) -> None:
        """The file `<name><ending>` of JSON."""
        with self.whole(ending) as part:
            part.write_text(json.dumps(value), encoding="utf-8")

    def write_image(self, ending: str, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
        """The file `<name><ending>` in the format of the ending."""
        with self.whole(ending) as part:
            images.write_image(part, image)

    def write_array(self, ending: str, array: NDArray[Any]) -> None:
        """The file `<name><ending>`, a `.npy`."""
        with self.whole(ending) as part:
            np.save(part, array)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file beside `path` with the same suffix, which takes its place at the end, unless something was raised."""
    part = path.with_name(f".part-{path.name}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def make_folder(out: Path) -> None:
    """Make the folder of the results; InputError says why files cannot be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".part-probe"
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise InputError(f"--out {out} is a file, must be a folder") from error
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror}") from error


def write_json(path: Path, value: Any) -> None:
    """One whole JSON file in UTF-8."""
    with whole_file(path) as part:
        part.write_text(json.dumps(value), encoding="utf-8")


def write_coco(files: OutputFiles, people: People) -> dict[str, Any]:
    """Their part of COCO's lists; for people with instance ids also `<name>_panoptic.png`."""
    entry: dict[str, Any] = {"size": _size(files, people), "results": formats.coco_results(people, 0)}
    if people.instance_ids is not None:
        pixels, entry["segments"] = formats.coco_panoptic(people)
        files.write_image(PANOPTIC, pixels)
    return entry


def write_lists(
    out: Path,
    names: Sequence[str],
    entries: Mapping[str, Any],
    keypoints: KeypointSet | None,
    classes: ClassSet | None,
) -> list[str]:
    """COCO's lists of the named images from what `write_coco` returned for each; the names of the files.

    `results.json` has the rows of all images. `images.json` is a dataset without annotations for it: `images` with id,
    file_name, width and height, and `categories` with the names of the keypoints and their skeleton. `panoptic.json` is
    there for people with instance ids. One entry is in memory at a time.
    """
    ids = {name: i for i, name in enumerate(names, 1)}
    heads = [_image_head(i, name, entries[name]["size"]) for name, i in ids.items()]
    person = formats.coco_person(keypoints)
    write_json(out / "images.json", {"images": heads, "annotations": [], "categories": [person]})
    rows = (row | {"image_id": i} for name, i in ids.items() for row in entries[name]["results"])
    with whole_file(out / "results.json") as part:
        _write_rows(part, rows, "[", "]")
    if classes is None or not any("segments" in entries[name] for name in names):
        return ["results.json", "images.json"]
    segments = (
        {"image_id": i, "file_name": name + PANOPTIC, "segments_info": entry["segments"]}
        for name, i in ids.items()
        if "segments" in (entry := entries[name])
    )
    rest = {"images": heads, "categories": formats.coco_categories(classes)}
    with whole_file(out / "panoptic.json") as part:
        _write_rows(part, segments, '{"annotations": [', "], " + json.dumps(rest)[1:])
    return ["results.json", "images.json", "panoptic.json"]


def _write_rows(path: Path, rows: Iterable[Any], start: str, end: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(start)
        for i, row in enumerate(rows):
            file.write((",\n" if i else "\n") + json.dumps(row))
        file.write(end)


def _image_head(image_id: int, name: str, size: Sequence[int] | None) -> dict[str, Any]:
    known = {"height": size[0], "width": size[1]} if size else {}
    return {"id": image_id, "file_name": name, **known}


def _size(files: OutputFiles, people: People) -> list[int] | None:
    """Height and width as the server saw the image; None where the client cannot tell."""
    if people.mask is not None:
        return list(people.mask.shape)
    header = read_header(files.data)
    if header:
        return list(header.shown)
    try:
        return list(files.image.shape[:2])
    except InputError:
        return None


def write_sapiens_pose(files: OutputFiles, people: People) -> None:
    """`<name>.json` of Sapiens."""
    files.write_json(".json", formats.sapiens_json(people))


def write_easy_vitpose(files: OutputFiles, people: People) -> None:
    """`<name>.json` of easy_ViTPose, a list of one frame; its keypoints are y, x, score."""
    files.write_json(".json", formats.easy_vitpose_json([people]))


def write_openpose(files: OutputFiles, people: People) -> None:
    """OpenPose's `<name>_keypoints.json`, and the skeletons on black as `<name>_openpose.png`."""
    files.write_json("_keypoints.json", formats.openpose_json(people))
    height, width = files.image.shape[:2]
    files.write_image("_openpose.png", draw_openpose((height, width), people))


def write_parts_png(files: OutputFiles, parts: tuple[NDArray[np.uint8], ClassSet]) -> None:
    """The class ids as `<name>_parts.png`."""
    files.write_image("_parts.png", parts[0])


def write_sapiens_parts(files: OutputFiles, parts: tuple[NDArray[np.uint8], ClassSet]) -> None:
    """Sapiens' `<name>.npy`, bool [h, w], true on people, and `<name>_seg.npy`, class ids in the type `args.ids`."""
    mask = parts[0]
    files.write_array(".npy", mask > 0)
    files.write_array("_seg.npy", mask.astype(files.args.ids))


def write_depth_png(files: OutputFiles, depth: NDArray[np.float16]) -> None:
    """`<name>_depth.png`, 16 bits, and its range in `<name>_depth.json`; see `depth_levels`."""
    levels, limits = formats.depth_levels(depth)
    files.write_image("_depth.png", levels)
    files.write_json("_depth.json", limits)


def write_normals_png(files: OutputFiles, normals: NDArray[np.float16]) -> None:
    """The colours of the normals as `<name>_normals.png`."""
    files.write_image("_normals.png", draw_normals(normals))


def write_array(files: OutputFiles, values: NDArray[np.floating[Any]]) -> None:
    """`<name>.npy` in f32, whatever the server's type, as Sapiens has it."""
    files.write_array(".npy", values.astype(np.float32))


def write_matte_png(files: OutputFiles, matte: NDArray[np.uint8]) -> None:
    """`<name>_matte.png`, RGB and alpha."""
    files.write_image("_matte.png", formats.straight_alpha(matte))

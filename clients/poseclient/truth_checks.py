"""Faults of ground truth that would give wrong figures: refused by name, or said, before the first request."""

from __future__ import annotations

import logging
import math
import posixpath
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from poseclient.errors import InputError
from poseclient.headers import read_header

LOGGER = logging.getLogger(__name__)
NAMED = 5  # of each fault; the others are counted

Row = Mapping[str, Any]  # of COCO's lists
Size = tuple[int, int]  # height, width


def refuse(fault: str, names: Iterable[object]) -> None:
    """InputError with the fault and the first names, when there are any."""
    if listed := name_some(names):
        raise InputError(f"{fault}: {listed}")


def warn(fault: str, names: Iterable[object]) -> None:
    """Say the fault and the first names, when there are any."""
    if listed := name_some(names):
        LOGGER.warning("warning: %s: %s", fault, listed)


def name_some(names: Iterable[object]) -> str:
    """The first names, and how many more there are."""
    listed = list(map(str, names))
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more


def check_images(images: Sequence[Row]) -> None:
    """InputError for COCO's `images` whose answers or annotations could be mixed up."""
    refuse("the id of an image must be an integer", (repr(r["id"]) for r in images if not _is_integer(r["id"])))
    refuse("two images have the same id", _repeated(row["id"] for row in images))
    refuse("two images have the same file_name", _repeated(posixpath.normpath(row["file_name"]) for row in images))


def check_annotations(rows: Sequence[Row], images: Sequence[Row], categories: Sequence[Row]) -> None:
    """InputError for annotations that cannot be judged; those that cannot count, or not as meant, are said."""
    sizes = {image["id"]: (image.get("height"), image.get("width")) for image in images}
    kinds = {category["id"] for category in categories}
    refuse("annotations without a bbox of four numbers", (_id(r) for r in rows if not _is_box(r.get("bbox"))))
    refuse("annotations without an area of 0 or more", (_id(r) for r in rows if not _is_number(r.get("area"), 0)))
    strangers = [row for row in rows if row["image_id"] not in sizes]
    if len(strangers) == len(rows):
        refuse("annotations of images that are not in the file", map(_id, strangers))
    warn("annotations of images that are not in the file are left out", map(_id, strangers))
    warn(
        "annotations of categories that are not in the file are left out",
        (_id(row) for row in rows if row["category_id"] not in kinds),
    )
    warn("ids of annotations repeat; each row counts", _repeated(row["id"] for row in rows if "id" in row))
    people = [row for row in rows if row["image_id"] in sizes and not row.get("iscrowd")]
    copies = set(_repeated(map(_content, people)))
    warn("the same annotation twice, of which one is never found", (_id(r) for r in people if _content(r) in copies))
    warn("boxes without an area, which are never found", (_id(row) for row in people if min(row["bbox"][2:]) <= 0))
    warn(
        "boxes outside of their images, which are never found",
        (_id(row) for row in people if _is_outside(row["bbox"], sizes[row["image_id"]])),
    )


def check_detections(rows: Sequence[Row]) -> None:
    """InputError for results whose box or score is no number, by their places in the list, from 0."""
    refuse("rows without a bbox of four numbers", (i for i, row in enumerate(rows) if not _is_box(row.get("bbox"))))
    refuse("rows whose score is no number", (i for i, row in enumerate(rows) if not _is_number(row["score"])))


def check_labelled(rows: Sequence[Row], keys: Sequence[str]) -> None:
    """InputError for people with labelled keypoints whose area is 0, or whose keypoints of `keys` are no numbers."""
    people = [row for row in rows if not row.get("iscrowd")]
    refuse("labelled keypoints of people whose area is 0; OKS divides by it", (_id(r) for r in people if not r["area"]))
    broken = (_id(row) for row in people if not all(_is_number(value) for key in keys for value in row[key]))
    refuse("keypoints that are no numbers", broken)


def check_files(expected: Iterable[tuple[Path, Size | None]]) -> None:
    """InputError for images that are missing or of another size than their ground truth; None is unknown.

    A server sees an image as a viewer shows it. Where an EXIF orientation keeps the size, or the size is unknown, only
    a person can tell whether the ground truth is about the image as shown: that is said.
    """
    missing: list[Path] = []
    turned: list[str] = []
    other: list[str] = []
    unclear: list[str] = []
    for path, size in expected:
        if not path.is_file():
            missing.append(path)
        elif header := read_header(path):
            if size not in (None, header.shown):
                (turned if size == header.stored else other).append(
                    f"{path.name} ({_by(header.shown)}, not {_by(size)})"
                )
            elif header.orientation != 1 and (size is None or header.stored == header.shown):
                unclear.append(path.name)
    refuse("images that are missing", missing)
    refuse("ground truth of stored pixels, but the EXIF orientation turns these images", turned)
    refuse("images of another size than their ground truth", other)
    warn("images with an EXIF orientation; their ground truth must be about the image as a viewer shows it", unclear)


def _id(row: Row) -> object:
    return row.get("id", f"one of image {row.get('image_id')}")


def _by(size: Size | None) -> str:
    height, width = size or (0, 0)
    return f"{width} x {height}"


def _repeated(values: Iterable[Hashable]) -> list[Hashable]:
    return [value for value, count in Counter(values).items() if count > 1]


def _content(row: Row) -> Hashable:
    return row["image_id"], row["category_id"], *row["bbox"], *row.get("keypoints", ())


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object, least: float = -math.inf) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= least


def _is_box(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))


def _is_outside(box: Sequence[float], size: tuple[object, object]) -> bool:
    x, y, w, h = box
    height, width = size
    right, bottom = (side if isinstance(side, int | float) else math.inf for side in (width, height))
    return x >= right or y >= bottom or x + w <= 0 or y + h <= 0

"""Ground truth of images, and detections of others: boxes and keypoints in COCO's formats, masks of class ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poseclient.errors import InputError


def read_annotations(path: Path, limit: int | None = None) -> dict[str, Any]:
    """The first `limit` images of a COCO annotation file with their people, or the objects of its only category.

    COCO's annotation format: `images`, `annotations` and `categories`. InputError when the file has none of it.
    """
    try:
        content = json.loads(path.read_bytes())
        categories = [c for c in content["categories"] if c["name"] == "person"] or content["categories"]
        (category,) = categories
        images = content["images"][:limit]
        ids = {image["id"] for image in images if image["file_name"]}
        rows = [a for a in content["annotations"] if a["image_id"] in ids and a["category_id"] == category["id"]]
        if not all(len(row["bbox"]) == 4 and row["area"] >= 0 and "id" in row for row in rows):
            raise ValueError("an annotation without box, area or id")
    except (ValueError, TypeError, LookupError) as error:
        raise InputError(f"{path} is no COCO annotation file of people: {error!r}") from error
    if not rows:
        raise InputError(f"{path} has no annotation of its first {len(images)} images")
    return {"images": images, "annotations": rows, "categories": categories}


def read_detections(path: Path) -> list[dict[str, Any]]:
    """Rows of a file in COCO's results format, with `bbox` and `score`; InputError when it is no such file."""
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_bytes())
        if not all({"image_id", "category_id", "score"} <= row.keys() and len(row["bbox"]) == 4 for row in rows):
            raise ValueError("a row without image, category, box or score")
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{path} is no file of COCO results with boxes: {error!r}") from error
    return rows


def boxes_by_image(
    rows: Sequence[Mapping[str, Any]], category_id: int, least_score: float = 0
) -> dict[int, NDArray[np.float32]]:
    """f32 [n, 5] x1, y1, x2, y2, score by image id, best first, of rows with COCO's `bbox` x, y, width, height.

    Boxes without an area, which hold nobody, are left out.
    """
    found: dict[int, list[list[float]]] = {}
    for row in rows:
        x, y, w, h = row["bbox"]
        if row["category_id"] == category_id and w > 0 and h > 0 and row["score"] >= least_score:
            found.setdefault(row["image_id"], []).append([x, y, x + w, y + h, row["score"]])
    return {image_id: np.array(sorted(boxes, key=lambda box: -box[4]), np.float32) for image_id, boxes in found.items()}


def masks_and_images(masks: Path, images: Path) -> list[tuple[Path, Path]]:
    """Each .png and .npy of the folder `masks` with the file of the same stem in `images`; InputError without one."""
    by_stem = {path.stem: path for path in images.iterdir() if path.is_file()}
    files = [path for path in sorted(masks.iterdir()) if path.suffix in (".png", ".npy")]
    if not files:
        raise InputError(f"{masks} has no .png and no .npy")
    without = [path.name for path in files if path.stem not in by_stem]
    if without:
        raise InputError(f"{images} has no image for {len(without)} masks, the first is {without[0]}")
    return [(path, by_stem[path.stem]) for path in files]


def read_mask(path: Path) -> NDArray[np.integer[Any]]:
    """Class ids [h, w] of an integer type from a grey PNG or a .npy file; InputError for anything else."""
    try:
        mask: Any = np.load(path) if path.suffix == ".npy" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except (ValueError, EOFError, cv2.error) as error:
        raise InputError(f"{path} is no mask of class ids [h, w]: {error}") from error
    if mask is None or mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise InputError(f"{path} is no mask of class ids [h, w]")
    return np.asarray(mask)


def digest(path: Path) -> str:
    """SHA-256 of the contents: the same for equal files, wherever they lie."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

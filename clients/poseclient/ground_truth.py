"""Ground truth of images, and detections of others: boxes and keypoints in COCO's formats, masks of class ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poseclient import truth_checks
from poseclient.errors import InputError
from poseclient.headers import read_header


def read_annotations(path: Path, limit: int | None = None) -> dict[str, Any]:
    """The first `limit` images of a COCO annotation file with their people, or the objects of its only category.

    COCO's annotation format: `images`, `annotations` and `categories`. InputError when the file has none of it, or
    faults that would give wrong figures (`truth_checks`).
    """
    with _described(path, "COCO annotation file of people"):
        content = json.loads(path.read_bytes())
        images, annotations = content["images"], content["annotations"]
        categories = [c for c in content["categories"] if c["name"] == "person"] or content["categories"]
        if len(categories) != 1:
            raise ValueError(f"{len(categories)} categories, must be one, or one with the name person")
        truth_checks.check_images(images)
        truth_checks.check_annotations(annotations, images, content["categories"])
        images, (category,) = images[:limit], categories
        ids = {image["id"] for image in images if image["file_name"]}
        rows = [a for a in annotations if a["image_id"] in ids and a["category_id"] == category["id"]]
        if not rows:
            raise ValueError(f"no annotation of its first {len(images)} images")
    return {"images": images, "annotations": rows, "categories": categories}


def read_detections(path: Path) -> list[dict[str, Any]]:
    """Rows of a file in COCO's results format, with `bbox` and `score`; InputError when it is no such file."""
    with _described(path, "file of COCO results with boxes"):
        rows: list[dict[str, Any]] = json.loads(path.read_bytes())
        if not all({"image_id", "category_id", "score"} <= row.keys() for row in rows):
            raise ValueError("a row without image_id, category_id or score")
        truth_checks.check_detections(rows)
    return rows


@contextmanager
def _described(path: Path, kind: str) -> Iterator[None]:
    """Whatever is wrong with a file becomes an InputError that names it, and the line where there is one."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is no {kind}: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except KeyError as error:
        raise InputError(f"{path} is no {kind}: there is no {error}") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{path} is no {kind}: {error}") from error


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


def image_size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width that one of COCO's `images` says; None where it does not."""
    return (image["height"], image["width"]) if image.get("height") and image.get("width") else None


def masks_and_images(masks: Path, images: Path) -> list[tuple[Path, Path]]:
    """Each .png and .npy of the folder `masks` with the file of the same stem in `images`.

    InputError without a mask or an image, and where two masks or two images share a stem.
    """
    truth = by_stem(path for path in masks.iterdir() if path.suffix.lower() in (".png", ".npy"))
    if not truth:
        raise InputError(f"{masks} has no .png and no .npy")
    files = by_stem(path for path in images.iterdir() if path.is_file())
    truth_checks.refuse(f"masks without an image in {images}", (truth[s][0].name for s in truth if s not in files))
    for of_stem in (truth, {stem: files[stem] for stem in truth}):
        truth_checks.refuse(
            "files of one stem", (path.name for paths in of_stem.values() if paths[1:] for path in paths)
        )
    return [(path, files[stem][0]) for stem, (path,) in truth.items()]


def by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """The paths in their order, by their names without suffix."""
    found: dict[str, list[Path]] = {}
    for path in sorted(paths):
        found.setdefault(path.stem, []).append(path)
    return found


def read_mask(path: Path) -> NDArray[np.integer[Any]]:
    """Class ids [h, w] of an integer type from a grey PNG or a .npy file; InputError for anything else."""
    is_array = path.suffix.lower() == ".npy"
    try:
        mask: Any = np.load(path, mmap_mode="r") if is_array else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except (ValueError, EOFError, cv2.error) as error:
        raise InputError(f"{path} is no mask of class ids [h, w]: {error}") from error
    if mask is None or mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise InputError(f"{path} is no mask of class ids [h, w]")
    return np.asarray(mask)


def mask_size(path: Path) -> tuple[int, int]:
    """Height and width of a mask; the errors of `read_mask`."""
    header = None if path.suffix.lower() == ".npy" else read_header(path)
    height, width = header.stored if header else read_mask(path).shape
    return height, width


def digest(path: Path) -> str:
    """SHA-256 of the contents: the same for equal files, wherever they lie."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

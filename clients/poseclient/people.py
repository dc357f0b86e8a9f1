"""People in one image: what the clients return, and what is drawn, saved and filtered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from poseclient import people_dicts, people_tables
from poseclient.errors import InputError
from poseclient.keypoints import keypoint_count

if TYPE_CHECKING:
    import pandas
    from typing_extensions import Self  # of Python 3.11


@dataclass(frozen=True, eq=False, repr=False)
class People:
    """The people of one image, best first; there may be none.

    boxes: f32 [n, 4] x1, y1, x2, y2 in image pixels, at pixel edges. scores: f32 [n], 0..1. keypoints: f32
    [n, K, 3] x, y, score in image pixels, at pixel centres, or None when only boxes were asked for.
    keypoint_set: name of the set that explains K. image_size: height, width in pixels where the client
    knows them. found: people that the server saw in the whole image; more than n when a limit or a selection
    left some out.
    pose_scores: f32 [n], the score times the mean of the keypoint scores above 0.2, by which COCO ranks poses.
    mask: u8 [h, w], the class id of every pixel of the image, which class_set explains; instance_ids: u8 [h, w], whose
    part each pixel is: 0 nobody's, i that of row i - 1. A selection leaves the mask whole, and gives the pixels of the
    others to nobody.
    track_ids: i64 [n], who each person is among those of a video, from 1; -1 is somebody who is not tracked (yet).

    ValueError for arrays whose rows do not belong together, and for keypoints that are not those of their set.

    >>> confident = people[people.scores > 0.5]
    >>> best = people[0]
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    keypoints: NDArray[np.float32] | None = None
    keypoint_set: str | None = None
    image_size: tuple[int, int] | None = None
    found: int = 0
    pose_scores: NDArray[np.float32] | None = None
    mask: NDArray[np.uint8] | None = None
    class_set: str | None = None
    instance_ids: NDArray[np.uint8] | None = None
    track_ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4):
            raise ValueError(f"{n} scores need boxes of shape [{n}, 4], got {list(self.boxes.shape)}")
        if self.keypoints is not None and (self.keypoints.shape[::2] != (n, 3) or self.keypoints.ndim != 3):
            raise ValueError(f"{n} scores need keypoints of shape [{n}, K, 3], got {list(self.keypoints.shape)}")
        count = keypoint_count(self.keypoint_set)
        if self.keypoints is not None and count not in (None, self.keypoints.shape[1]):
            raise ValueError(f"{self.keypoint_set} has {count} keypoints, got {self.keypoints.shape[1]}")
        if self.pose_scores is not None and self.pose_scores.shape != (n,):
            raise ValueError(f"{n} scores need pose_scores of shape [{n}], got {list(self.pose_scores.shape)}")
        if self.track_ids is not None and self.track_ids.shape != (n,):
            raise ValueError(f"{n} scores need track_ids of shape [{n}], got {list(self.track_ids.shape)}")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | slice | list[int] | list[bool] | np.integer[Any] | NDArray[Any]) -> Self:
        """The selected people; an index selects one person and raises IndexError when there is none."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        chosen = {
            name: values[rows]
            for name in ("boxes", "scores", "keypoints", "pose_scores", "track_ids")
            if (values := getattr(self, name)) is not None
        }
        if self.instance_ids is not None:
            new = np.zeros(256, np.uint8)
            new[rows + 1] = np.arange(1, len(rows) + 1)
            chosen["instance_ids"] = new[self.instance_ids]
        return replace(self, **chosen)

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        parts = [f"{len(self)} of {self.found} people" if self.found > len(self) else f"{len(self)} people"]
        parts += [f"scores {self.scores.max():.2f} to {self.scores.min():.2f}"] if len(self) else []
        parts += [f"keypoints {self.keypoint_set or '?'}"] if self.keypoints is not None else []
        parts += ["tracked"] if self.track_ids is not None else []
        parts += [f"mask {self.class_set or '?'}"] if self.mask is not None else []
        return f"<{type(self).__name__}: {', '.join(parts)}>"

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold, with every number as it is; `from_dict` reads it.

        `people` is a list with `box` (x1, y1, x2, y2), `score`, `pose_score`, `track_id` and `keypoints` ([K][x, y,
        score]) of each person; `keypoint_names` names the keypoints, `image_size` is height, width, `mask` and
        `instance_ids` are grey PNGs in base64. What is not there is left out of a person, or None.

        >>> people.to_dict()["people"][0]["score"]
        0.98
        """
        return people_dicts.to_dict(self)

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> People:
        """The people of `to_dict`, as PosedPeople where they are. InputError for anything else.

        >>> same = People.from_dict(people.to_dict())
        """
        fields = people_dicts.from_dict(value)
        is_posed = None not in (fields.get("keypoint_set"), value["keypoint_names"]) and "pose_scores" in fields
        return (PosedPeople if is_posed else People)(**fields)

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as a text.

        >>> print(people.to_json(indent=2))
        """
        return json.dumps(self.to_dict(), indent=indent)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_json` into a file; `load` reads it.

        >>> people.save("street.json")
        """
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @staticmethod
    def load(path: str | os.PathLike[str]) -> People:
        """The people of a file of `save`; InputError, which names the file, for another one.

        >>> people = People.load("street.json")
        """
        try:
            return People.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except ValueError as error:  # InputError is one
            raise InputError(f"{path}: {error}") from error

    def to_coco(self, image_id: int, category_id: int = 1) -> list[dict[str, Any]]:
        """COCO's results format, one entry for each person, as `formats.coco_results` describes it.

        >>> json.dump(people.to_coco(image_id=139), open("results.json", "w"))
        """
        from poseclient.formats import coco_results  # which imports this module

        return coco_results(self, image_id, category_id)

    def to_pandas(self) -> pandas.DataFrame:
        """One row a person: `x1`, `y1`, `x2`, `y2`, `score`, `pose_score`, `track_id`, and of each keypoint `<name>_x`,
        `<name>_y`, `<name>_score`.

        MissingExtraError without `poseclient[pandas]`.

        >>> people.to_pandas()[["score", "nose_x", "nose_y"]]
        """
        return people_tables.to_pandas(self)

    def to_supervision(self) -> tuple[Any, Any]:
        """`supervision.Detections`, with the pixels of each person if known, and `supervision.KeyPoints` or None.

        Track ids are the Detections' `tracker_id` and the KeyPoints' `data["tracker_id"]`.

        MissingExtraError without `poseclient[supervision]`.

        >>> detections, key_points = people.to_supervision()
        >>> picture = supervision.BoxAnnotator().annotate(image, detections)
        """
        return people_tables.to_supervision(self)


class PosedPeople(People):
    """People whose keypoints were asked for: their keypoints, keypoint_set and pose_scores are not None."""

    keypoints: NDArray[np.float32]
    keypoint_set: str
    pose_scores: NDArray[np.float32]

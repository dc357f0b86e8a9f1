"""People in one image: what the clients return, and what is drawn, saved and filtered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self  # of Python 3.11


@dataclass(frozen=True, eq=False)
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

    ValueError for arrays whose rows do not belong together.

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

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4):
            raise ValueError(f"{n} scores need boxes of shape [{n}, 4], got {list(self.boxes.shape)}")
        if self.keypoints is not None and (self.keypoints.shape[::2] != (n, 3) or self.keypoints.ndim != 3):
            raise ValueError(f"{n} scores need keypoints of shape [{n}, K, 3], got {list(self.keypoints.shape)}")
        if self.pose_scores is not None and self.pose_scores.shape != (n,):
            raise ValueError(f"{n} scores need pose_scores of shape [{n}], got {list(self.pose_scores.shape)}")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | slice | list[int] | list[bool] | np.integer[Any] | NDArray[Any]) -> Self:
        """The selected people; an index selects one person and raises IndexError when there is none."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        chosen = {
            name: values[rows]
            for name in ("boxes", "scores", "keypoints", "pose_scores")
            if (values := getattr(self, name)) is not None
        }
        if self.instance_ids is not None:
            new = np.zeros(256, np.uint8)
            new[rows + 1] = np.arange(1, len(rows) + 1)
            chosen["instance_ids"] = new[self.instance_ids]
        return replace(self, **chosen)

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))


class PosedPeople(People):
    """People whose keypoints were asked for: their keypoints, keypoint_set and pose_scores are not None."""

    keypoints: NDArray[np.float32]
    keypoint_set: str
    pose_scores: NDArray[np.float32]

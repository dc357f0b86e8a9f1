"""The one place that knows the networks: task, input size, keypoint or class set, and where their files stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poseclient.keypoints import keypoint_set

ROOT = Path(__file__).resolve().parent.parent
MODEL_REPOSITORY, PREPROCESS, ENSEMBLE = ROOT / "model_repository", ROOT / "preprocess", ROOT / "ensemble"
REPOSITORIES = (MODEL_REPOSITORY, PREPROCESS, ENSEMBLE)

DETECTIONS = 100  # rows that a detector returns, and people that one image may hold
TASKS = ("detector", "pose", "parts")


@dataclass(frozen=True)
class Network:
    """A served network.

    name: its folder in the model repository. input_size: height, width in pixels. labels: the keypoint set of a pose
    network, the class set of a parts network (tables of `poseclient`). max_batch_size: rows in one execution; a pose
    network takes all people of an image at once and works through them in chunks.
    """

    name: str
    task: str
    input_size: tuple[int, int]
    labels: str | None = None
    max_batch_size: int = 8

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"{self.name}: unknown task {self.task!r}, must be one of {', '.join(TASKS)}")

    @property
    def model_file(self) -> Path:
        return MODEL_REPOSITORY / self.name / "1" / "model.pt"

    @property
    def keypoints(self) -> int:
        """Number of keypoints of a pose network."""
        return len(keypoint_set(self.labels).names)


CATALOGUE = {
    network.name: network
    for network in (
        Network("demo_detector", "detector", (640, 640)),
        Network("demo_pose", "pose", (256, 192), "coco_17", max_batch_size=DETECTIONS),
        Network("demo_parts", "parts", (512, 512), "sapiens_28"),
    )
}

# Which network each task's ensembles mean.
DEFAULTS = {"detector": "demo_detector", "pose": "demo_pose", "parts": "demo_parts"}

"""What networks can do: one record a task, from which configurations, ensembles and the command line follow.

A task that answers with a map of the whole image needs its record here, a function in `preprocess/resize_maps` and a
method of the clients; docs/extending.md walks through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from poseclient.keypoints import ClassSet, KeypointSet, class_set, keypoint_set

DETECTIONS = 100  # rows that a detector returns, and people that one image may hold


@dataclass(frozen=True)
class TensorSpec:
    """A tensor as Triton knows it. dtype: without TYPE_. shape: without the batch; -1 is any size."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Sizes(Protocol):
    """What the shape of an answer depends on: properties of a network of the catalogue."""

    @property
    def outputs(self) -> int:
        """Keypoints, classes, or numbers for every place."""
        ...

    @property
    def input_size(self) -> tuple[int, int]:
        """Height, width in pixels."""
        ...

    @property
    def stride(self) -> int:
        """Pixels of the input for one place of a feature map."""
        ...


@dataclass(frozen=True)
class MapTensors:
    """Of a task that answers with a map of the whole image.

    network: what `resize_maps` takes from the network. image: what it makes of that at the size of the image.
    of_people: the same with nothing where the background is, where the task offers that.
    """

    network: TensorSpec
    image: TensorSpec
    of_people: TensorSpec | None = None


@dataclass(frozen=True)
class Task:
    """One task.

    dtype, shape: of `OUTPUT__0`; the shape is that of one row. channels: numbers that the network predicts for every
    place, where the network itself does not say. labels: looks the keypoint set or class set up that the network's
    `labels` name. set_parameter: the ensembles' parameter that names this set to clients. takes_regions: the network
    gets the region of each crop as INPUT__1. is_mask: its answer is pasted into the image by regions. maps: of tasks
    with a map of the whole image. options: options of `poseserve add` that only this task has.
    """

    name: str
    dtype: str
    shape: Callable[[Sizes], tuple[int, ...]]
    channels: int | None = None
    labels: Callable[[str], KeypointSet] | Callable[[str], ClassSet] | None = None
    set_parameter: str = ""
    takes_regions: bool = False
    is_mask: bool = False
    maps: MapTensors | None = None
    options: tuple[str, ...] = ()

    def inputs(self, network: Sizes) -> list[TensorSpec]:
        """`INPUT__0` and, where it takes regions, `INPUT__1` of that network."""
        image = TensorSpec("INPUT__0", "UINT8", (*network.input_size, 3))
        return [image, TensorSpec("INPUT__1", "FP32", (4,))] if self.takes_regions else [image]

    def output(self, network: Sizes) -> TensorSpec:
        """`OUTPUT__0` of that network."""
        return TensorSpec("OUTPUT__0", self.dtype, self.shape(network))


def _features(network: Sizes) -> tuple[int, ...]:
    height, width = network.input_size
    return network.outputs, height // network.stride, width // network.stride


def _values(count: int) -> Callable[[Sizes], tuple[int, ...]]:
    """`count` numbers for every pixel of the input."""
    return lambda network: (*network.input_size, count)


DEPTH = MapTensors(
    TensorSpec("DEPTH_MAP", "FP16", (-1, -1, -1)),
    TensorSpec("DEPTH", "FP16", (-1, -1)),
    TensorSpec("DEPTH_OF_PEOPLE", "FP16", (-1, -1)),
)
NORMALS = MapTensors(
    TensorSpec("NORMAL_MAP", "FP16", (-1, -1, -1, 3)),
    TensorSpec("NORMALS", "FP16", (-1, -1, 3)),
    TensorSpec("NORMALS_OF_PEOPLE", "FP16", (-1, -1, 3)),
)
POINTS = MapTensors(TensorSpec("POINT_MAP", "FP32", (-1, -1, -1, 3)), TensorSpec("POINTS", "FP32", (-1, -1, 3)))
MATTE = MapTensors(TensorSpec("MATTE_MAP", "UINT8", (-1, -1, -1, 4)), TensorSpec("MATTE", "UINT8", (-1, -1, 4)))

TASKS = {
    task.name: task
    for task in (
        Task("detector", "FP32", lambda network: (DETECTIONS, 5), channels=1, options=("score_threshold",)),
        Task(
            "pose",
            "FP32",
            lambda network: (network.outputs, 3),
            labels=keypoint_set,
            set_parameter="keypoint_set",
            takes_regions=True,
            options=("keypoints", "crop_filter"),
        ),
        Task(
            "parts",
            "UINT8",
            _values(3),
            labels=class_set,
            set_parameter="class_set",
            is_mask=True,
            options=("classes", "trained_on", "crop_filter"),
        ),
        Task("depth", "FP16", lambda network: network.input_size, channels=1, maps=DEPTH),
        Task("normals", "FP16", _values(3), channels=3, maps=NORMALS),
        Task("features", "FP16", _features),
        Task("pointmap", "FP32", _values(3), channels=3, maps=POINTS),
        Task("matting", "UINT8", _values(4), channels=4, maps=MATTE),
    )
}

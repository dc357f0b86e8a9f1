"""Client of poseserve: people, keypoints and body parts from a Triton Inference Server."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poseclient.aio import AsyncPoseClient
    from poseclient.client import PoseClient
    from poseclient.draw import draw_depth, draw_normals, draw_parts, draw_people
    from poseclient.errors import InputError, MissingExtraError, PoseclientError, RequestError
    from poseclient.keypoints import ClassSet, KeypointSet, add_keypoint_set, class_set, keypoint_set
    from poseclient.openpose import draw_openpose
    from poseclient.people import People, PosedPeople
    from poseclient.video.follow import TrackedFrame

__version__ = "0.1.0"  # the package's metadata are made from it

__all__ = [
    "AsyncPoseClient",
    "ClassSet",
    "InputError",
    "KeypointSet",
    "MissingExtraError",
    "People",
    "PoseClient",
    "PoseclientError",
    "PosedPeople",
    "RequestError",
    "TrackedFrame",
    "add_keypoint_set",
    "class_set",
    "draw_depth",
    "draw_normals",
    "draw_openpose",
    "draw_parts",
    "draw_people",
    "keypoint_set",
]

# Each name is imported when it is first used: `poseclient --help` needs neither numpy nor OpenCV nor tritonclient.
_MODULES = {
    "aio": ("AsyncPoseClient",),
    "client": ("PoseClient",),
    "draw": ("draw_depth", "draw_normals", "draw_parts", "draw_people"),
    "errors": ("InputError", "MissingExtraError", "PoseclientError", "RequestError"),
    "keypoints": ("ClassSet", "KeypointSet", "add_keypoint_set", "class_set", "keypoint_set"),
    "openpose": ("draw_openpose",),
    "people": ("People", "PosedPeople"),
    "video.follow": ("TrackedFrame",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

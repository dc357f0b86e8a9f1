"""Client of poseserve: people, keypoints and body parts from a Triton Inference Server."""

from poseclient.aio import AsyncPoseClient
from poseclient.client import PoseClient
from poseclient.draw import draw_depth, draw_normals, draw_parts, draw_people
from poseclient.errors import InputError, MissingExtraError, PoseclientError, RequestError
from poseclient.keypoints import ClassSet, KeypointSet, add_keypoint_set, class_set, keypoint_set
from poseclient.openpose import draw_openpose
from poseclient.people import People, PosedPeople

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
    "add_keypoint_set",
    "class_set",
    "draw_depth",
    "draw_normals",
    "draw_openpose",
    "draw_parts",
    "draw_people",
    "keypoint_set",
]

"""Client of poseserve: people, keypoints and body parts from a Triton Inference Server."""

from poseclient.aio import AsyncPoseClient
from poseclient.client import PoseClient
from poseclient.draw import draw_depth, draw_normals, draw_parts, draw_people
from poseclient.keypoints import ClassSet, KeypointSet, add_keypoint_set, class_set, keypoint_set
from poseclient.openpose import draw_openpose
from poseclient.people import People
from poseclient.protocol import RequestError

__all__ = [
    "AsyncPoseClient",
    "ClassSet",
    "KeypointSet",
    "People",
    "PoseClient",
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

"""The tensors between networks, steps and clients: name, data type without TYPE_, dims (docs/contracts.md)."""

from __future__ import annotations

from poseserve.catalogue import DETECTIONS, FITS, Network

LETTERBOX = 640  # side of what every detector sees

Tensor = tuple[str, str, list[int]]
IMAGE: Tensor = ("IMAGE", "STRING", [1])
PIXELS: Tensor = ("PIXELS", "UINT8", [-1, -1, 3])
LETTERBOXED: Tensor = ("LETTERBOX", "UINT8", [LETTERBOX, LETTERBOX, 3])
SCALE: Tensor = ("SCALE", "FP32", [2])
SIZE: Tensor = ("SIZE", "INT32", [2])
DETECTED: Tensor = ("DETECTIONS", "FP32", [DETECTIONS, 5])
BOUNDS: Tensor = ("BOUNDS", "INT32", [1, 4])
BOXES: Tensor = ("BOXES", "FP32", [-1, 4])
SCORES: Tensor = ("SCORES", "FP32", [-1])
PEOPLE_FOUND: Tensor = ("PEOPLE_FOUND", "INT32", [1])
REGIONS: Tensor = ("REGIONS", "FP32", [-1, 4])
POSES: Tensor = ("POSES", "FP32", [-1, -1, 3])
KEYPOINTS: Tensor = ("KEYPOINTS", "FP32", [-1, -1, 3])
POSE_SCORES: Tensor = ("POSE_SCORES", "FP32", [-1])
KEPT_INDICES: Tensor = ("KEPT_INDICES", "INT32", [-1])
PARTS: Tensor = ("PARTS", "UINT8", [-1, -1, -1, 3])
MASK: Tensor = ("MASK", "UINT8", [-1, -1])
MASK_PNG: Tensor = ("MASK_PNG", "STRING", [1])
INSTANCE_IDS: Tensor = ("INSTANCE_IDS", "UINT8", [-1, -1])
DEPTH_MAP: Tensor = ("DEPTH_MAP", "FP16", [-1, -1, -1])
NORMAL_MAP: Tensor = ("NORMAL_MAP", "FP16", [-1, -1, -1, 3])
POINT_MAP: Tensor = ("POINT_MAP", "FP32", [-1, -1, -1, 3])
MATTE_MAP: Tensor = ("MATTE_MAP", "UINT8", [-1, -1, -1, 4])
DEPTH: Tensor = ("DEPTH", "FP16", [-1, -1])
NORMALS: Tensor = ("NORMALS", "FP16", [-1, -1, 3])
POINTS: Tensor = ("POINTS", "FP32", [-1, -1, 3])
MATTE: Tensor = ("MATTE", "UINT8", [-1, -1, 4])
DEPTH_OF_PEOPLE: Tensor = ("DEPTH_OF_PEOPLE", "FP16", [-1, -1])
NORMALS_OF_PEOPLE: Tensor = ("NORMALS_OF_PEOPLE", "FP16", [-1, -1, 3])
FEATURE_MAP: Tensor = ("FEATURE_MAP", "FP16", [-1, -1, -1, -1])
FEATURES: Tensor = ("FEATURES", "FP16", [-1, -1, -1])
POOLED: Tensor = ("POOLED", "FP32", [-1])


def crops(input_size: tuple[int, int]) -> Tensor:
    """What `crop_people` makes for networks of that input size that see one person."""
    height, width = input_size
    return f"CROPS_{height}x{width}", "UINT8", [-1, height, width, 3]


def regions(input_size: tuple[int, int]) -> Tensor:
    """Where those crops, or the stretched image, lie in the image."""
    height, width = input_size
    return f"REGIONS_{height}x{width}", "FP32", [-1, 4]


def fitted(input_size: tuple[int, int], fit: str) -> tuple[Tensor, Tensor]:
    """What `resize_image` makes for networks of that input size and fit that see the whole image: what they see, and
    what region of the image that is, or of a padded one where the image lies in it: top, left, height, width."""
    height, width = input_size
    image: Tensor = (f"{FITS[fit]}_{height}x{width}", "UINT8", [-1, height, width, 3])
    return image, (f"BOUNDS_{height}x{width}", "INT32", [1, 4]) if fit == "pad" else regions(input_size)


def answer(network: Network) -> Tensor:
    """`OUTPUT__0` of the contract of the network's task."""
    height, width = network.input_size
    cell = 64 if network.size == "1b_4k" else 16  # pixels of the image for one feature
    kinds: dict[str, tuple[str, list[int]]] = {
        "detector": ("FP32", [DETECTIONS, 5]),
        "pose": ("FP32", [network.outputs, 3]),
        "parts": ("UINT8", [height, width, 3]),
        "depth": ("FP16", [height, width]),
        "normals": ("FP16", [height, width, 3]),
        "features": ("FP16", [network.outputs, height // cell, width // cell]),
        "pointmap": ("FP32", [height, width, 3]),
        "matting": ("UINT8", [height, width, 4]),
    }
    return "OUTPUT__0", *kinds[network.task]

"""The tensors between steps, networks and clients (docs/contracts.md); those of a task are in its record (tasks.py)."""

from __future__ import annotations

from poseserve.tasks import DETECTIONS, TensorSpec

IMAGE = TensorSpec("IMAGE", "STRING", (1,))
PIXELS = TensorSpec("PIXELS", "UINT8", (-1, -1, 3))
SCALE = TensorSpec("SCALE", "FP32", (2,))
SIZE = TensorSpec("SIZE", "INT32", (2,))
BOUNDS = TensorSpec("BOUNDS", "INT32", (1, 4))
BOXES = TensorSpec("BOXES", "FP32", (-1, 4))
SCORES = TensorSpec("SCORES", "FP32", (-1,))
PEOPLE_FOUND = TensorSpec("PEOPLE_FOUND", "INT32", (1,))
REGIONS = TensorSpec("REGIONS", "FP32", (-1, 4))
POSES = TensorSpec("POSES", "FP32", (-1, -1, 3))
KEYPOINTS = TensorSpec("KEYPOINTS", "FP32", (-1, -1, 3))
POSE_SCORES = TensorSpec("POSE_SCORES", "FP32", (-1,))
KEPT_INDICES = TensorSpec("KEPT_INDICES", "INT32", (-1,))
PARTS = TensorSpec("PARTS", "UINT8", (-1, -1, -1, 3))
MASK = TensorSpec("MASK", "UINT8", (-1, -1))
MASK_PNG = TensorSpec("MASK_PNG", "STRING", (1,))
INSTANCE_IDS = TensorSpec("INSTANCE_IDS", "UINT8", (-1, -1))
KEYPOINT_SET = TensorSpec("KEYPOINT_SET", "STRING", (1,))
CLASS_SET = TensorSpec("CLASS_SET", "STRING", (1,))
FEATURE_MAP = TensorSpec("FEATURE_MAP", "FP16", (-1, -1, -1, -1))
FEATURES = TensorSpec("FEATURES", "FP16", (-1, -1, -1))
POOLED = TensorSpec("POOLED", "FP32", (-1,))

# Crop filter of a network -> what `crop_people` calls the crops that it makes.
CROPS = {"bilinear": "CROPS", "area": "CROPS_AREA"}
# Resize mode of a network -> what `resize_image` calls the image that it makes.
RESIZED = {"stretch": "RESIZED", "average": "AVERAGED", "pad": "PADDED"}


def of_set(answer: TensorSpec, labels: str | None) -> TensorSpec:
    """What a step calls KEYPOINT_SET or CLASS_SET where it is the set `labels`: which one, the ensemble knows."""
    return TensorSpec(f"{answer.name}_{labels}", answer.dtype, answer.shape)


def letterbox(input_size: tuple[int, int]) -> TensorSpec:
    """What `decode_image` makes for detectors of that input size."""
    height, width = input_size
    return TensorSpec(f"LETTERBOX_{height}x{width}", "UINT8", (height, width, 3))


def scale(input_size: tuple[int, int]) -> TensorSpec:
    """From the image to that letterbox."""
    height, width = input_size
    return TensorSpec(f"SCALE_{height}x{width}", SCALE.dtype, SCALE.shape)


def detections(score_threshold: float) -> TensorSpec:
    """What `crop_people` calls the rows of a detector with that threshold.

    The name says the threshold, because the step serves all ensembles and an ensemble can give it no constant.
    """
    return TensorSpec(f"DETECTIONS_ABOVE_{score_threshold}", "FP32", (DETECTIONS, 5))


def crops(input_size: tuple[int, int], crop_filter: str) -> TensorSpec:
    """What `crop_people` makes for networks of that input size and crop filter that see one person."""
    height, width = input_size
    return TensorSpec(f"{CROPS[crop_filter]}_{height}x{width}", "UINT8", (-1, height, width, 3))


def regions(input_size: tuple[int, int]) -> TensorSpec:
    """Where those crops, or the stretched image, lie in the image."""
    height, width = input_size
    return TensorSpec(f"REGIONS_{height}x{width}", "FP32", (-1, 4))


def resized(input_size: tuple[int, int], resize_mode: str) -> TensorSpec:
    """What `resize_image` makes for networks of that input size and resize mode that see the whole image."""
    height, width = input_size
    return TensorSpec(f"{RESIZED[resize_mode]}_{height}x{width}", "UINT8", (-1, height, width, 3))


def placed(input_size: tuple[int, int], resize_mode: str) -> TensorSpec:
    """What region of the image the resized one is; of a padded one where in it the image lies: top, left, height,
    width."""
    height, width = input_size
    if resize_mode == "pad":
        return TensorSpec(f"BOUNDS_{height}x{width}", BOUNDS.dtype, BOUNDS.shape)
    return regions(input_size)

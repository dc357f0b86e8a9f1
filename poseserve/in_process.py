"""The same steps and networks as the ensembles, in this one process: what a server is compared with."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from poseclient import People
from poseserve.catalogue import CATALOGUE, DEFAULTS, DETECTIONS, MODEL_REPOSITORY, PREPROCESS
from poseserve.config import MAX_PIXELS, MAX_SIDE


def step_module(step: str, module: str) -> ModuleType:
    """A module of a step's own folder, imported as Triton's Python backend would."""
    folder = str(PREPROCESS / step / "1")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(folder)


class InProcess:
    """The ensembles `pose` and `parts` without a server, with the networks below `model_repository`."""

    def __init__(self, model_repository: Path = MODEL_REPOSITORY) -> None:
        entries = {task: CATALOGUE[name] for task, name in DEFAULTS.items()}
        self._networks = {
            task: torch.jit.load(str(model_repository / e.name / "1" / "model.pt")) for task, e in entries.items()
        }
        self._size = {task: entry.input_size for task, entry in entries.items()}
        self._keypoint_set = entries["pose"].labels
        self._images = step_module("decode_image", "images")
        self._boxes = step_module("crop_people", "boxes")
        self._crops = step_module("crop_people", "crops")
        self._suppression = step_module("crop_people", "suppression")
        self._options = step_module("crop_people", "options")
        self._resize = step_module("resize_image", "resize")
        self._mask = step_module("resize_mask", "mask")

    def _run(self, task: str, *inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self._networks[task](*(torch.from_numpy(i) for i in inputs)).numpy()

    def pose(self, encoded: bytes, **parameters: float) -> People:
        """What the ensemble `pose` answers; `parameters` are its request parameters."""
        options = self._options.parse_options(parameters, DETECTIONS)
        pixels = self._images.decode(encoded, MAX_PIXELS, MAX_SIDE)
        letterbox, scale = self._images.letterbox(pixels, *self._size["detector"])
        detections = self._run("detector", letterbox[None])[0]
        boxes, scores = self._boxes.detected_boxes(detections, scale, *pixels.shape[:2], options.score_threshold)
        kept = self._suppression.suppress(boxes, options.nms_iou)
        best = kept[: options.max_people]
        boxes, scores = boxes[best], scores[best]
        height, width = self._size["pose"]
        regions = self._crops.regions(boxes, width / height)
        crops = self._crops.crop(pixels, regions, height, width)
        keypoints = self._run("pose", crops, regions.astype(np.float32))
        return People(boxes.astype(np.float32), scores, keypoints, self._keypoint_set, pixels.shape[:2], len(kept))

    def parts(self, encoded: bytes) -> np.ndarray:
        """What the ensemble `parts` answers: u8 [h, w]."""
        pixels = self._images.decode(encoded, MAX_PIXELS, MAX_SIDE)
        classes = self._run("parts", self._resize.stretch(pixels, *self._size["parts"])[None])[0]
        return self._mask.stretch(classes, np.array(pixels.shape[:2]))

"""The same steps and networks as the ensembles, in this one process: what a server is compared with."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from poseclient import People
from poseserve.catalogue import DETECTIONS, FITS
from poseserve.repository.config import MAX_PIXELS, MAX_SIDE
from poseserve.repository.folders import PREPROCESS
from poseserve.repository.installed import Repository, read_repository
from poseserve.repository.tensors import LETTERBOX

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # the first GPU where there is one, as KIND_AUTO has it


def step_module(step: str, module: str) -> ModuleType:
    """A module of a step's own folder, imported as Triton's Python backend would."""
    folder = str(PREPROCESS / step / "1")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(folder)


def load(file: Path) -> torch.jit.ScriptModule:
    """A network on DEVICE."""
    return torch.jit.load(str(file), map_location=DEVICE)


class InProcess:
    """What the ensembles answer, without a server, by the default networks of a repository, the tree's unless given.

    TorchScript only, on DEVICE. Several threads may use it.
    """

    def __init__(self, repository: Repository | None = None) -> None:
        repository = repository or read_repository()
        entries = {task: repository.default(task) for task in repository.defaults}
        self._networks = {task: load(repository.model_file(entry.name)) for task, entry in entries.items()}
        self._size = {task: entry.input_size for task, entry in entries.items()}
        self._fit = {task: entry.fit for task, entry in entries.items()}
        self._keypoint_set = entries["pose"].labels
        self._decoding = threading.Lock()  # meanwhile descriptor 2 leads elsewhere, for all threads
        self._images = step_module("decode_image", "images")
        self._boxes = step_module("crop_people", "boxes")
        self._cropping = step_module("crop_people", "crops")
        self._suppression = step_module("crop_people", "suppression")
        self._people = step_module("collect_people", "people")
        self._options = step_module("crop_people", "options")
        self._paste = step_module("paste_masks", "paste")
        self._resize = step_module("resize_image", "resize")
        self._maps = step_module("resize_maps", "maps")

    def _run(self, task: str, *inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self._networks[task](*(torch.from_numpy(i).to(DEVICE) for i in inputs)).cpu().numpy()

    def _decode(self, encoded: bytes) -> np.ndarray:
        with self._decoding:
            return self._images.decode(encoded, MAX_PIXELS, MAX_SIDE)

    def _detect(
        self, images: Sequence[np.ndarray], parameters: dict[str, float]
    ) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """Of each image boxes, scores, and how many people there were before max_people cut the list."""
        options = self._options.parse_options(parameters, DETECTIONS)
        letterboxes, scales = zip(*(self._images.letterbox(p, LETTERBOX, LETTERBOX) for p in images), strict=True)
        found = []
        for detections, scale, pixels in zip(self._run("detector", np.stack(letterboxes)), scales, images, strict=True):
            boxes, scores = self._boxes.detected_boxes(detections, scale, *pixels.shape[:2], options.score_threshold)
            kept = self._suppression.suppress(boxes, options.nms_iou)
            best = kept[: options.max_people]
            found.append((boxes[best], scores[best], len(kept)))
        return found

    def _crops(self, task: str, pixels: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = self._size[task]
        regions = self._cropping.regions(boxes, width / height)
        return self._cropping.crop(pixels, regions, height, width), regions.astype(np.float32)

    def pose(self, encoded: bytes, **parameters: float) -> People:
        """What the ensemble `pose` answers; `parameters` are its request parameters."""
        return self.poses([encoded], **parameters)[0]

    def poses(self, encoded: Sequence[bytes], **parameters: float) -> list[People]:
        """`pose` of every image, of at least one; all their people go through the networks together."""
        images = [self._decode(image) for image in encoded]
        found = self._detect(images, parameters)
        cut = [self._crops("pose", p, boxes) for p, (boxes, _, _) in zip(images, found, strict=True)]
        crops, regions = map(np.concatenate, zip(*cut, strict=True))
        poses = np.split(self._run("pose", crops, regions), np.cumsum([len(r) for _, r in cut])[:-1])
        return [
            People(
                boxes=boxes.astype(np.float32),
                scores=scores,
                keypoints=keypoints,
                keypoint_set=self._keypoint_set,
                image_size=(pixels.shape[0], pixels.shape[1]),
                found=count,
                pose_scores=self._people.pose_scores(scores, keypoints),
            )
            for pixels, (boxes, scores, count), keypoints in zip(images, found, poses, strict=True)
        ]

    def parts(self, encoded: bytes, **parameters: float) -> np.ndarray:
        """What the ensemble `parts_of_people` answers: u8 [h, w]."""
        pixels = self._decode(encoded)
        [(boxes, _, _)] = self._detect([pixels], parameters)
        if len(boxes) == 0:
            return np.zeros(pixels.shape[:2], np.uint8)
        crops, regions = self._crops("parts", pixels, boxes)
        return self._paste.paste(self._run("parts", crops), regions, *pixels.shape[:2])[0]

    def depth(self, encoded: bytes) -> np.ndarray:
        """What the ensemble `depth` answers as DEPTH: f16 [h, w]."""
        return self._map("depth", "DEPTH", encoded)

    def normals(self, encoded: bytes) -> np.ndarray:
        """What the ensemble `normals` answers as NORMALS: f16 [h, w, 3]."""
        return self._map("normals", "NORMALS", encoded)

    def _map(self, task: str, output: str, encoded: bytes) -> np.ndarray:
        pixels = self._decode(encoded)
        image = self._resize.MAKE[FITS[self._fit[task]]](pixels, *self._size[task])
        answer = self._run(task, image[None])[0]
        if self._fit[task] == "pad":
            answer = self._maps.cut(answer, self._resize.bounds(pixels, *self._size[task]))
        return self._maps.RESIZE[output][1](answer, np.array(pixels.shape[:2]))

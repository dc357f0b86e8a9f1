"""The same steps and networks as the ensembles, in this one process: what a server is compared with."""

from __future__ import annotations

import builtins
import importlib.util
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from poseclient import People
from poseserve.defaults import CROP_SCALE, MAX_PIXELS, MAX_SIDE, NMS_IOU, OKS_NMS
from poseserve.repository.folders import PREPROCESS
from poseserve.repository.installed import Repository, read_repository
from poseserve.repository.tensors import CROPS, RESIZED
from poseserve.tasks import DETECTIONS

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # the first GPU where there is one, as KIND_AUTO has it


def step_module(step: str, module: str) -> ModuleType:
    """A module of a step, imported as `preprocess.<step>.<module>`: several steps have modules of one name.

    What it imports is looked for in its own folder first, as in Triton, where each step has a process to itself.
    """
    name, folder = f"preprocess.{step}.{module}", PREPROCESS / step / "1"
    if name in sys.modules:
        return sys.modules[name]

    def import_beside(imported: str, *rest: Any) -> ModuleType:
        beside = (folder / f"{imported}.py").is_file()
        return step_module(step, imported) if beside else builtins.__import__(imported, *rest)

    spec = importlib.util.spec_from_file_location(name, folder / f"{module}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = sys.modules[name] = importlib.util.module_from_spec(spec)
    vars(loaded)["__builtins__"] = vars(builtins) | {"__import__": import_beside}
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[name]
        raise
    return loaded


def load(file: Path) -> torch.jit.ScriptModule:
    """A network on DEVICE."""
    network: torch.jit.ScriptModule = torch.jit.load(str(file), map_location=DEVICE)
    return network


class InProcess:
    """What the ensembles answer, without a server, by the default networks of a repository, the tree's unless given.

    TorchScript only, on DEVICE. Several threads may use it.
    """

    def __init__(self, repository: Repository | None = None) -> None:
        repository = repository or read_repository()
        entries = {task: repository.default(task) for task in repository.defaults}
        entries["detector"] = repository.detector_of(repository.chosen("pose"))
        self._networks = {task: load(repository.model_file(entry.name)) for task, entry in entries.items()}
        self._entries = entries
        self._oks_sigmas = repository.oks_sigmas
        self._decoding = threading.Lock()  # meanwhile descriptor 2 leads elsewhere, for all threads
        self._images = step_module("decode_image", "images")
        self._boxes = step_module("crop_people", "boxes")
        self._cropping = step_module("crop_people", "crops")
        self._suppression = step_module("crop_people", "suppression")
        self._poses = step_module("collect_people", "poses")
        self._oks = step_module("collect_people", "oks")
        self._options = step_module("crop_people", "options")
        self._paste = step_module("paste_masks", "paste")
        self._resize = step_module("resize_image", "resize")
        self._maps = step_module("resize_maps", "maps")

    def _run(self, task: str, *inputs: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            output: torch.Tensor = self._networks[task](*(torch.from_numpy(i).to(DEVICE) for i in inputs))
            return output.cpu().numpy()

    def _decode(self, encoded: bytes) -> NDArray[np.uint8]:
        with self._decoding:
            pixels: NDArray[np.uint8] = self._images.decode(encoded, MAX_PIXELS, MAX_SIDE)
        return pixels

    def _detect(
        self, images: Sequence[NDArray[np.uint8]], parameters: dict[str, float]
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float32], int]]:
        """Of each image boxes, scores, and how many people there were before max_people cut the list."""
        detector = self._entries["detector"]
        defaults = self._options.Options(detector.score_threshold, NMS_IOU, DETECTIONS)
        options = self._options.parse_options(parameters, defaults)
        seen = [self._images.letterbox(pixels, *detector.input_size) for pixels in images]
        letterboxes, scales = zip(*seen, strict=True)
        found = []
        for detections, scale, pixels in zip(self._run("detector", np.stack(letterboxes)), scales, images, strict=True):
            boxes, scores = self._boxes.detected_boxes(detections, scale, *pixels.shape[:2], options.score_threshold)
            kept = self._suppression.suppress(boxes, options.nms_iou)
            best = kept[: options.max_people]
            found.append((boxes[best], scores[best], len(kept)))
        return found

    def _crops(
        self, task: str, pixels: NDArray[np.uint8], boxes: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        height, width = self._entries[task].input_size
        regions = self._cropping.regions(boxes, width / height, CROP_SCALE)
        cut = self._cropping.CROP[CROPS[self._entries[task].crop_filter]]
        return cut(pixels, regions, height, width), regions.astype(np.float32)

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
        most = self._oks.parse_oks_nms(parameters, OKS_NMS)
        people = []
        for pixels, (boxes, scores, count), (_, where), keypoints in zip(images, found, cut, poses, strict=True):
            pose_scores = self._poses.pose_scores(scores, keypoints)
            kept = self._oks.keep(keypoints, where, pose_scores, self._oks_sigmas, most)
            people.append(
                People(
                    boxes=boxes[kept].astype(np.float32),
                    scores=scores[kept],
                    keypoints=keypoints[kept],
                    keypoint_set=self._entries["pose"].labels,
                    image_size=(pixels.shape[0], pixels.shape[1]),
                    found=count - len(boxes) + len(kept),
                    pose_scores=pose_scores[kept],
                )
            )
        return people

    def parts(self, encoded: bytes, **parameters: float) -> NDArray[np.uint8]:
        """What the ensemble `parts_of_people` answers: u8 [h, w]."""
        pixels = self._decode(encoded)
        [(boxes, _, _)] = self._detect([pixels], parameters)
        if len(boxes) == 0:
            return np.zeros(pixels.shape[:2], np.uint8)
        crops, regions = self._crops("parts", pixels, boxes)
        mask: NDArray[np.uint8] = self._paste.paste(self._run("parts", crops), regions, *pixels.shape[:2])[0]
        return mask

    def depth(self, encoded: bytes) -> NDArray[np.float16]:
        """What the ensemble `depth` answers as DEPTH: f16 [h, w]."""
        return self._map("depth", "DEPTH", encoded)

    def normals(self, encoded: bytes) -> NDArray[np.float16]:
        """What the ensemble `normals` answers as NORMALS: f16 [h, w, 3]."""
        return self._map("normals", "NORMALS", encoded)

    def _map(self, task: str, output: str, encoded: bytes) -> NDArray[np.float16]:
        pixels = self._decode(encoded)
        size, resize_mode = self._entries[task].input_size, self._entries[task].resize_mode
        image = self._resize.MAKE[RESIZED[resize_mode]](pixels, *size)
        answer = self._run(task, image[None])[0]
        if resize_mode == "pad":
            answer = self._maps.cut(answer, self._resize.bounds(pixels, *size))
        _, stretch = self._maps.RESIZE[output]
        stretched: NDArray[np.float16] = stretch(answer, *pixels.shape[:2])
        return stretched

"""crop_people: from detections, or from the client's boxes, to one crop per person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import triton_python_backend_utils as pb_utils
from boxes import checked_boxes, detected_boxes
from crops import CROP, regions
from numpy.typing import NDArray
from options import Options, parse_options
from responses import respond
from suppression import suppress


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        parameters = {name: parameter["string_value"] for name, parameter in config["parameters"].items()}
        # A detector's rows -> the score that they must have: an ensemble cannot give a step any constant but a name.
        self._thresholds = {
            name: float(name.removeprefix("DETECTIONS_ABOVE_"))
            for name in (tensor["name"] for tensor in config["input"])
            if name.startswith("DETECTIONS_ABOVE_")
        }
        self._detections, self._nms_iou = int(parameters["detections"]), float(parameters["nms_iou"])
        self._crop_scale = float(parameters["crop_scale"])
        # "HxW" -> people that the networks of that input size take at once.
        self._max_people = json.loads(parameters["max_people"])
        self._sizes = {  # "HxW" -> H, W: one for every input size in use
            size: (int(output["dims"][1]), int(output["dims"][2]))
            for output in config["output"]
            for kind, _, size in [output["name"].rpartition("_")]
            if kind in CROP
        }
        cv2.setNumThreads(1)  # instances, not threads, fill the cores

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        return [respond(request, self._outputs) for request in requests]

    def _outputs(self, request: pb_utils.InferenceRequest) -> dict[str, NDArray[Any]]:
        wanted = request.requested_output_names()
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        if not inputs.keys() & {"PIXELS", "SIZE"}:
            raise ValueError("PIXELS are missing; SIZE is accepted in their stead where no crops are wanted")
        height, width = inputs["PIXELS"].shape[:2] if "PIXELS" in inputs else inputs["SIZE"].tolist()
        sizes = {size for size in self._sizes if wanted & {f"{kind}_{size}" for kind in ("REGIONS", *CROP)}}
        # Without crops, as many people as a detector finds.
        limit = min((self._max_people[size] for size in sizes), default=self._detections)
        boxes, scores, found = self._people(inputs, height, width, json.loads(request.parameters() or "{}"), limit)
        outputs: dict[str, NDArray[Any]] = {
            "BOXES": boxes.astype(np.float32),
            "SCORES": scores,
            "PEOPLE_FOUND": np.array([found], np.int32),
        }
        for size in sizes:
            crop_height, crop_width = self._sizes[size]
            # A network takes no tensor without rows: one region without area stands for nobody.
            people = regions(boxes, crop_width / crop_height, self._crop_scale) if len(boxes) else np.zeros((1, 4))
            outputs[f"REGIONS_{size}"] = people.astype(np.float32)
            for name in wanted & {f"{kind}_{size}" for kind in CROP}:
                if "PIXELS" not in inputs:
                    raise ValueError(f"{name} need PIXELS")
                outputs[name] = CROP[name.rpartition("_")[0]](inputs["PIXELS"], people, crop_height, crop_width)
        return outputs

    def _people(
        self,
        inputs: Mapping[str, NDArray[Any]],
        height: int,
        width: int,
        parameters: Mapping[str, object],
        limit: int,
    ) -> tuple[NDArray[Any], NDArray[np.float32], int]:
        """Boxes [n, 4] of at most `limit` people, scores f32 [n], and how many there were before that cut the list."""
        given = inputs.keys() - {"PIXELS", "SIZE"}
        if not given:  # the whole image is one person
            return np.array([[0, 0, width, height]], np.float64), np.ones(1, np.float32), 1
        if given == {"BOXES"}:
            asked = checked_boxes(inputs["BOXES"], height, width, limit)
            return asked, np.ones(len(asked), np.float32), len(asked)
        detections = sorted(given & self._thresholds.keys())
        if len(detections) != 1 or given != {*detections, "SCALE"}:
            names, known = ", ".join(sorted(given)), ", ".join(sorted(self._thresholds))
            raise ValueError(f"beside the image: {names}; accepted are BOXES, one of {known} and SCALE, or nothing")
        defaults = Options(self._thresholds[detections[0]], self._nms_iou, limit)
        options = parse_options(parameters, defaults)
        boxes, scores = detected_boxes(inputs[detections[0]], inputs["SCALE"], height, width, options.score_threshold)
        kept = suppress(boxes, options.nms_iou)
        best = kept[: options.max_people]
        return boxes[best], scores[best], len(kept)

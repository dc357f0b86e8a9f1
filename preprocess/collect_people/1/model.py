"""collect_people: the people that the pose network saw, without the row that stands for nobody."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray
from oks import keep, parse_oks_nms
from poses import collect, pose_scores
from responses import named_set, respond


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        self._oks_nms = float(parameters["oks_nms"]["string_value"])
        self._sigmas = {int(k): v for k, v in json.loads(parameters["oks_sigmas"]["string_value"]).items()}

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        return [respond(request, self._outputs) for request in requests]

    def _outputs(self, request: pb_utils.InferenceRequest) -> dict[str, NDArray[Any]]:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        regions, boxes = inputs["REGIONS"], inputs["BOXES"]
        keypoints = collect(regions, inputs["POSES"])
        if len(keypoints) != len(boxes):
            raise ValueError(
                f"BOXES has {len(boxes)} rows, REGIONS {len(keypoints)} with an area; accepted are as many"
            )
        # Boxes without scores are the client's: all stay, unless the request itself says otherwise.
        default = self._oks_nms if "SCORES" in inputs else 1.0
        max_oks = parse_oks_nms(json.loads(request.parameters() or "{}"), default)
        box_scores = inputs.get("SCORES", np.ones(len(boxes), np.float32))
        found = inputs.get("PEOPLE_FOUND", np.array([len(boxes)], np.int32))
        scores = pose_scores(box_scores, keypoints)
        kept = keep(keypoints, regions, scores, self._sigmas, max_oks)
        outputs = {"BOXES": boxes, "SCORES": box_scores, "KEYPOINTS": keypoints, "POSE_SCORES": scores}
        return {
            **{name: array[kept] for name, array in outputs.items()},
            **named_set(request.requested_output_names(), "KEYPOINT_SET_"),
            "PEOPLE_FOUND": found - np.int32(len(boxes) - len(kept)),
            "KEPT_INDICES": kept.astype(np.int32),
        }

"""collect_people: the people that the pose network saw, without the row that stands for nobody."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray
from oks import USUAL_SIGMA, parse_oks_nms, select, similarity
from poses import collect, pose_scores
from responses import named_set, respond


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        # Number of keypoints -> sigmas: people's poses do not say of which set they are.
        self._sigmas = {int(k): np.array(v) for k, v in json.loads(parameters["oks_sigmas"]["string_value"]).items()}

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
        scores = pose_scores(inputs["SCORES"], keypoints)
        max_oks = parse_oks_nms(json.loads(request.parameters() or "{}"))
        kept = np.arange(len(boxes))
        if max_oks < 1 and len(boxes) > 1:
            sigmas = self._sigmas.get(keypoints.shape[1], np.full(keypoints.shape[1], USUAL_SIGMA))
            kept = select(similarity(keypoints, regions[:, 2:].prod(1), sigmas), scores, max_oks)
        outputs = {"BOXES": boxes, "SCORES": inputs["SCORES"], "KEYPOINTS": keypoints, "POSE_SCORES": scores}
        return {
            **{name: array[kept] for name, array in outputs.items()},
            **named_set(request.requested_output_names(), "KEYPOINT_SET_"),
            "KEPT_INDICES": kept.astype(np.int32),
        }

"""resize_image: an image stretched or padded to the input of one or several networks."""

from __future__ import annotations

import json
from typing import Any

import cv2
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray
from resize import MAKE
from responses import respond


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        outputs = json.loads(args["model_config"])["output"]
        self._sizes = {  # "HxW" -> H, W: one for every input size in use
            output["name"].partition("_")[2]: (int(output["dims"][1]), int(output["dims"][2]))
            for output in outputs
            if len(output["dims"]) == 4  # the images
        }
        cv2.setNumThreads(1)  # instances, not threads, fill the cores

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        return [respond(request, self._outputs) for request in requests]

    def _outputs(self, request: pb_utils.InferenceRequest) -> dict[str, NDArray[Any]]:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        outputs = {}
        for name in request.requested_output_names():
            kind, _, size = name.partition("_")
            outputs[name] = MAKE[kind](inputs["PIXELS"], *self._sizes[size])[None]
        return outputs

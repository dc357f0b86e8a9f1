"""resize_maps: maps of the networks' input size, without what was padded, stretched to the size of the image."""

from __future__ import annotations

import json
from typing import Any

import cv2
import triton_python_backend_utils as pb_utils
from maps import RESIZE, checked_size, cut, of_people
from numpy.typing import NDArray
from responses import respond


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        self._max_pixels, self._max_side = (int(parameters[n]["string_value"]) for n in ("max_pixels", "max_side"))
        cv2.setNumThreads(1)  # instances, not threads, fill the cores

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        return [respond(request, self._outputs) for request in requests]

    def _outputs(self, request: pb_utils.InferenceRequest) -> dict[str, NDArray[Any]]:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        height, width = checked_size(inputs["SIZE"], self._max_pixels, self._max_side)
        outputs = {}
        for name in request.requested_output_names():
            source, resize = RESIZE[name.removesuffix("_OF_PEOPLE")]
            values = inputs[source][0]
            if "BOUNDS" in inputs:
                values = cut(values, inputs["BOUNDS"][0])
            values = resize(values, height, width)
            outputs[name] = of_people(values, inputs["MASK"]) if name.endswith("_OF_PEOPLE") else values
        return outputs

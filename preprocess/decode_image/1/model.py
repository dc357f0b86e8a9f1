"""decode_image: one encoded image in, its pixels and the detectors' letterboxes out."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray
from responses import respond


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        self._max_pixels, self._max_side = (
            int(config["parameters"][name]["string_value"]) for name in ("max_pixels", "max_side")
        )
        self._letterboxes = {  # "HxW" -> H, W: one for every input size of a detector
            output["name"].removeprefix("LETTERBOX_"): (int(output["dims"][0]), int(output["dims"][1]))
            for output in config["output"]
            if output["name"].startswith("LETTERBOX_")
        }
        # OpenCV reads these once, when it is loaded: hence the late import.
        os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(self._max_pixels)
        os.environ["OPENCV_IO_MAX_IMAGE_WIDTH"] = os.environ["OPENCV_IO_MAX_IMAGE_HEIGHT"] = str(self._max_side)
        os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
        import cv2
        import images
        import pi_heif.options
        from PIL import AvifImagePlugin

        cv2.setNumThreads(1)  # instances, not threads, fill the cores
        AvifImagePlugin.DEFAULT_MAX_THREADS = pi_heif.options.DECODE_THREADS = 1
        self._images = images

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        return [respond(request, self._outputs) for request in requests]

    def _outputs(self, request: pb_utils.InferenceRequest) -> dict[str, NDArray[Any]]:
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        image = inputs["IMAGE"]
        if image.shape != (1,):
            raise ValueError(f"IMAGE has shape {list(image.shape)}; accepted is [1], one encoded image")
        pixels = self._images.decode(image[0], self._max_pixels, self._max_side)
        outputs: dict[str, NDArray[Any]] = {"PIXELS": pixels, "SIZE": np.array(pixels.shape[:2], np.int32)}
        wanted = request.requested_output_names()
        for size, (height, width) in self._letterboxes.items():
            box, scale = f"LETTERBOX_{size}", f"SCALE_{size}"
            if {box, scale} & wanted:
                outputs[box], outputs[scale] = self._images.letterbox(pixels, height, width)
        return outputs

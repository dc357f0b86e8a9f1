"""decode_image: one encoded image in, its pixels and the detector's letterbox out."""

import json
import os
import traceback

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        limits = {name: int(config["parameters"][name]["string_value"]) for name in ("max_pixels", "max_side")}
        letterbox = pb_utils.get_output_config_by_name(config, "LETTERBOX")
        self._limits, self._letterbox_size = limits, [int(side) for side in letterbox["dims"][:2]]
        # OpenCV reads these once, when it is loaded: hence the late import.
        os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(limits["max_pixels"])
        os.environ["OPENCV_IO_MAX_IMAGE_WIDTH"] = os.environ["OPENCV_IO_MAX_IMAGE_HEIGHT"] = str(limits["max_side"])
        os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
        import cv2
        import images

        cv2.setNumThreads(1)  # instances, not threads, fill the cores
        self._images = images

    def execute(self, requests):
        return [self._respond(request) for request in requests]

    def _respond(self, request):
        try:
            outputs = self._outputs(request)
            return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outputs.items()])
        except ValueError as error:  # what the client sent
            return _failure(str(error), pb_utils.TritonError.INVALID_ARG)
        except Exception as error:  # a request must not take its neighbours down
            pb_utils.Logger.log_error(traceback.format_exc())
            return _failure(repr(error), pb_utils.TritonError.INTERNAL)

    def _outputs(self, request):
        wanted = request.requested_output_names()
        image = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy()
        if image.shape != (1,):
            raise ValueError(f"IMAGE has shape {list(image.shape)}; accepted is [1], one encoded image")
        pixels = self._images.decode(image[0], **self._limits)
        outputs = {"PIXELS": pixels, "SIZE": np.array(pixels.shape[:2], np.int32)}
        if {"LETTERBOX", "SCALE"} & wanted:
            outputs["LETTERBOX"], outputs["SCALE"] = self._images.letterbox(pixels, *self._letterbox_size)
        return {name: array for name, array in outputs.items() if name in wanted}


def _failure(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))

"""resize_image: an image stretched to a network's input."""

import json
import traceback

import cv2
import triton_python_backend_utils as pb_utils
from resize import stretch


class TritonPythonModel:
    def initialize(self, args):
        dims = pb_utils.get_output_config_by_name(json.loads(args["model_config"]), "RESIZED")["dims"]
        self._size = int(dims[0]), int(dims[1])
        cv2.setNumThreads(1)  # instances, not threads, fill the cores

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
        pixels = pb_utils.get_input_tensor_by_name(request, "PIXELS").as_numpy()
        return {"RESIZED": stretch(pixels, *self._size)}


def _failure(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))

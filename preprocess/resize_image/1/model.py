"""resize_image: an image stretched to the input of one or several networks."""

import json
import traceback

import cv2
import triton_python_backend_utils as pb_utils
from resize import stretch


class TritonPythonModel:
    def initialize(self, args):
        outputs = json.loads(args["model_config"])["output"]
        self._sizes = {output["name"]: (int(output["dims"][0]), int(output["dims"][1])) for output in outputs}
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
        return {name: stretch(pixels, *self._sizes[name]) for name in request.requested_output_names()}


def _failure(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))

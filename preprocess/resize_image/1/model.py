"""resize_image: an image stretched or padded to the input of one or several networks."""

import json
import traceback

import cv2
import triton_python_backend_utils as pb_utils
from resize import MAKE


class TritonPythonModel:
    def initialize(self, args):
        outputs = json.loads(args["model_config"])["output"]
        self._sizes = {  # "HxW" -> H, W: one for every input size in use
            output["name"].partition("_")[2]: (int(output["dims"][1]), int(output["dims"][2]))
            for output in outputs
            if len(output["dims"]) == 4  # the images
        }
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
        outputs = {}
        for name in request.requested_output_names():
            kind, _, size = name.partition("_")
            outputs[name] = MAKE[kind](pixels, *self._sizes[size])[None]
        return outputs


def _failure(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))

"""resize_maps: maps of the networks' input size, without what was padded, stretched to the size of the image."""

import traceback

import cv2
import triton_python_backend_utils as pb_utils
from maps import RESIZE, cut, of_people


class TritonPythonModel:
    def initialize(self, args):
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
        maps = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        size = maps.pop("SIZE")
        mask = maps.pop("MASK", None)
        bounds = maps.pop("BOUNDS", None)
        outputs = {}
        for name in request.requested_output_names():
            source, resize = RESIZE[name.removesuffix("_OF_PEOPLE")]
            values = maps[source][0]
            values = resize(values if bounds is None else cut(values, bounds[0]), size)
            outputs[name] = of_people(values, mask) if name.endswith("_OF_PEOPLE") else values
        return outputs


def _failure(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))

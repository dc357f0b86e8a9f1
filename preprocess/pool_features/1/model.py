"""pool_features: the features of an image, and their mean."""

import traceback

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
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
        features = pb_utils.get_input_tensor_by_name(request, "FEATURE_MAP").as_numpy()[0]
        outputs = {"FEATURES": features, "POOLED": features.mean((1, 2), dtype=np.float32)}
        return {name: array for name, array in outputs.items() if name in request.requested_output_names()}


def _failure(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))

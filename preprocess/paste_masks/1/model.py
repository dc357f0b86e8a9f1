"""paste_masks: the parts of people, or of the whole image, as one mask of the image."""

import traceback

import numpy as np
import triton_python_backend_utils as pb_utils
from paste import paste
from png import encode


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
        inputs = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        parts, regions = inputs["PARTS"], inputs["REGIONS"]
        if "KEPT_INDICES" in inputs:
            parts, regions = parts[inputs["KEPT_INDICES"]], regions[inputs["KEPT_INDICES"]]
        mask, instance_ids = paste(parts, regions, *map(int, inputs["SIZE"]))
        outputs = {"MASK": mask, "INSTANCE_IDS": instance_ids}
        wanted = request.requested_output_names()
        if "MASK_PNG" in wanted:
            outputs["MASK_PNG"] = np.array([encode(mask)], dtype=object)
        return {name: array for name, array in outputs.items() if name in wanted}


def _failure(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))

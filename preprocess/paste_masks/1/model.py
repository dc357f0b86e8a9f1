"""paste_masks: the masks of people, pasted into one of the image."""

import traceback

import triton_python_backend_utils as pb_utils
from paste import paste


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
        names = ("CLASSES", "REGIONS", "SIZE")
        classes, regions, size = (pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in names)
        return {"MASK": paste(classes, regions, *map(int, size))}


def _failure(message, code):
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))

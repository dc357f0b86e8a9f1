"""How a step answers its requests. The same file in every step: Triton shows a model its own folder alone."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray


def respond(
    request: pb_utils.InferenceRequest, outputs: Callable[[pb_utils.InferenceRequest], Mapping[str, NDArray[Any]]]
) -> pb_utils.InferenceResponse:
    """Those `outputs` of the request that it asks for. A ValueError of theirs is about what the client sent."""
    try:
        wanted, arrays = request.requested_output_names(), outputs(request)
        return pb_utils.InferenceResponse([pb_utils.Tensor(n, array) for n, array in arrays.items() if n in wanted])
    except ValueError as error:
        failure = pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
    except Exception as error:  # a request must not take its neighbours down
        pb_utils.Logger.log_error(traceback.format_exc())
        failure = pb_utils.TritonError(repr(error), pb_utils.TritonError.INTERNAL)
    return pb_utils.InferenceResponse(error=failure)

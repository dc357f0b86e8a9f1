"""How a step answers its requests. The same file in every step: Triton shows a model its own folder alone."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

PARAMETERS = ("score_threshold", "nms_iou", "max_people", "oks_nms")  # every step sees those of all steps


def respond(
    request: pb_utils.InferenceRequest, outputs: Callable[[pb_utils.InferenceRequest], Mapping[str, NDArray[Any]]]
) -> pb_utils.InferenceResponse:
    """Those `outputs` of the request that it asks for. A ValueError of theirs is about what the client sent."""
    try:
        check_parameters(request.parameters())
        wanted, arrays = request.requested_output_names(), outputs(request)
        return pb_utils.InferenceResponse([pb_utils.Tensor(n, array) for n, array in arrays.items() if n in wanted])
    except ValueError as error:
        failure = pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
    except Exception as error:  # a request must not take its neighbours down
        pb_utils.Logger.log_error(traceback.format_exc())
        failure = pb_utils.TritonError(repr(error), pb_utils.TritonError.INTERNAL)
    return pb_utils.InferenceResponse(error=failure)


def check_parameters(parameters: str) -> None:
    """ValueError for a name that no step knows, in the JSON of a request's parameters; those of Triton begin with
    `triton_`."""
    unknown = [n for n in json.loads(parameters or "{}") if n not in PARAMETERS and not n.startswith("triton_")]
    if unknown:
        names = ", ".join(f"{name!a:.60}" for name in unknown[:3])
        raise ValueError(f"unknown parameter {names}; accepted are {', '.join(PARAMETERS)}")


def named_set(wanted: Iterable[str], prefix: str) -> dict[str, NDArray[Any]]:
    """The output `<prefix><set>` that a request asks for, whose value is the name of the set: so an ensemble says which
    set its network answers with."""
    return {n: np.array([n.removeprefix(prefix).encode()], object) for n in wanted if n.startswith(prefix)}

"""What the Python-based backends have in common, in the words of Triton's C++ ones: merging and splitting of requests,
errors, the checks of a configuration. It lies beside the model.py of each when Triton is started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Config = Mapping[str, Any]  # a model's configuration, as Triton hands it over


class InferenceError(Exception):
    """The response to a request that failed: its text and the name of Triton's code."""

    def __init__(self, message: str, code: str = "INTERNAL") -> None:
        super().__init__(message)
        self.code = code

    def response(self) -> pb_utils.InferenceResponse:
        """As Triton sends it."""
        code = getattr(pb_utils.TritonError, self.code)
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(self), code))


# Requests


def respond(
    requests: Sequence[pb_utils.InferenceRequest], run: Callable[[Arrays], Arrays], batching: bool
) -> list[pb_utils.InferenceResponse]:
    """One response per request. With `batching` their rows go through `run` together, else each request by itself.

    `run` makes of {input name: array} {output name: array}, of all outputs, or raises InferenceError.
    """
    groups = [requests] if batching else [[request] for request in requests]
    return [response for group in groups for response in _respond_together(group, run, batching)]


def _respond_together(
    requests: Sequence[pb_utils.InferenceRequest], run: Callable[[Arrays], Arrays], batching: bool
) -> list[pb_utils.InferenceResponse]:
    try:
        results = run(merge(requests))
    except InferenceError as error:
        return [error.response() for _ in requests]
    return list(_split(results, requests, batching))


def merge(requests: Sequence[pb_utils.InferenceRequest]) -> Arrays:
    """{input name: array}, the requests' rows one below the other."""
    arrays: dict[str, list[NDArray[Any]]] = {}
    for request in requests:
        for tensor in request.inputs():
            arrays.setdefault(tensor.name(), []).append(tensor.as_numpy())
    return {n: a[0] if len(a) == 1 else np.concatenate(a) for n, a in arrays.items()}


def _split(
    results: Arrays, requests: Sequence[pb_utils.InferenceRequest], batching: bool
) -> Iterator[pb_utils.InferenceResponse]:
    offset = 0
    for request in requests:
        rows = slice(None)
        if batching:
            rows = slice(offset, offset + request.inputs()[0].shape()[0])
            offset = rows.stop
        try:
            wanted = request.requested_output_names()
            parts = {n: _rows_of(n, a, rows, request) for n, a in results.items()}
            yield pb_utils.InferenceResponse([pb_utils.Tensor(n, p) for n, p in parts.items() if n in wanted])
        except InferenceError as error:
            yield error.response()


def _rows_of(name: str, array: NDArray[Any], rows: slice, request: pb_utils.InferenceRequest) -> NDArray[Any]:
    """The request's rows of a merged output; rows beyond the batch belong to nobody."""
    if rows.stop is not None and rows.stop > len(array):
        identity = request.request_id() or "<id_unknown>"
        raise InferenceError(
            f"[request id: {identity}] failed to split the output tensor '{name}' in responses: expected "
            f"batch size of at least {rows.stop} in model output, got {len(array)}",
            "UNSUPPORTED",
        )
    return array[rows]


# Loading


@contextmanager
def loading(words: Callable[[Exception], str] = str) -> Iterator[None]:
    """Any error meanwhile is why the model cannot be loaded, in `words` and without a traceback."""
    try:
        yield
    except Exception as error:
        raise pb_utils.TritonModelException(words(error)) from None


def model_path(args: Mapping[str, str], config: Config, default: str) -> Path:
    """Of the model's file, which need not be there."""
    return Path(args["model_repository"]) / args["model_version"] / (config["default_model_filename"] or default)


def parameters(config: Config) -> dict[str, str]:
    """Name -> text."""
    return {name: parameter.get("string_value", "") for name, parameter in config["parameters"].items()}


def integer(text: str) -> int:
    """The number that a parameter holds. Raises ValueError for another text."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"failed to convert '{text}' to an integer") from None


def boolean(text: str, true: Sequence[str], false: Sequence[str]) -> bool:
    """Whether a parameter holds one of `true`, in capitals or not. Raises ValueError where it is none of `false`."""
    if text.lower() in true:
        return True
    if text.lower() in false:
        return False
    raise ValueError(f"failed to convert '{text}' to boolean")


def check_tensors(
    config: Config, model: str, types: Mapping[str, str], inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> None:
    """A configuration's tensors must be those of the model: all of its inputs, some of its outputs.

    types: Triton's name of a type -> its name in `inputs` and `outputs`, which are the model's: tensor name -> type.
    Raises ValueError where the two differ.
    """
    check_count(len(config["input"]), len(inputs), model)
    for kind, known in (("input", inputs), ("output", outputs)):
        for tensor in config[kind]:
            name, data_type = tensor["name"], tensor["data_type"]
            if name not in known:
                raise ValueError(
                    f"unexpected inference {kind} '{name}', allowed {kind}s are: {', '.join(sorted(known))}"
                )
            check_type(data_type, types, kind, name, model)
            if types[data_type] != known[name]:
                raise ValueError(
                    f"unable to load model '{model}', configuration expects datatype {data_type} for {kind} '{name}', "
                    f"model provides {known[name]}"
                )


def check_count(expected: int, provided: int, model: str) -> None:
    """Raises ValueError for a configuration with another number of inputs than the model's."""
    if expected != provided:
        raise ValueError(
            f"unable to load model '{model}', configuration expects {expected} inputs, model provides {provided}"
        )


def check_type(data_type: str, types: Mapping[str, Any], kind: str, name: str, model: str) -> None:
    """Raises ValueError for a type that the backend does not know; `kind` is input or output, `name` the tensor's."""
    if data_type not in types:
        raise ValueError(f"unsupported datatype {data_type} for {kind} '{name}' for model '{model}'")

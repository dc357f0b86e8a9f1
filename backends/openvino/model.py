"""A Python-based backend that serves models as Triton's C++ OpenVINO backend does, on the CPU.

For a Triton that lacks the C++ one: the same folders and configs, checks of names and types, merging of requests,
parameters, errors. Two things it does not copy: the C++ backend fixes the batch of a model at max_batch_size and, with
ENABLE_BATCH_PADDING, computes that many rows whatever was sent; this one computes the rows there are. And an instance
is a process here, with a compiled model of its own. It does not do text, ragged batches or batch inputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import openvino
import triton_python_backend_utils as pb_utils
from batching import Arrays, Config, InferenceError, check_tensors, loading, model_path, parameters, respond
from openvino import properties
from openvino.properties import hint, streams

TYPES = {
    "TYPE_BOOL": "boolean",
    "TYPE_UINT8": "u8",
    "TYPE_UINT16": "u16",
    "TYPE_UINT32": "u32",
    "TYPE_UINT64": "u64",
    "TYPE_INT8": "i8",
    "TYPE_INT16": "i16",
    "TYPE_INT32": "i32",
    "TYPE_INT64": "i64",
    "TYPE_FP16": "f16",
    "TYPE_FP32": "f32",
}
NUMBERS = {
    "INFERENCE_NUM_THREADS": properties.inference_num_threads,
    "COMPILATION_NUM_THREADS": properties.compilation_num_threads,
}
# Parameter -> OpenVINO's property, and its values; numbers are accepted for NUM_STREAMS too.
CHOICES = {
    "HINT_BF16": (hint.inference_precision, {"yes": openvino.Type.bf16}),
    "NUM_STREAMS": (streams.num, {"auto": streams.Num.AUTO, "numa": streams.Num.NUMA}),
    "PERFORMANCE_HINT": (
        hint.performance_mode,
        {
            mode.lower(): getattr(hint.PerformanceMode, mode)
            for mode in ("LATENCY", "THROUGHPUT", "CUMULATIVE_THROUGHPUT")
        },
    ),
}


class TritonPythonModel:
    @loading()
    def initialize(self, args: Mapping[str, str]) -> None:
        config = json.loads(args["model_config"])
        name = args["model_name"]
        if args["model_instance_kind"] != "CPU":
            raise ValueError(f"unable to load model '{name}', Openvino backend supports only CPU device")
        self._batching = config["max_batch_size"] > 0
        self._outputs = [output["name"] for output in config["output"]]
        core = openvino.Core()
        model = core.read_model(model_file(args, config, name))
        check_tensors(config, name, TYPES, types_of(model.inputs), types_of(model.outputs))
        self._request = core.compile_model(model, "CPU", compile_options(config)).create_infer_request()

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        return respond(requests, self._run, self._batching)

    def _run(self, arrays: Arrays) -> Arrays:
        try:
            self._request.infer(arrays, share_inputs=True)
            return {name: self._request.get_tensor(name).data.copy() for name in self._outputs}
        except Exception as error:
            raise InferenceError(f"openvino error in running inference: {error}") from None


# Loading


def model_file(args: Mapping[str, str], config: Config, model: str) -> Path:
    """Path of the file; raises FileNotFoundError where there is none."""
    path = model_path(args, config, "model.xml")
    if not path.is_file():
        raise FileNotFoundError(f"unable to find '{path}' for model '{model}'")
    return path


def compile_options(config: Config) -> dict[str, Any]:
    """OpenVINO's properties from the parameters of a configuration."""
    options = [hint.enable_cpu_pinning(False)]  # every process would pin its threads to the same first cores
    for key, text in parameters(config).items():
        text = text.lower()
        if key in NUMBERS:
            if not text.isdigit():
                raise ValueError(f"expected the parameter '{key}' to be a non-negative number, got {text}")
            options.append(NUMBERS[key](int(text)))
        elif key in CHOICES:
            option, values = CHOICES[key]
            if key == "NUM_STREAMS" and text.isdigit():
                values = {text: streams.Num(int(text))}
            if text not in values:
                raise ValueError(f"expected the parameter '{key}' to be {'/'.join(values).upper()}, got {text}")
            options.append(option(values[text]))
    return dict(options)


def types_of(tensors: Iterable[openvino.Output]) -> dict[str, str]:
    """Name -> OpenVINO's name of the type."""
    return {tensor.get_any_name(): tensor.get_element_type().get_type_name() for tensor in tensors}

"""A Python-based backend that serves models as Triton's C++ OpenVINO backend does, on the CPU.

For a Triton that lacks the C++ one: the same folders and configs, checks of names and types, merging of requests,
parameters, errors. Two things it does not copy: the C++ backend fixes the batch of a model at max_batch_size and, with
ENABLE_BATCH_PADDING, computes that many rows whatever was sent; this one computes the rows there are. And an instance
is a process here, with a compiled model of its own. It does not do text, ragged batches or batch inputs.
"""

import json
from pathlib import Path

import numpy as np
import openvino
import triton_python_backend_utils as pb_utils
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
    def initialize(self, args):
        try:
            self._load(args)
        except Exception as error:
            raise pb_utils.TritonModelException(str(error)) from None

    def _load(self, args):
        config = json.loads(args["model_config"])
        name = args["model_name"]
        if args["model_instance_kind"] != "CPU":
            raise ValueError(f"unable to load model '{name}', Openvino backend supports only CPU device")
        self._batching = config["max_batch_size"] > 0
        self._outputs = [output["name"] for output in config["output"]]
        core = openvino.Core()
        model = core.read_model(model_file(args, config, name))
        check_tensors(config, model, name)
        self._request = core.compile_model(model, "CPU", compile_options(config)).create_infer_request()

    def execute(self, requests):
        groups = [requests] if self._batching else [[request] for request in requests]
        return [response for group in groups for response in self._answer(group)]

    def _answer(self, requests):
        """One response per request; all get the same error when the merged execution fails."""
        try:
            self._request.infer(merge(requests), share_inputs=True)
            results = {name: self._request.get_tensor(name).data.copy() for name in self._outputs}
        except Exception as error:
            refusal = pb_utils.TritonError(
                f"openvino error in running inference: {error}", pb_utils.TritonError.INTERNAL
            )
            return [pb_utils.InferenceResponse(error=refusal) for _ in requests]
        return list(self._split(results, requests))

    def _split(self, results, requests):
        offset = 0
        for request in requests:
            rows = slice(None)
            if self._batching:
                rows = slice(offset, offset + request.inputs()[0].shape()[0])
                offset = rows.stop
            wanted = set(request.requested_output_names())
            yield pb_utils.InferenceResponse([pb_utils.Tensor(n, a[rows]) for n, a in results.items() if n in wanted])


# Loading


def model_file(args, config, model):
    path = Path(args["model_repository"]) / args["model_version"] / (config["default_model_filename"] or "model.xml")
    if not path.is_file():
        raise FileNotFoundError(f"unable to find '{path}' for model '{model}'")
    return path


def compile_options(config):
    """OpenVINO's properties from the parameters of a configuration."""
    options = [hint.enable_cpu_pinning(False)]  # every process would pin its threads to the same first cores
    for key, parameter in config["parameters"].items():
        text = parameter["string_value"].lower()
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


def check_tensors(config, model, name):
    """The configuration's tensors must be those of the model: all of its inputs, some of its outputs."""
    if len(model.inputs) != len(config["input"]):
        raise ValueError(
            f"unable to load model '{name}', configuration expects {len(config['input'])} inputs, model provides "
            f"{len(model.inputs)}"
        )
    for kind, known in (("input", model.inputs), ("output", model.outputs)):
        known = {tensor.get_any_name(): tensor for tensor in known}
        for tensor in config[kind]:
            if tensor["name"] not in known:
                raise ValueError(
                    f"unexpected inference {kind} '{tensor['name']}', allowed {kind}s are: {', '.join(sorted(known))}"
                )
            if tensor["data_type"] not in TYPES:
                raise ValueError(
                    f"unsupported datatype {tensor['data_type']} for {kind} '{tensor['name']}' for model '{name}'"
                )
            provided = known[tensor["name"]].get_element_type().get_type_name()
            if TYPES[tensor["data_type"]] != provided:
                raise ValueError(
                    f"unable to load model '{name}', configuration expects datatype {tensor['data_type']} for {kind} "
                    f"'{tensor['name']}', model provides {provided}"
                )


# Tensors


def merge(requests):
    """{input name: array}, the requests' rows one below the other."""
    arrays = {}
    for request in requests:
        for tensor in request.inputs():
            arrays.setdefault(tensor.name(), []).append(tensor.as_numpy())
    return {n: a[0] if len(a) == 1 else np.concatenate(a) for n, a in arrays.items()}

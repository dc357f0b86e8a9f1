"""A Python-based backend that serves ONNX files as Triton's C++ ONNX Runtime backend does.

For a Triton that lacks the C++ one: the same folders and configs, checks of names, types and shapes, merging of
requests, errors. It does not do text (TYPE_STRING), scalars, ragged batches, batch inputs or sequence state, nor share
threads between models. Each instance is a process.
"""

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

TYPES = {
    "TYPE_BOOL": "tensor(bool)",
    "TYPE_UINT8": "tensor(uint8)",
    "TYPE_UINT16": "tensor(uint16)",
    "TYPE_UINT32": "tensor(uint32)",
    "TYPE_UINT64": "tensor(uint64)",
    "TYPE_INT8": "tensor(int8)",
    "TYPE_INT16": "tensor(int16)",
    "TYPE_INT32": "tensor(int32)",
    "TYPE_INT64": "tensor(int64)",
    "TYPE_FP16": "tensor(float16)",
    "TYPE_FP32": "tensor(float)",
    "TYPE_FP64": "tensor(double)",
}
TYPE_NAMES = {kind: name for name, kind in TYPES.items()}
LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
MODES = {0: onnxruntime.ExecutionMode.ORT_SEQUENTIAL, 1: onnxruntime.ExecutionMode.ORT_PARALLEL}
# Accelerators of a configuration -> ONNX Runtime's execution providers.
GPU_ACCELERATORS = {"tensorrt": "TensorrtExecutionProvider", "cuda": "CUDAExecutionProvider"}
CPU_ACCELERATORS = {"openvino": "OpenVINOExecutionProvider"}
PRECISIONS = {"FP32": {}, **{p: {f"trt_{p.lower()}_enable": "1"} for p in ("FP16", "BF16", "INT8")}}


class Refused(Exception):
    """An answer to a request that is an error: its text and the name of Triton's code."""

    def __init__(self, message, code="INTERNAL"):
        super().__init__(message)
        self.code = code

    def response(self):
        code = getattr(pb_utils.TritonError, self.code)
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(self), code))


class TritonPythonModel:
    def initialize(self, args):
        try:
            self._load(args)
        except Exception as error:
            raise pb_utils.TritonModelException(ort_message(error)) from None

    def _load(self, args):
        config = json.loads(args["model_config"])
        name = args["model_name"]
        self._batching = config["max_batch_size"] > 0
        self._outputs = [o["name"] for o in config["output"]]
        self._run_options = run_options(config)
        path, options, wanted = model_file(args, config, name), session_options(config), providers(config, args)
        self._session = onnxruntime.InferenceSession(path, options, providers=wanted)
        for provider, _ in wanted:
            if provider not in self._session.get_providers():
                pb_utils.Logger.log_warn(f"{name}: this ONNX Runtime has no {provider}, going on without it")
        check_tensors(config, self._session, name)

    def execute(self, requests):
        groups = [requests] if self._batching else [[request] for request in requests]
        return [response for group in groups for response in self._answer(group)]

    def _answer(self, requests):
        """One response per request; all get the same error when the merged execution fails."""
        try:
            results = self._session.run(self._outputs, merge(requests), self._run_options)
        except Exception as error:
            return [Refused(ort_message(error)).response() for _ in requests]
        return list(self._split(dict(zip(self._outputs, results, strict=True)), requests))

    def _split(self, results, requests):
        offset = 0
        for request in requests:
            rows = slice(None)
            if self._batching:
                rows = slice(offset, offset + request.inputs()[0].shape()[0])
                offset = rows.stop
            try:
                wanted = set(request.requested_output_names())
                parts = {n: rows_of(n, a, rows, request) for n, a in results.items()}
                yield pb_utils.InferenceResponse([pb_utils.Tensor(n, p) for n, p in parts.items() if n in wanted])
            except Refused as refusal:
                yield refusal.response()


# Loading


def model_file(args, config, model):
    """Path of the file; a folder of that name holds it as model.onnx."""
    path = Path(args["model_repository"]) / args["model_version"] / (config["default_model_filename"] or "model.onnx")
    if path.is_dir():
        path = path / "model.onnx"
    if not path.is_file():
        raise FileNotFoundError(f"unable to find '{path}' for model instance '{model}'")
    return str(path)


def session_options(config):
    options = onnxruntime.SessionOptions()
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    options.graph_optimization_level = LEVELS.get(level, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    mode = integer(config, "execution_mode")
    if mode not in MODES:
        raise ValueError(
            f"Invalid configuration value provided. Expected values for  execution_mode are 0 or 1 but got {mode} ."
        )
    options.execution_mode = MODES[mode]
    options.intra_op_num_threads = max(integer(config, "intra_op_thread_count"), 0)
    options.inter_op_num_threads = max(integer(config, "inter_op_thread_count"), 0)
    options.enable_cpu_mem_arena = boolean(config, "enable_mem_arena", True)
    options.enable_mem_pattern = boolean(config, "enable_mem_pattern", True)
    for key, value in config["parameters"].items():
        if key.startswith("session."):
            options.add_session_config_entry(key, value["string_value"])
    return options


def run_options(config):
    key = "memory.enable_memory_arena_shrinkage"
    options = onnxruntime.RunOptions()
    if key in config["parameters"]:
        options.add_run_config_entry(key, config["parameters"][key]["string_value"])
    return options


def providers(config, args):
    """ONNX Runtime's execution providers with their options, in order of preference."""
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    wanted = {}
    if args["model_instance_kind"] == "GPU":
        device = {"device_id": args["model_instance_device_id"]}
        wanted = chosen(accelerators.get("gpu_execution_accelerator", []), GPU_ACCELERATORS)
        wanted.setdefault("CUDAExecutionProvider", {})
        wanted = {provider: options | device for provider, options in wanted.items()}
    wanted |= chosen(accelerators.get("cpu_execution_accelerator", []), CPU_ACCELERATORS)
    return [*wanted.items(), ("CPUExecutionProvider", {})]


def chosen(accelerators, known):
    """Provider -> options of the accelerators that a configuration names."""
    wanted = {}
    for accelerator in accelerators:
        name = accelerator["name"]
        if name not in known:
            raise ValueError(f"unknown Execution Accelerator '{name}' is requested")
        parameters = accelerator.get("parameters", {})
        wanted[known[name]] = tensorrt_options(parameters) if name == "tensorrt" else dict(parameters)
    return wanted


def tensorrt_options(parameters):
    options = {}
    for key, value in parameters.items():
        if key == "precision_mode":
            if value not in PRECISIONS:
                raise ValueError(f"unsupported precision mode '{value}' is requested")
            options |= PRECISIONS[value]
        elif key == "max_workspace_size_bytes":
            options["trt_max_workspace_size"] = value
        else:
            options[key if key.startswith("trt_") else f"trt_{key}"] = value
    return options


def integer(config, name):
    text = config["parameters"].get(name, {"string_value": "0"})["string_value"]
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"failed to convert '{text}' to an integer") from None


def boolean(config, name, default):
    text = config["parameters"].get(name, {"string_value": str(default)})["string_value"]
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise ValueError(f"failed to convert '{text}' to boolean")


def check_tensors(config, session, model):
    """The configuration's tensors must be those of the graph: all of its inputs, some of its outputs."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != len(config["input"]):
        raise ValueError(
            f"unable to load model '{model}', configuration expects {len(config['input'])} inputs, model provides "
            f"{len(inputs)}"
        )
    for kind, known in (("input", inputs), ("output", outputs)):
        known = {tensor.name: tensor for tensor in known}
        for tensor in config[kind]:
            name, data_type = tensor["name"], tensor["data_type"]
            if name not in known:
                raise ValueError(
                    f"unexpected inference {kind} '{name}', allowed {kind}s are: {', '.join(sorted(known))}"
                )
            if data_type not in TYPES:
                raise ValueError(f"unsupported datatype {data_type} for {kind} '{name}' for model '{model}'")
            if TYPES[data_type] != known[name].type:
                provided = TYPE_NAMES.get(known[name].type, "TYPE_<invalid>")
                raise ValueError(
                    f"unable to load model '{model}', configuration expects datatype {data_type} for {kind} '{name}', "
                    f"model provides {provided}"
                )
            if tensor.get("optional") and config["max_batch_size"] > 0:
                raise ValueError(
                    f"unable to load model '{model}', optional input '{name}' is not supported for models that "
                    "support batching"
                )
            check_shape(tensor, known[name], config["max_batch_size"] > 0, kind == "output", model)


def check_shape(tensor, known, batching, exactly, model):
    """A graph's free dimension takes any of an input's, but of an output only a free one."""
    provided = [d if isinstance(d, int) else -1 for d in known.shape]
    dims = [int(d) for d in tensor.get("reshape", {}).get("shape", tensor["dims"])]
    if batching and provided[:1] != [-1]:
        raise ValueError(
            f"model '{model}', tensor '{known.name}': for the model to support batching the shape should have at "
            f"least 1 dimension and the first dimension must be -1; but shape expected by the model is {text(provided)}"
        )
    full = [-1, *dims] if batching else dims
    fits = len(full) == len(provided) and all(
        p == f or (p == -1 and not exactly) for p, f in zip(provided, full, strict=True)
    )
    if not fits:
        about = (
            "an initial batch dimension because max_batch_size > 0 followed by the explicit tensor shape, making "
            "complete shape"
            if batching
            else "shape"
        )
        raise ValueError(
            f"model '{model}', tensor '{known.name}': the model expects {len(provided)} dimensions (shape "
            f"{text(provided)}) but the model configuration specifies {len(full)} dimensions ({about} {text(full)})"
        )


def text(shape):
    return f"[{','.join(map(str, shape))}]"


# Tensors


def merge(requests):
    """{input name: array}, the requests' rows one below the other."""
    arrays = {}
    for request in requests:
        for tensor in request.inputs():
            arrays.setdefault(tensor.name(), []).append(tensor.as_numpy())
    return {n: a[0] if len(a) == 1 else np.concatenate(a) for n, a in arrays.items()}


def rows_of(name, array, rows, request):
    """The request's rows of a merged output; rows beyond the batch belong to nobody."""
    if rows.stop is not None and rows.stop > len(array):
        identity = request.request_id() or "<id_unknown>"
        raise Refused(
            f"[request id: {identity}] failed to split the output tensor '{name}' in responses: expected "
            f"batch size of at least {rows.stop} in model output, got {len(array)}",
            "UNSUPPORTED",
        )
    return array[rows]


def ort_message(error):
    """ONNX Runtime's complaint in the words of the C++ backend."""
    found = re.fullmatch(r"(?s)\[ONNXRuntimeError\] : (\d+) : \w+ : (.*)", str(error))
    return f"onnx runtime error {found[1]}: {found[2]}" if found else str(error)

"""A Python-based backend that serves TorchScript files as Triton's C++ PyTorch backend does.

For a Triton that lacks the C++ one: the same folders and configs, naming rules, merging of requests, errors.
It does not do text (TYPE_STRING), ragged batches, batch inputs or sequence state. Each instance is a process.
"""

import contextlib
import json
import re
from pathlib import Path

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

DTYPES = {
    "TYPE_BOOL": torch.bool,
    "TYPE_UINT8": torch.uint8,
    "TYPE_INT8": torch.int8,
    "TYPE_INT16": torch.int16,
    "TYPE_INT32": torch.int32,
    "TYPE_INT64": torch.int64,
    "TYPE_FP16": torch.float16,
    "TYPE_FP32": torch.float32,
    "TYPE_FP64": torch.float64,
}
TYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
TORCHSCRIPT_NAMES = {type(None): "None", tuple: "Tuple", float: "Double", int: "Int", bool: "Bool"}
DICT_OF_TENSORS = "Dict(str, Tensor)"


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
            raise pb_utils.TritonModelException(str(error)) from None

    def _load(self, args):
        config = json.loads(args["model_config"])
        name = args["model_name"]
        check_config(config, name)
        self._parameters = Parameters(config)
        self._parameters.apply()
        self._batching = config["max_batch_size"] > 0
        self._device = device_of(args)
        self._module = load_module(model_file(args, config), self._device, name, self._parameters)
        self._arguments = map_inputs([i["name"] for i in config["input"]], forward_arguments(self._module), name)
        self._outputs = map_outputs([o["name"] for o in config["output"]])
        self._types = {o["name"]: o["data_type"] for o in config["output"]}

    def execute(self, requests):
        groups = [requests] if self._batching else [[request] for request in requests]
        return [response for group in groups for response in self._answer(group)]

    def _answer(self, requests):
        """One response per request; all get the same error when the merged execution fails."""
        try:
            results = self._configured(self._run(merge(requests)))
        except Refused as refusal:
            return [refusal.response() for _ in requests]
        return list(self._split(results, requests))

    def _run(self, arrays):
        """What the network returns for {input name: array}, as a tuple of tensors."""
        try:
            with self._parameters.execution():
                tensors = {n: torch.from_numpy(a).to(self._device or "cpu") for n, a in arrays.items()}
                return as_tensors(self._module(*self._arguments(tensors)))
        except Exception as error:
            raise Refused(f"PyTorch execute failure: {error}") from None
        finally:
            if self._parameters.cache_cleaning:
                torch.cuda.empty_cache()

    def _configured(self, returned):
        """Output name -> array, for every output of the configuration."""
        return {n: as_array(n, i, returned, self._types[n]) for n, i in self._outputs.items()}

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


def check_config(config, model):
    """Refuse what the C++ backend refuses before it looks at the network."""
    if not config["output"]:
        raise ValueError("model configuration must contain at least one output, none were specified.")
    for kind in ("input", "output"):
        for tensor in config[kind]:
            name, dtype = tensor["name"], tensor["data_type"]
            if dtype not in DTYPES:
                raise ValueError(f"unsupported datatype {dtype} for {kind} '{name}' for model '{model}'")
            if tensor.get("optional"):
                raise ValueError(
                    f"'optional' is set to true for input '{name}' while the backend model doesn't support "
                    "optional input"
                )


class Parameters:
    """The backend's parameters in a model's configuration."""

    def __init__(self, config):
        self._texts = {k: v["string_value"] for k, v in config["parameters"].items()}
        self._inference_mode = self._bool("INFERENCE_MODE", True)
        self._optimized = not self._bool("DISABLE_OPTIMIZED_EXECUTION", False)
        self.cache_cleaning = self._bool("ENABLE_CACHE_CLEANING", False)
        self._bool("ENABLE_WEIGHT_SHARING", False)  # of no effect: instances are processes

    def apply(self):
        """Set what holds for the whole process, which is this one instance's."""
        if self._bool("DISABLE_CUDNN", False):
            torch.backends.cudnn.enabled = False
        for name, switch in (
            ("ENABLE_JIT_EXECUTOR", torch._C._jit_set_profiling_executor),
            ("ENABLE_JIT_PROFILING", torch._C._jit_set_profiling_mode),
            ("ENABLE_TENSOR_FUSER", torch._C._jit_set_texpr_fuser_enabled),
        ):
            if name in self._texts:
                switch(self._bool(name, True))
        for name, set_threads in (
            ("INTER_OP_THREAD_COUNT", torch.set_num_interop_threads),
            ("INTRA_OP_THREAD_COUNT", torch.set_num_threads),
        ):
            if (count := self._int(name, 0)) > 0:
                set_threads(count)

    def no_gradients(self):
        return torch.inference_mode() if self._inference_mode else torch.no_grad()

    @contextlib.contextmanager
    def execution(self):
        with self.no_gradients(), torch.jit.optimized_execution(self._optimized):
            yield

    def _bool(self, name, default):
        text = self._texts.get(name, str(default))
        if text.lower() in ("true", "on", "1"):
            return True
        if text.lower() in ("false", "off", "0"):
            return False
        raise ValueError(f"failed to convert '{text}' to boolean")

    def _int(self, name, default):
        text = self._texts.get(name, str(default))
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"failed to convert '{text}' to an integer") from None


def device_of(args):
    """The instance's device; None (KIND_MODEL) leaves a network where it was saved, its inputs on the CPU."""
    kind = args["model_instance_kind"]
    if kind == "GPU":
        return torch.device(f"cuda:{args['model_instance_device_id']}")
    return torch.device("cpu") if kind == "CPU" else None


def model_file(args, config):
    name = config.get("default_model_filename") or "model.pt"
    return Path(args["model_repository"]) / args["model_version"] / name


def load_module(path, device, model, parameters):
    """The network as it was saved: also the C++ backend does not call eval()."""
    if not path.is_file():
        raise FileNotFoundError(f"unable to find '{path}' for model instance '{model}'")
    try:
        with parameters.no_gradients():
            return torch.jit.load(str(path), map_location=device)
    except Exception as error:
        raise ValueError(f"failed to load model '{model}': {error}") from None


def forward_arguments(module):
    """Name -> type of the arguments of forward()."""
    if not hasattr(module, "forward"):
        raise ValueError("the network has no method forward()")
    return {argument.name: argument.type.str() for argument in module.forward.schema.arguments[1:]}


# Names


def index_of(name):
    """1 of `INPUT__1`, None where the first "__" is not followed by digits alone."""
    found = re.fullmatch(r"(?s).*?__(.*)", name)
    return int(found[1]) if found and re.fullmatch(r"[0-9]+", found[1]) else None


def map_inputs(names, arguments, model):
    """A function from {input name: tensor} to the arguments of forward().

    By argument name when all inputs bear one, else by `__<index>` when all have one, else in config order.
    """
    if list(arguments.values()) == [DICT_OF_TENSORS]:
        return lambda tensors: ({name: tensors[name] for name in names},)
    for kind in arguments.values():
        if kind != "Tensor":
            raise ValueError(
                f"An input of type '{kind}' was detected in the model. Only a single input of type "
                f"{DICT_OF_TENSORS} or input(s) of type Tensor are supported."
            )
    if len(names) != len(arguments):
        raise ValueError(
            f"unable to load model '{model}', configuration expects {len(names)} inputs, model provides "
            f"{len(arguments)}"
        )
    order = order_of(names, list(arguments))
    return lambda tensors: [tensors[name] for name in order]


def order_of(names, arguments):
    """The input names in the order of forward()'s arguments."""
    if set(names) == set(arguments):
        return arguments
    indices = [index_of(name) for name in names]
    if None in indices:
        return names
    if sorted(indices) != list(range(len(names))):
        raise ValueError(f"the indices of {', '.join(names)} must be 0 to {len(names) - 1}, each once")
    return [name for _, name in sorted(zip(indices, names, strict=True))]


def map_outputs(names):
    """Output name -> index in what forward() returns: by `__<index>` when all have one, else in order."""
    indices = [index_of(name) for name in names]
    return dict(zip(names, range(len(names)) if None in indices else indices, strict=True))


# Tensors


def merge(requests):
    """{input name: array}, the requests' rows one below the other."""
    arrays = {}
    for request in requests:
        for tensor in request.inputs():
            arrays.setdefault(tensor.name(), []).append(tensor.as_numpy())
    return {n: a[0] if len(a) == 1 else np.concatenate(a) for n, a in arrays.items()}


def as_tensors(returned):
    """A tensor or a flat tuple of tensors, as a tuple; anything else is an error."""
    if isinstance(returned, torch.Tensor):
        return (returned,)
    if isinstance(returned, tuple):
        for element in returned:
            if not isinstance(element, torch.Tensor):
                kind = TORCHSCRIPT_NAMES.get(type(element), type(element).__name__)
                raise TypeError(f"Expected Tensor but got {kind}")
        return returned
    if isinstance(returned, list):
        raise TypeError("output must be of type Tensor or List[str], received List[Tensor]")
    raise TypeError(
        "output must be of type Tensor, List[str] or Tuple containing one of these two types. "
        "It should not be a List / Dictionary of Tensors or a Scalar"
    )


def as_array(name, index, returned, data_type):
    """Output `index` as an array in the memory of the CPU, of the type that the configuration promises."""
    if index >= len(returned):
        raise Refused(
            f"The output {name} in the model configuration refers to an output index which doesn't exist. "
            f"This model has {len(returned)} outputs",
            "INVALID_ARG",
        )
    tensor = returned[index]
    if tensor.layout != torch.strided:
        raise Refused(f"output tensor '{name}' is not found")
    provided = TYPE_NAMES.get(tensor.dtype, "TYPE_<invalid>")
    if provided != data_type:
        raise Refused(
            f"configuration expects datatype {data_type} for output '{name}', model provides {provided}",
            "INVALID_ARG",
        )
    if tensor.dim() == 0:
        raise Refused(f"output '{name}' is a scalar which is not supported.", "INVALID_ARG")
    return tensor.detach().cpu().contiguous().numpy()


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

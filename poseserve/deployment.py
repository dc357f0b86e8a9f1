"""How a network is served: in which precision and by which engine, on what, in how many instances."""

from __future__ import annotations

from dataclasses import dataclass

from poseserve.errors import InputError
from poseserve.tasks import DETECTIONS

FORMATS = {"torchscript": "model.pt", "onnx": "model.onnx", "openvino": "model.onnx"}
ACCELERATORS = ("tensorrt",)
INSTALL = "`pip install --constraint constraints.txt -e '.[{}]'` in the checkout"  # the packages of an engine
PRECISIONS = ("fp32", "bf16", "fp16")
TRIED_PRECISIONS = ("fp32", "bf16")  # by `poseserve tune`
REQUEST_ROWS = 4  # of the requests that it sends
MAX_INSTANCES, MAX_THREADS, MAX_DELAY_US = 64, 1024, 1_000_000


@dataclass(frozen=True)
class Deployment:
    """How a network is served. format: the engine; openvino reads the ONNX file too, on CPUs alone. gpus: their
    numbers, empty for all (or the CPU where there is none); instances: on each. threads: of each instance on the CPU, 0
    for as many as there are cores; instances x threads <= cores is the rule. delay_us: microseconds that a request
    waits for others to share its batch. max_people: rows that a pose or parts network takes at once, so the most people
    of one image. flip_test: average the answers to a crop and to its mirror image, at twice the cost. accelerator: of
    ONNX Runtime, tensorrt. detector: the installed detector that finds what a pose or parts network looks at, empty for
    the default."""

    precision: str = "fp32"
    format: str = "torchscript"
    gpus: tuple[int, ...] = ()
    instances: int = 1
    threads: int = 0
    delay_us: int = 0
    max_people: int = DETECTIONS
    flip_test: bool = False
    accelerator: str = ""
    detector: str = ""

    def __post_init__(self) -> None:
        for name, value, accepted in (
            ("precision", self.precision, PRECISIONS),
            ("format", self.format, FORMATS),
            ("accelerator", self.accelerator, ("", *ACCELERATORS)),
        ):
            if value not in accepted:
                raise InputError(f"{name} {value!r}, must be one of {', '.join(filter(None, accepted))}")
        if self.accelerator and self.format != "onnx":
            raise InputError(f"accelerator {self.accelerator} is one of ONNX Runtime: it needs --format onnx")
        if self.format == "onnx" and self.precision == "bf16":
            raise InputError("ONNX Runtime computes no bf16 on a CPU: fp32 or fp16 with --format onnx")
        if self.format == "openvino" and self.precision != "bf16":
            raise InputError("OpenVINO computes in bf16 where the CPU can: --precision bf16 with --format openvino")
        if self.format == "openvino" and self.gpus:
            raise InputError("Triton's OpenVINO backend serves on CPUs: no --gpus with --format openvino")
        for name, number, least, most in (
            ("instances", self.instances, 1, MAX_INSTANCES),
            ("threads", self.threads, 0, MAX_THREADS),
            ("delay_us", self.delay_us, 0, MAX_DELAY_US),
            ("max_people", self.max_people, 1, DETECTIONS),
        ):
            if not least <= number <= most:
                raise InputError(f"{name} {number}, must be {least} to {most}")

    @property
    def weights(self) -> str:
        """Precision of the exported file; OpenVINO rounds what it reads."""
        return "fp32" if self.format == "openvino" else self.precision

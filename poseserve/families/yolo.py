"""YOLO detectors that their owners exported to TorchScript or ONNX, and others that answer alike, for RGB 0..1 of any
size. No code of the YOLO projects is needed, or used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from poseserve.errors import InputError
from poseserve.families.boxes import best_rows, check_classes
from poseserve.families.family import Family, Opened
from poseserve.families.files import is_onnx

if TYPE_CHECKING:
    from poseserve.catalogue import Network


@dataclass(frozen=True)
class PredictionFormat:
    """How an export writes its predictions, each cx, cy, w, h in input pixels, then the values from which scores come.

    objectness: a probability of "something is here", by which those of the classes are multiplied, stands before them.
    boxes_last: [B, values, N] instead of [B, N, values].
    """

    objectness: bool
    boxes_last: bool


LAYOUTS = {
    "v5": PredictionFormat(objectness=True, boxes_last=False),
    "v8": PredictionFormat(objectness=False, boxes_last=True),
}
ONNX_TYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16}


def load(
    path: Path, layout: str, input_size: tuple[int, int] = (640, 640), classes: Sequence[int] = (0,)
) -> "Yolo | OnnxYolo":
    """The export as a network: RGB 0..1 [B, 3, H, W] of its `dtype`, B up to its `chunk` -> predictions for `Decode`.

    Raises ValueError when the file is neither TorchScript nor ONNX, when it takes something else, or when what it
    answers does not have that layout, or not all of those `classes`.
    """
    if layout not in LAYOUTS:
        raise InputError(f"unknown layout {layout!r}, must be one of {', '.join(LAYOUTS)}")
    try:
        network = OnnxYolo(path) if is_onnx(path) else Yolo(torch.jit.load(str(path), map_location="cpu"))
    except ImportError as error:
        raise InputError(f"{path} is ONNX, which needs more packages: pip install 'poseserve[onnx]'") from error
    except RuntimeError as error:
        raise InputError(
            f"{path} is no TorchScript or ONNX file; export it with the YOLO project's own tool"
        ) from error
    height, width = input_size
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(network.dtype)
    try:
        with torch.inference_mode():
            raw = network(noise).float()
    except Exception as error:  # ONNX Runtime's exceptions have nothing else in common
        raise InputError(f"{path} does not answer an image of {height} x {width} pixels: {error}") from error
    about = LAYOUTS[layout]
    if difference := _difference(raw, about, max(classes), height * width):
        form = "[1, 4 + classes, boxes]" if about.boxes_last else "[1, boxes, 5 + classes]"
        raise InputError(
            f"{path} answers {list(raw.shape)} with {difference}, layout {layout} is {form} before suppression; "
            f"try another of {', '.join(LAYOUTS)}, or export without suppression"
        )
    check_classes(str(path), classes, raw.shape[1 if about.boxes_last else 2] - 4 - about.objectness)
    return network.eval()


def _difference(raw: Tensor, about: PredictionFormat, last_class: int, pixels: int) -> str:
    """What shows that the answer to one image of so many pixels is not in that format, or comes from after suppression;
    empty if nothing does. Behind the scores there may be more: of keypoints, of masks."""
    if raw.dim() != 3:
        return f"{raw.dim()} dimensions"
    boxes = (raw.transpose(1, 2) if about.boxes_last else raw)[0]
    # One box for each cell of the coarsest grid, of 32 pixels, even small detectors have; suppression leaves fewer.
    if boxes.shape[1] < 5 + about.objectness or boxes.shape[0] < max(boxes.shape[1], pixels // 32**2):
        return f"{boxes.shape[0]} boxes of {boxes.shape[1]} values"
    scores = boxes[:, 4 : 5 + about.objectness + last_class]
    if not ((scores > -0.01) & (scores < 1.01)).all():  # with room for rounding; the negation finds NaN too
        return "scores outside 0..1"
    # Suppression leaves the best first, and of each its one score and the number of its class.
    if about.objectness and (scores[:-1, 0] >= scores[1:, 0]).all() and (scores[:, 1:] % 1 == 0).all():
        return "numbers of classes where their scores should be"
    return ""


class Yolo(nn.Module):
    """Exports answer with the predictions alone, or with a tuple that begins with them."""

    dtype, chunk = torch.float32, 4

    def __init__(self, exported: nn.Module) -> None:
        super().__init__()
        self.exported = exported

    def forward(self, x: Tensor) -> Tensor:
        answer = self.exported(x)
        return answer if isinstance(answer, Tensor) else answer[0]


class OnnxYolo(nn.Module):
    """An ONNX export, answered by ONNX Runtime. No trace sees into that: export_onnx serves the graph `model` itself.

    chunk: images at once, 1 where the export's batch is fixed.
    """

    def __init__(self, path: Path) -> None:
        import onnx  # optional packages
        import onnxruntime

        super().__init__()
        self.path = path
        try:
            self.model = onnx.load(path)
            self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # see load
            raise InputError(f"ONNX Runtime cannot load {path}: {error}") from error
        takes = [(x.type, x.shape) for x in self.session.get_inputs()]
        kind, shape = takes[0] if len(takes) == 1 else ("", [0])
        fixed = isinstance(shape[0], int)
        if kind not in ONNX_TYPES or (fixed and shape[0] != 1):
            raise InputError(
                f"{path} takes {takes}, must be one of {', '.join(ONNX_TYPES)} for one image, or any number of them; "
                "export it so"
            )
        self.dtype, self.chunk = ONNX_TYPES[kind], 1 if fixed else 4

    def forward(self, x: Tensor) -> Tensor:
        if torch.jit.is_tracing():
            raise InputError(f"{self.path} is ONNX and cannot become TorchScript: give --format onnx")
        return torch.from_numpy(self.session.run(None, {self.session.get_inputs()[0].name: x.numpy()})[0])


class Decode(nn.Module):
    """Raw predictions -> f32 [B, 100, 5] x1, y1, x2, y2, score in input pixels, best first, score 0 = empty row.

    classes: indices of those that are served; the best of them is the score of a box.
    """

    classes: Tensor

    def __init__(self, layout: str, classes: Sequence[int] = (0,), input_size: tuple[int, int] = (640, 640)) -> None:
        super().__init__()
        self.objectness, self.boxes_last = LAYOUTS[layout].objectness, LAYOUTS[layout].boxes_last
        self.height, self.width = input_size
        self.register_buffer("classes", torch.tensor(classes))

    def forward(self, raw: Tensor) -> Tensor:
        raw = raw.float()
        if self.boxes_last:
            raw = raw.transpose(1, 2)
        centre, half = raw[..., :2], raw[..., 2:4] / 2
        first = 5 if self.objectness else 4
        scores = raw.index_select(2, first + self.classes).amax(2)
        if self.objectness:
            scores = scores * raw[..., 4]
        return best_rows(torch.cat([centre - half, centre + half], 2), scores, self.height, self.width)


def opened(network: "Network", checkpoint: Path, config: Path | None) -> Opened:
    """The export in `checkpoint`, whose layout is the network's size."""
    exported = load(checkpoint, network.size, network.input_size, network.class_indices)
    decode = Decode(network.size, network.class_indices, network.input_size)
    return Opened(exported, decode, (0.0,) * 3, (255.0,) * 3, exported.dtype, exported.chunk)


FAMILY = Family(
    outputs={"detector": lambda network: Decode(network.size, network.class_indices, network.input_size)},
    open=opened,
    input_size=(640, 640),
    options=("class_indices",),
)

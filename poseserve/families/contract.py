"""Networks that keep the contract of their task already (docs/contracts.md): TorchScript or ONNX files of anybody's,
served as they are, after a dry run (poseserve/export/as_is.py)."""

from torch import nn

from poseserve.families.family import Family
from poseserve.tasks import TASKS

FAMILY = Family(
    outputs={task: lambda network: nn.Identity() for task in ("pose", *TASKS)},
    as_is=True,
    options=("channels",),
)

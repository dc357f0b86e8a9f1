"""What is ours of mmdet's detectors: which scores are served. That they answer as mmdet does, tests/parity shows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from poseserve.families.mmdet import SingleStage

INPUT = (32, 32)


class DistancePointBBoxCoder:
    """Named as mmdet's."""


class Head(nn.Module):
    use_sigmoid_cls, bbox_coder = True, DistancePointBBoxCoder()
    prior_generator = SimpleNamespace(grid_priors=lambda sizes, device: [torch.zeros(h * w, 2) for h, w in sizes])


class Detector(nn.Module):
    """Logits of three classes, distances and centreness of two levels."""

    def __init__(self) -> None:
        super().__init__()
        self.bbox_head = Head()

    def forward(self, x: Tensor, mode: str) -> tuple[list[Tensor], ...]:
        assert mode == "tensor"
        cells = [nn.functional.avg_pool2d(x, side) for side in (8, 16)]
        classes = [torch.cat([cell[:, :1] * n for n in (3, 1, 2)], 1) for cell in cells]
        return classes, [cell[:, :1].expand(-1, 4, -1, -1) for cell in cells], [cell[:, 1:2] for cell in cells]


@pytest.mark.parametrize(("classes", "best"), [((0,), 3), ((1,), 1), ((1, 2), 2), ((2, 0, 1), 3)])
def test_the_best_of_the_classes_scores_a_box(classes, best):
    images = torch.rand(2, 3, *INPUT)
    rows = SingleStage(Detector(), bgr=False, classes=classes, input_size=INPUT)(images)
    red, green = (
        torch.cat([c.flatten(1) for c in channel], 1)
        for channel in zip(
            *(nn.functional.avg_pool2d(images[:, :2], side).split(1, 1) for side in (8, 16)), strict=True
        )
    )
    torch.testing.assert_close(rows[..., 4], (red * best).sigmoid() * green.sigmoid())


def test_a_class_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="the detector has 3 classes: there is none with the index 3, 7"):
        SingleStage(Detector(), bgr=False, classes=(3, 1, 7), input_size=INPUT)

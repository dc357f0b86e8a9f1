"""From a detector's many overlapping boxes to the 100 rows of its contract."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from poseserve.defaults import NMS_IOU
from poseserve.errors import InputError


def best_rows(
    boxes: Tensor,
    scores: Tensor,
    height: int,
    width: int,
    rows: int = 100,
    candidates: int = 1000,
    min_score: float = 0.05,
    iou: float = NMS_IOU,
) -> Tensor:
    """f32 [B, N, 4] x1, y1, x2, y2 and [B, N] scores 0..1 -> f32 [B, rows, 5] boxes and scores, best first, 0 = empty.

    Boxes are clipped to `height` x `width`; those without area or not above `min_score` are left out. The rows go first
    to the boxes that greedy suppression at `iou`, the default of requests, leaves of the best `candidates`, so that no
    crowd of duplicates takes a person's row; what remains goes to the best duplicates, so that a request with a higher
    threshold still has something to decide about.
    """
    x1, x2 = boxes[..., 0].clamp(0, width), boxes[..., 2].clamp(0, width)
    y1, y2 = boxes[..., 1].clamp(0, height), boxes[..., 3].clamp(0, height)
    real = (scores > min_score) & (x2 > x1) & (y2 > y1)
    # The fullest image of the batch says how many candidates there are: mostly far fewer than allowed.
    count = min(max(int(real.sum(1).max()), rows), candidates, scores.shape[1])
    table = torch.stack([x1, y1, x2, y2, scores], 2)
    table = torch.where(real.unsqueeze(2), table, torch.zeros_like(table))
    score, index = table[..., 4].topk(count, dim=1)
    table = table.gather(1, index.unsqueeze(2).expand(-1, -1, 5))

    stay = survivors(table[..., :4], score > 0, iou)
    chosen = (score + stay).topk(min(rows, count), dim=1)[1].sort(dim=1)[0]  # candidates are in order of score
    table = table.gather(1, chosen.unsqueeze(2).expand(-1, -1, 5))
    return F.pad(table, [0, 0, 0, rows - table.shape[1]])


def cells(input_size: tuple[int, int], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Of every cell of an image of `input_size` (H, W), stride after stride and row by row: its corner x, y in pixels,
    f32 [N, 2], and its stride, f32 [N, 1]."""
    corners, sides = [], []
    for stride in strides:
        y, x = torch.meshgrid(*(torch.arange(0.0, side, stride) for side in input_size), indexing="ij")
        corners.append(torch.stack([x, y], 2).flatten(0, 1))
        sides.append(torch.full((x.numel(), 1), float(stride)))
    return torch.cat(corners), torch.cat(sides)


def around(points: Tensor, distances: Tensor) -> Tensor:
    """Boxes [B, N, 4] x1, y1, x2, y2 around points [N, 2], of which distances [B, N, 4] to the left, top, right and
    bottom are known."""
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], 2)


def check_classes(source: str, wanted: Sequence[int], classes: int) -> None:
    """Raise InputError where the detector of `source` has no class of one of the indices `wanted`."""
    if none := [index for index in wanted if index >= classes]:
        raise InputError(f"{source} has {classes} classes: there is none with the index {', '.join(map(str, none))}")


def survivors(boxes: Tensor, real: Tensor, iou: float) -> Tensor:
    """Greedy non-maximum suppression of boxes [B, N, 4] in order of score: which of the `real` ones stay, bool [B, N].

    A box stays unless one before it that stays overlaps it by more than `iou`. All at once: start from everybody and
    apply that sentence until nothing changes, which ends in the greedy answer after as many rounds as the longest chain
    of suppressions has links, a handful (Cluster-NMS: Zheng et al., "Enhancing Geometric Factors in Model Learning and
    Inference for Object Detection and Instance Segmentation", IEEE Transactions on Cybernetics, 2021).
    """
    sides = boxes.permute(2, 0, 1).contiguous()  # four rows of numbers: several times faster than columns
    x1, y1, x2, y2 = sides.unsqueeze(2).unbind()
    u1, v1, u2, v2 = sides.unsqueeze(3).unbind()
    shared = (torch.min(x2, u2) - torch.max(x1, u1)).clamp(min=0) * (torch.min(y2, v2) - torch.max(y1, v1)).clamp(min=0)
    union = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared
    rivals = (shared > iou * union).float().triu(1)  # [B, better, worse]
    stay, before = real, torch.zeros_like(real)
    while bool((stay != before).any()):
        before = stay
        stay = real & (before.float().unsqueeze(1).bmm(rivals)[:, 0] < 0.5)
    return stay

"""Train a demo network: `python -m demo.train pose`. Interrupted, the same command goes on from its last checkpoint.

geometry is depth and normals. All but detector and pose begin with the trunk of pose, to be trained before them.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from demo.body import KEYPOINTS
from demo.networks import Detector, Geometry, Parts, Pose
from demo.samples import Samples
from poseserve.networks.contracts import Normalise

CHECKPOINTS = Path(__file__).parent / ".cache" / "checkpoints"
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "detector": Detector,
    "pose": Pose,
    "parts": Parts,
    "pose_133": partial(Pose, KEYPOINTS),
    "geometry": Geometry,
}
BATCH = {"detector": 16, "pose": 64, "parts": 20, "pose_133": 32, "geometry": 12}
STEPS = {"detector": 2700, "pose": 4600, "parts": 13300, "pose_133": 4600, "geometry": 3600}
SAVE_EVERY = 250
HEATMAP_SIGMA = 2.0


def detector_loss(raw: Tensor, peaks: Tensor, weights: Tensor, boxes: Tensor) -> Tensor:
    """Focal loss of the peaks (Law & Deng, "CornerNet", 2018) and GIoU loss of the boxes around them."""
    logit, score = raw[:, 0], raw[:, 0].sigmoid()
    positive = peaks == 1
    focal = torch.where(
        positive, (1 - score) ** 2 * F.logsigmoid(logit), (1 - peaks) ** 4 * score**2 * F.logsigmoid(-logit)
    )
    cells = torch.arange(raw.shape[2]) + 0.5
    sides = raw[:, 1:].clamp(max=5).exp()
    x, y = cells.view(1, 1, -1), cells.view(1, -1, 1)
    found = torch.stack([x - sides[:, 0], y - sides[:, 1], x + sides[:, 2], y + sides[:, 3]], 1)
    overlap = (
        (torch.minimum(found[:, 2:], boxes[:, 2:]) - torch.maximum(found[:, :2], boxes[:, :2])).clamp(min=0).prod(1)
    )
    union = _area(found) + _area(boxes) - overlap
    hull = (torch.maximum(found[:, 2:], boxes[:, 2:]) - torch.minimum(found[:, :2], boxes[:, :2])).prod(1)
    giou = overlap / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)
    people = positive.sum().clamp(min=1)
    return -focal.sum() / people + 2 * ((1 - giou) * weights).sum() / weights.sum().clamp(min=1)


def _area(boxes: Tensor) -> Tensor:
    """[B, 4, ...] x1, y1, x2, y2 -> [B, ...]."""
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)


def pose_loss(heatmaps: Tensor, keypoints: Tensor) -> Tensor:
    """Squared error to Gaussians at the exact keypoints (UDP); the map of an invisible point should be empty."""
    height, width = heatmaps.shape[2:]
    x = keypoints[..., 0] * (width - 1) / (4 * width - 1)
    y = keypoints[..., 1] * (height - 1) / (4 * height - 1)
    labelled = keypoints[..., 2] > 0
    gx = torch.exp(-0.5 * ((torch.arange(width) - x[..., None]) / HEATMAP_SIGMA) ** 2)
    gy = torch.exp(-0.5 * ((torch.arange(height) - y[..., None]) / HEATMAP_SIGMA) ** 2)
    target = gy[..., :, None] * gx[..., None, :] * labelled[..., None, None]
    weight = torch.where(labelled, 1.0, 0.2)[..., None, None] * (1 + 20 * target)
    return 100 * (weight * (heatmaps - target) ** 2).mean()


def parts_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross entropy, and soft IoU over the classes of the batch so that hands count as much as trousers."""
    target = classes.long()
    log_share = logits.log_softmax(1)
    right = log_share.gather(1, target[:, None])
    share, count = log_share.exp().sum((0, 2, 3)), logits.shape[1]
    both = torch.zeros(count).index_add(0, target.flatten(), right.exp().flatten())
    true = torch.bincount(target.flatten(), minlength=count)
    iou = both / (share + true - both).clamp(min=1)
    return 1.5 * (1 - iou)[true > 50].mean() - right.mean()


def depth_loss(maps: Tensor, depth: Tensor) -> Tensor:
    """Errors after normalising shift and scale of each image, and their gradients at several scales (Ranftl et al.,
    arXiv 1907.01341, with means for medians). Both f32 [B, h, w]; NaN in `depth` is left out."""
    seen = depth.isfinite()

    def mean(values: Tensor) -> Tensor:
        return (values * seen).sum((1, 2), keepdim=True) / seen.sum((1, 2), keepdim=True).clamp(min=1)

    def standard(values: Tensor) -> Tensor:
        centred = values - mean(values)
        return centred / mean(centred.abs()).clamp(min=1e-3)

    rest = (standard(maps) - standard(depth.nan_to_num())) * seen
    loss = rest.abs().sum()
    for step in (1, 2, 4, 8):
        across = (rest[:, :, step:] - rest[:, :, :-step]) * (seen[:, :, step:] & seen[:, :, :-step])
        down = (rest[:, step:] - rest[:, :-step]) * (seen[:, step:] & seen[:, :-step])
        loss = loss + 0.5 * (across.abs().sum() + down.abs().sum())
    return loss / seen.sum().clamp(min=1)


def geometry_loss(maps: Tensor, depth: Tensor, normals: Tensor) -> Tensor:
    """Of depth, and of normals 1 - cosine and distance (L1), over the pixels of people."""
    seen = depth.isfinite()[:, None]
    found = F.normalize(maps[:, 1:], dim=1)
    apart = 1 - (found * normals).sum(1, keepdim=True) + (found - normals).abs().sum(1, keepdim=True)
    return depth_loss(maps[:, 0], depth) + (apart * seen).sum() / seen.sum().clamp(min=1)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "detector": detector_loss,
    "pose": pose_loss,
    "parts": parts_loss,
    "pose_133": pose_loss,
    "geometry": geometry_loss,
}


def train(task: str, steps: int) -> None:
    """Train to `steps`; the checkpoint holds `step`, `network` (averaged weights) and the optimiser's state."""
    torch.manual_seed(0)
    network = NETWORKS[task]()
    path, start = CHECKPOINTS / f"{task}.pt", 0
    if task not in ("detector", "pose") and not path.exists():  # the trunk of pose tells left from right already
        pose = torch.load(CHECKPOINTS / "pose.pt", weights_only=True)["network"]
        network.load_state_dict({k: v for k, v in pose.items() if k.startswith("trunk.")}, strict=False)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1.0, weight_decay=1e-4)
    peak = 3e-3
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: peak * min(1, (s + 1) / 300) * (0.5 + 0.5 * math.cos(math.pi * min(1, s / steps))) + 1e-6,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["raw"])
        average.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        start = state["step"]
    normalise, loss_of = Normalise(), LOSSES[task]
    loader = DataLoader(Samples(task, seed=start), BATCH[task], num_workers=1, prefetch_factor=4)
    began, running = time.monotonic(), 0.0
    for step, (images, *targets) in zip(range(start, steps), loader, strict=False):
        network.train()
        with torch.autocast("cpu", torch.bfloat16):
            raw = network(normalise(images).to(memory_format=torch.channels_last))
        loss = loss_of(raw.float(), *targets)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            decay = min(0.998, (step + 1) / (step + 10))
            for a, b in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                a.lerp_(b, 1 - decay) if a.is_floating_point() else a.copy_(b)
        running = loss.item() if step == start else 0.98 * running + 0.02 * loss.item()
        done = step + 1
        if done % 50 == 0:
            pace = (time.monotonic() - began) / (done - start)
            print(f"{task} step {done}/{steps} loss {running:.4f} {pace:.2f} s/step", flush=True)
        if done % SAVE_EVERY == 0 or done == steps:
            state = {"step": done, "network": average.state_dict(), "raw": network.state_dict()}
            state |= {"optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
            torch.save(state, path.with_suffix(".tmp"))
            os.replace(path.with_suffix(".tmp"), path)


def main() -> None:
    """Train one network, from its last checkpoint if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=NETWORKS)
    parser.add_argument("--steps", type=int, help="default: " + ", ".join(f"{t} {n}" for t, n in STEPS.items()))
    args = parser.parse_args()
    train(args.task, args.steps or STEPS[args.task])


if __name__ == "__main__":
    main()

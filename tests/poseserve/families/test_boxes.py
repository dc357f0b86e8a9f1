"""Which boxes get the 100 rows of a detector's answer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from poseserve.families.boxes import best_rows, survivors


@pytest.fixture(params=["eager", "script"])
def rows(request):
    return best_rows if request.param == "eager" else torch.jit.script(best_rows)


def noisy(people: int, noise: float) -> tuple[Tensor, Tensor]:
    """1000 boxes around that many people, and falling scores."""
    random = torch.Generator().manual_seed(people)
    corner = torch.rand(people, 2, generator=random) * 500
    base = torch.cat([corner, corner + 40 + torch.rand(people, 2, generator=random) * 100], 1)
    boxes = base[torch.randint(people, (1000,), generator=random)] + torch.randn(1000, 4, generator=random) * noise
    return boxes[None], torch.linspace(0.99, 0.06, 1000)[None]


def overlap(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def greedy(boxes: list[list[float]], iou: float) -> list[int]:
    kept: list[int] = []
    for i, box in enumerate(boxes):
        if all(overlap(box, boxes[j]) <= iou for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize(("people", "noise"), [(5, 2), (40, 5), (40, 12)])
@pytest.mark.parametrize("iou", [0.3, 0.6])
def test_suppression_is_the_greedy_one(people, noise, iou):
    boxes = noisy(people, noise)[0].double()
    boxes = torch.cat([boxes, boxes.flip(1)])  # images of one batch do not see each other
    stay = survivors(boxes, torch.ones(2, 1000, dtype=torch.bool), iou)
    for image in range(2):
        assert stay[image].nonzero()[:, 0].tolist() == greedy(boxes[image].tolist(), iou)


def test_a_chain_of_suppressions_is_followed_to_its_end():
    steps = torch.arange(500.0)[:, None] * torch.tensor([20.0, 0, 20, 0])  # each overlaps the next by two thirds
    stay = survivors((steps + torch.tensor([0.0, 0, 100, 100]))[None], torch.ones(1, 500, dtype=torch.bool), 0.6)
    assert stay[0].nonzero()[:, 0].tolist() == list(range(0, 500, 2))


def test_duplicates_do_not_take_a_persons_row(rows):
    person = torch.tensor([0.0, 0, 30, 60])
    crowd = torch.stack([person + torch.tensor([32.0 * (i % 10), 62.0 * (i // 10)] * 2) for i in range(90)])
    boxes = torch.cat([crowd[:1].expand(500, 4) + torch.linspace(0, 1, 500)[:, None], crowd])[None]
    scores = torch.cat([torch.linspace(0.99, 0.5, 500), torch.full((90,), 0.3)])[None]
    found = rows(boxes, scores, 640, 640)[0]
    assert found[:, 4].diff().le(0).all(), "not best first"
    low = found[found[:, 4] < 0.4, :4]
    assert {tuple(b) for b in low.tolist()} == {tuple(b) for b in crowd[1:].tolist()}, "the first one is a duplicate"
    assert (found[:, 4] >= 0.5).sum() == 11, "the rest is the person in front, and duplicates for a higher threshold"


def test_suppressing_the_rows_finds_what_suppressing_everything_finds(rows):
    boxes, scores = noisy(30, 4)
    boxes = boxes.clamp(0, 640)
    found = rows(boxes, scores, 640, 640)[0]
    torch.testing.assert_close(found[greedy(found[:, :4].tolist(), 0.6), :4], boxes[0, greedy(boxes[0].tolist(), 0.6)])


def test_what_is_no_box_gets_no_row(rows):
    inf, nan = float("inf"), float("nan")
    boxes = torch.tensor(
        [
            [10.0, 10, 20, 20],  # a box
            [10, 10, 10, 20],  # no width
            [20, 10, 10, 20],  # mirrored
            [700, 10, 710, 20],  # outside
            [nan, 10, 20, 20],
            [-inf, -inf, inf, inf],  # clipped to the image
            [40, 40, 50, 50],  # too faint
            [60, 60, 70, 70],  # no score
        ]
    )
    scores = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.05, nan])
    found = rows(boxes[None], scores[None], 480, 640)[0]
    torch.testing.assert_close(found[:2], torch.tensor([[10, 10, 20, 20, 0.9], [0, 0, 640, 480, 0.8]]))
    assert found[2:].eq(0).all()
    assert found.shape == (100, 5)


def test_nobody_is_a_hundred_empty_rows(rows):
    assert rows(torch.zeros(3, 8400, 4), torch.zeros(3, 8400), 640, 640).equal(torch.zeros(3, 100, 5))

"""The parts that several transformers share keep their numbers in half precision and in padded heads."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from poseserve.families.layers import InstanceNorm, attend


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_statistics_of_maps_far_from_zero_are_not_rounded(dtype):
    maps = (torch.randn(2, 8, 32, 24, generator=torch.Generator().manual_seed(0)) + 50).to(dtype)
    found, expected = InstanceNorm(8)(maps), F.instance_norm(maps.float())
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=torch.finfo(dtype).eps, atol=2e-5)


class Heads(TorchFunctionMode):
    """Notes how long the heads are that attention is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            self.seen += [x.shape[-1] for x in args]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("head", "asked"), [(60, 64), (64, 64), (76, 80), (80, 80)])
def test_fast_kernels_get_multiples_of_8_and_the_answer_is_that_of_the_true_head(head, asked):
    q, k, v = torch.randn(3, 2, 4, 10, head, generator=torch.Generator().manual_seed(0)).unbind()
    with Heads() as heads:
        found = attend(q, k, v, head)
    assert heads.seen == [asked] * 3
    expected = (q @ k.transpose(2, 3) / head**0.5).softmax(3) @ v
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)

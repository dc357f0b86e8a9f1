"""Batch norms, folded into the convolutions before them."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every BatchNorm into the convolution that is declared right before it, in place; eval mode only."""
    for block in list(module.modules()):
        for (name, conv), (after, norm) in pairwise(list(block.named_children())):
            if isinstance(conv, (nn.Conv2d, nn.ConvTranspose2d)) and isinstance(norm, nn.BatchNorm2d):
                transposed = isinstance(conv, nn.ConvTranspose2d)
                setattr(block, name, fuse_conv_bn_eval(conv, norm, transpose=transposed))
                setattr(block, after, nn.Identity())

"""How far two answers of a network agree."""

from torch import Tensor

WANTED = 0.9  # of the numbers: a near tie between two peaks or two classes may go either way


def agreement(found: Tensor, expected: Tensor, tolerance: float) -> float:
    """The share of the numbers, zeros apart, that agree within `tolerance` of their size, or of 1 if that is more; 1
    where all are zero."""
    found, expected = found.double(), expected.double()
    counts = (found != 0) | (expected != 0)
    agreeing = found.isclose(expected, rtol=tolerance, atol=tolerance)[counts]
    return agreeing.double().mean().item() if agreeing.numel() else 1.0

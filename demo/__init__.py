"""Rendered people with exact ground truth, and the small networks that are trained on them."""

"""Human perception on Triton Inference Server: the server's side."""

from importlib.metadata import version

__version__ = version("poseserve")

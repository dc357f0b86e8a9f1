"""The baselines' own environment."""

from __future__ import annotations

import subprocess

import pytest

from loadtest.baselines import environment


@pytest.fixture(scope="session")
def baselines() -> None:
    """Made once, below .cache."""
    try:
        environment.make()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the baselines cannot be installed: {error}")

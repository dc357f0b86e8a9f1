"""Demo networks of a server: they were trained on rendered people, and find nobody in photographs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from poseclient.aio import AsyncPoseClient
from poseclient.truth_checks import name_some

PREFIX = "demo_"
HINT = (
    "poseclient: the server answers with demo networks ({}), which know rendered people only; "
    "for photographs: poseserve add --recipe light, or another of poseserve recipes"
)


async def demo_networks(client: AsyncPoseClient, model: str) -> list[str]:
    """The demo networks among the steps of an ensemble."""
    return [name for name in (await client._describe(model)).steps if name.startswith(PREFIX)]


def say_demo_networks(names: Sequence[str]) -> None:
    """One line on stderr, where there are any."""
    if names:
        print(HINT.format(name_some(names)), file=sys.stderr)

"""Demo networks of a server: they were trained on rendered people, and find nobody in photographs."""

from __future__ import annotations

from poseclient.aio import AsyncPoseClient

PREFIX = "demo_"


async def demo_networks(client: AsyncPoseClient, model: str) -> list[str]:
    """The demo networks among the steps of an ensemble."""
    return [name for name in (await client._describe(model)).steps if name.startswith(PREFIX)]

"""What the awaited connections do beneath the client."""

from __future__ import annotations

import asyncio

import pytest

from poseclient import AsyncPoseClient, RequestError
from tests.clients.test_connections import computed
from tests.eventually import eventually


async def test_a_request_that_is_given_up_is_not_cancelled(server, scene):
    """Neither by its caller nor by its deadline; close() waits for it."""
    url, before = f"grpc://{server.grpc_url}", computed(server, "people")
    async with AsyncPoseClient(url) as patient, AsyncPoseClient(url) as hasty:
        await patient.people(scene.jpeg)
        tasks = [asyncio.create_task(patient.people(scene.jpeg)) for _ in range(4)]
        while len(patient._connection._in_flight) != 4:
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await hasty.people(scene.jpeg)
        hasty._endpoint.timeout = 0.02
        given_up = await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(RequestError, match=r"did not answer within 0\.02 s"):
            await hasty.people(scene.jpeg)
    assert {type(error) for error in given_up} == {asyncio.CancelledError}
    expected = before + 1 + 4 + 2
    assert eventually(lambda: computed(server, "people"), expected) == expected


async def test_a_cancelled_http_request_harms_nobody(server, scene):
    async with AsyncPoseClient(f"http://{server.http_url}") as client:
        for seconds in (0.001, 0.01, 0.05):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.people(scene.jpeg), seconds)
        assert len(await client.people(scene.jpeg)) > 0


async def test_answers_over_http_are_not_compressed(server, scene):
    async with AsyncPoseClient(f"http://{server.http_url}") as client:
        await client.detect(scene.jpeg)
        assert client._connection._session.headers["Accept-Encoding"] == "identity"

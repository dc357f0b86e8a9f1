"""The asyncio client says what the blocking one says."""

import asyncio
import socket

import numpy as np
import pytest

from poseclient import AsyncPoseClient, PoseClient, RequestError


def test_both_clients_agree(url, scene):
    async def ask():
        async with AsyncPoseClient(url) as client:
            assert await client.is_ready()
            return (
                await client.detect(scene.jpeg, max_people=1),
                await client.pose(scene.jpeg),
                await client.pose_in_boxes(scene.image, [scene.people[0].box]),
                await client.parts(scene.jpeg),
                await client.keypoint_set(),
                await client.class_set(),
            )

    detected, posed, boxed, mask, keypoints, classes = asyncio.run(ask())
    with PoseClient(url) as client:
        assert len(detected) == 1
        np.testing.assert_allclose(posed.keypoints, client.pose(scene.jpeg).keypoints, atol=1e-3)
        expected = client.pose_in_boxes(scene.image, [scene.people[0].box])
        np.testing.assert_allclose(boxed.keypoints, expected.keypoints, atol=1e-3)
        np.testing.assert_array_equal(mask, client.parts(scene.jpeg))
        assert (keypoints, classes) == (client.keypoint_set(), client.class_set())


def test_many_requests_are_in_flight(url, scene):
    async def ask():
        async with AsyncPoseClient(url) as client:
            return await asyncio.gather(*(client.detect(scene.jpeg) for _ in range(20)))

    answers = asyncio.run(ask())
    assert {len(people) for people in answers} == {len(answers[0])}


def test_refusals_come_in_the_servers_own_words(url):
    async def ask():
        async with AsyncPoseClient(url) as client:
            await client.detect(b"no image")

    with pytest.raises(RequestError, match="accepted") as refusal:
        asyncio.run(ask())
    assert refusal.value.status == "INVALID_ARGUMENT"


def test_a_client_may_be_made_before_the_event_loop(url, scene):
    client = AsyncPoseClient(url)

    async def ask():
        async with client:
            return await client.detect(scene.jpeg)

    assert len(asyncio.run(ask())) > 0


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_no_server_is_named_with_its_url(scheme):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"

    async def ask():
        async with AsyncPoseClient(url) as client:
            assert not await client.is_ready()
            await client.pose(b"jpeg")

    with pytest.raises(RequestError, match=f"{url} is unavailable") as failure:
        asyncio.run(ask())
    assert failure.value.status == "UNAVAILABLE"


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_silent_server_costs_no_more_than_the_timeout(scheme):
    async def ask(url):
        async with AsyncPoseClient(url, timeout=0.2) as client:
            await client.detect(b"jpeg")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(RequestError, match=f"{url} did not answer within 0.2 s") as failure:
            asyncio.run(ask(url))
    assert failure.value.status == "DEADLINE_EXCEEDED"

"""The awaited connections to a server, over gRPC and over HTTP, of one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import aiohttp
import tritonclient.grpc.aio

from poseclient import kserve_http
from poseclient.connections import ABANDONED, CLOSING, POOL, ready_models
from poseclient.kserve_http import HttpAnswer, HttpRequest
from poseclient.protocol import Endpoint, InferResult

T = TypeVar("T")


class AsyncConnection(Protocol):
    """What `connections.Connection` is, awaited."""

    async def infer(self, **arguments: Any) -> InferResult:
        """The answer to a request. arguments: those of tritonclient's `infer`."""

    async def model_config(self, model: str) -> Any:
        """A model's configuration, as `protocol.describe` reads it."""

    async def models(self) -> list[str]:
        """The names of the models that are ready."""

    async def is_ready(self) -> bool:
        """Whether the server and all its models are ready."""

    async def close(self) -> None:
        """Close the connections."""


def connect(endpoint: Endpoint) -> AsyncConnection:
    """A connection over the protocol of the URL; it belongs to the event loop that runs at this moment."""
    return AsyncGrpcConnection(endpoint) if endpoint.is_grpc else AsyncHttpConnection(endpoint)


class AsyncGrpcConnection:
    """One channel."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._api = tritonclient.grpc.aio.InferenceServerClient(endpoint.address, ssl=endpoint.is_secure)
        self._deadline = {"client_timeout": endpoint.timeout}
        self._has_answered = False
        self._in_flight: set[asyncio.Future[InferResult]] = set()

    async def infer(self, **arguments: Any) -> InferResult:
        """See AsyncConnection; a caller who is cancelled leaves the request to itself (see `connections.ABANDONED`)."""
        with self._endpoint.errors():
            if not self._has_answered:  # a request to a server that never answers would only keep close() waiting
                self._has_answered = await self._api.is_server_live(**self._deadline)
            deadline = self._endpoint.timeout + ABANDONED
            answer = asyncio.ensure_future(self._api.infer(client_timeout=deadline, **arguments))
            self._in_flight.add(answer)
            answer.add_done_callback(self._in_flight.discard)
            return await asyncio.wait_for(asyncio.shield(answer), self._endpoint.timeout)

    async def model_config(self, model: str) -> Any:
        """See AsyncConnection."""
        with self._endpoint.errors():
            return await self._api.get_model_config(model, **self._deadline)

    async def models(self) -> list[str]:
        """See AsyncConnection."""
        with self._endpoint.errors():
            index = await self._api.get_model_repository_index(as_json=True, **self._deadline)
            return ready_models(index.get("models", []))

    async def is_ready(self) -> bool:
        """See AsyncConnection."""
        with self._endpoint.errors():
            return bool(await self._api.is_server_ready(**self._deadline))

    async def close(self) -> None:
        """After the requests in flight, for which it waits as long as for an answer, or CLOSING."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=max(self._endpoint.timeout, CLOSING))
        await self._api.close()


class AsyncHttpConnection:
    """One pool of connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._url = f"http{'s' if endpoint.is_secure else ''}://{endpoint.address}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=POOL),
            headers={"Accept-Encoding": "identity"},  # Triton would compress its answers, which takes longer
            timeout=aiohttp.ClientTimeout(total=endpoint.timeout),
        )

    async def infer(self, **arguments: Any) -> InferResult:
        """See AsyncConnection."""
        return await self._ask(kserve_http.infer_request(**arguments), kserve_http.read_infer)

    async def model_config(self, model: str) -> Any:
        """See AsyncConnection."""
        return await self._ask(kserve_http.config_request(model), kserve_http.read_json)

    async def models(self) -> list[str]:
        """See AsyncConnection."""
        return ready_models(await self._ask(kserve_http.INDEX, kserve_http.read_json))

    async def is_ready(self) -> bool:
        """See AsyncConnection."""
        is_ok = await self._ask(kserve_http.READY, kserve_http.is_ok)
        return is_ok and bool(await self._ask(kserve_http.METADATA, kserve_http.read_json))

    async def close(self) -> None:
        """See AsyncConnection."""
        await self._session.close()

    async def _ask(self, request: HttpRequest, read: Callable[[HttpAnswer], T]) -> T:
        url = f"{self._url}/{request.path}"
        with self._endpoint.errors():
            async with self._session.request(
                request.method, url, data=request.body, headers=request.headers, allow_redirects=False
            ) as answer:
                length = answer.headers.get(kserve_http.HEADER_LENGTH)
                return read(HttpAnswer(answer.status, length, await answer.read()))

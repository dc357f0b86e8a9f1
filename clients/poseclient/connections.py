"""The blocking connections to a server, over gRPC and over HTTP; threads may share one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from typing import Any, Protocol, TypeVar

import tritonclient.grpc
import urllib3
from tritonclient.utils import InferenceServerException

from poseclient import kserve_http
from poseclient.kserve_http import HttpAnswer, HttpRequest
from poseclient.protocol import Endpoint, InferResult

T = TypeVar("T")

POOL = 100  # HTTP connections at most; a thread that needs one more waits for it

# Triton 2.51 may die of a gRPC request that is cancelled while it is computed: by the client, by its deadline, or with
# its connection (triton-inference-server/server#7368, mended in 24.12). So none is: a caller who does not want to wait
# any longer leaves it to itself. This deadline, in seconds after that, is for a server that never answers.
ABANDONED = 600.0
CLOSING = 10.0  # seconds that a client waits at least for the requests in flight when it is closed


class Connection(Protocol):
    """What the clients need of a server. Every method but `close` raises RequestError."""

    def infer(self, **arguments: Any) -> InferResult:
        """The answer to a request. arguments: those of tritonclient's `infer`."""

    def model_config(self, model: str) -> Any:
        """A model's configuration, as `protocol.describe` reads it."""

    def models(self) -> list[str]:
        """The names of the models that are ready."""

    def is_ready(self) -> bool:
        """Whether the server and all its models are ready."""

    def close(self) -> None:
        """Close the connections."""


def ready_models(index: Iterable[Mapping[str, str]]) -> list[str]:
    """The names in a repository's index of the models that are ready."""
    return [model["name"] for model in index if model.get("state") == "READY"]


def connect(endpoint: Endpoint) -> Connection:
    """A connection over the protocol of the URL, made when it is first used."""
    return GrpcConnection(endpoint) if endpoint.is_grpc else HttpConnection(endpoint)


class GrpcConnection:
    """One channel for all threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._api = tritonclient.grpc.InferenceServerClient(endpoint.address, ssl=endpoint.is_secure)
        self._deadline = {"client_timeout": endpoint.timeout}
        self._has_answered = False
        self._sending = threading.Lock()
        self._sent: weakref.WeakSet[Future[InferResult]] = weakref.WeakSet()  # gRPC holds those in flight

    def infer(self, **arguments: Any) -> InferResult:
        """See Connection."""
        answer: Future[InferResult] = Future()

        def receive(result: InferResult, error: InferenceServerException | None) -> None:
            answer.set_result(result) if error is None else answer.set_exception(error)

        with self._endpoint.errors():
            if not self._has_answered:  # a request to a server that never answers would only keep close() waiting
                self._has_answered = self._api.is_server_live(**self._deadline)
            with self._sending:  # tritonclient keeps the latest call in an attribute
                self._api.async_infer(callback=receive, client_timeout=self._endpoint.timeout + ABANDONED, **arguments)
                self._sent.add(answer)
            if not wait([answer], self._endpoint.timeout).done:
                raise TimeoutError
            return answer.result()

    def model_config(self, model: str) -> Any:
        """See Connection."""
        with self._endpoint.errors():
            return self._api.get_model_config(model, **self._deadline)

    def models(self) -> list[str]:
        """See Connection."""
        with self._endpoint.errors():
            return ready_models(self._api.get_model_repository_index(as_json=True, **self._deadline).get("models", []))

    def is_ready(self) -> bool:
        """See Connection."""
        with self._endpoint.errors():
            return bool(self._api.is_server_ready(**self._deadline))

    def close(self) -> None:
        """After the requests in flight, for which it waits as long as for an answer, or CLOSING."""
        with self._sending:
            sent = list(self._sent)
        wait(sent, max(self._endpoint.timeout, CLOSING))
        self._api.close()


class HttpConnection:
    """One pool of connections for all threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._url = f"http{'s' if endpoint.is_secure else ''}://{endpoint.address}"
        self._pool = urllib3.PoolManager(
            maxsize=POOL, block=True, retries=False, timeout=urllib3.Timeout(total=endpoint.timeout)
        )

    def infer(self, **arguments: Any) -> InferResult:
        """See Connection."""
        return self._ask(kserve_http.infer_request(**arguments), kserve_http.read_infer)

    def model_config(self, model: str) -> Any:
        """See Connection."""
        return self._ask(kserve_http.config_request(model), kserve_http.read_json)

    def models(self) -> list[str]:
        """See Connection."""
        return ready_models(self._ask(kserve_http.INDEX, kserve_http.read_json))

    def is_ready(self) -> bool:
        """See Connection."""
        # The port of the metrics says "ready" too, but knows nothing of itself.
        is_ok = self._ask(kserve_http.READY, kserve_http.is_ok)
        return is_ok and bool(self._ask(kserve_http.METADATA, kserve_http.read_json))

    def close(self) -> None:
        """See Connection."""
        self._pool.clear()

    def _ask(self, request: HttpRequest, read: Callable[[HttpAnswer], T]) -> T:
        with self._endpoint.errors():
            url = f"{self._url}/{request.path}"
            answer = self._pool.request(request.method, url, body=request.body, headers=request.headers, redirect=False)
            length = answer.headers.get(kserve_http.HEADER_LENGTH)
            return read(HttpAnswer(answer.status, length, answer.data))

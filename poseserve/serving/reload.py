"""A running server takes up what `poseserve add`, `remove` and `default` changed, without losing requests.

Triton loads a model beside its old version, hands over new requests when it is ready, and lets the old one finish.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tritonclient.http import InferenceServerClient
from tritonclient.utils import InferenceServerException

from poseserve.errors import ServerError
from poseserve.repository.config import model_names
from poseserve.repository.installed import Repository

LOAD_SECONDS = 600.0  # weights of gigabytes


def reload(address: str, repository: Repository) -> None:
    """Let the server serve what the repository holds, whatever it was told of before.

    It is asked to load everything, and passes over what it has loaded as it lies there; then it unloads what is gone.
    address: host:port of its HTTP API. Raises ServerError with the server's words when it is away, or refuses.
    """
    with _client(address) as client:
        for name in model_names(repository):
            client.load_model(name)
        for name in _gone(client):
            client.unload_model(name)


def left_over(address: str) -> list[str]:
    """The models that the server still has, though their folders are gone. address and errors as in `reload`."""
    with _client(address) as client:
        return _gone(client)


def _gone(client: InferenceServerClient) -> list[str]:
    """Statistics tell of what is loaded, the index of what lies in the server's repositories."""
    loaded = {model["name"] for model in client.get_inference_statistics()["model_stats"]}
    return sorted(loaded - {model["name"] for model in client.get_model_repository_index()})


@contextmanager
def _client(address: str) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(address, connection_timeout=LOAD_SECONDS, network_timeout=LOAD_SECONDS)
    try:
        yield client
    except (InferenceServerException, OSError) as error:
        raise ServerError(f"the server at {address}: {error}") from error
    finally:
        client.close()

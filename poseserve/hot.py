"""A running server takes up what `poseserve add`, `remove` and `default` changed, without losing requests.

Triton loads a model beside its old version, hands over new requests when it is ready, and lets the old one finish.
"""

from __future__ import annotations

from collections.abc import Iterable

from tritonclient.http import InferenceServerClient
from tritonclient.utils import InferenceServerException

from poseserve.server import ServerError

LOAD_SECONDS = 600.0  # weights of gigabytes


def tell_server(address: str, unload: Iterable[str], load: Iterable[str]) -> None:
    """Unload and then load those models, in that order. address: host:port of the server's HTTP API.

    Raises ServerError with the server's words when it is away, or refuses.
    """
    client = InferenceServerClient(address, connection_timeout=LOAD_SECONDS, network_timeout=LOAD_SECONDS)
    try:
        for name in unload:
            client.unload_model(name)
        for name in load:
            client.load_model(name)
    except (InferenceServerException, OSError) as error:
        raise ServerError(f"the server at {address}: {error}") from error
    finally:
        client.close()

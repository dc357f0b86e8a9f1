"""What went wrong between client and server, with its likely cause: how a failure becomes a RequestError."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPException

import aiohttp
import urllib3

from poseclient.errors import RequestError

# gRPC's names for the status codes of Triton's HTTP endpoint, and of what may stand before it.
HTTP_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "UNAVAILABLE",
}

# Triton's own ports; a URL of another port is the first suspect when nobody answers.
USUAL_PORTS = {"grpc": 8001, "grpcs": 8001, "http": 8000, "https": 8000}
TRITONS_PORTS = "Triton's ports are 8000 for http://, 8001 for grpc:// and 8002 for metrics alone"

# A part of the message of a library, and what it means. They are tried in this order.
CAUSES = (
    (r"resolv|[Nn]ame or service not known|nodename nor servname|getaddrinfo", "no such host: check its spelling"),
    (r"CERTIFICATE_VERIFY_FAILED", "the certificate is not one that this machine trusts for this host"),
    (r"(?i)wrong.version.number|packet.length.too.long|record.layer.failure", "the port does not speak TLS: {plain}"),
    (r"BadStatusLine|Bad status line", "the port does not speak HTTP, it may be the one for gRPC: {ports}"),
    (r"Failed parsing HTTP/2|failed to connect.*Socket closed", "the port does not speak gRPC: {ports}"),
    (r"not as Triton", "{ports}"),
    (r"(?i)connection reset|RemoteDisconnected|Server ?disconnected", "if the port wants TLS: {secure}"),
)
ENDED = re.compile(r"(?i)EOF|\[None\]|connection reset|socket closed")  # before TLS began
NOBODY_LISTENS = re.compile(r"(?i)refused|connect call failed")
STUB = re.compile(r"Stub process '(.+?)(?:_\d+_\d+)?' is not healthy")
OTHER_MODEL = re.compile(
    r"unexpected inference (in|out)put|expected \d+ inputs but got|names no \w+_set in|response has no output"
)


class StrangeAnswer(Exception):  # noqa: N818
    """An HTTP answer that is not Triton's: of another web server, a proxy, or the port of the metrics.

    It becomes a RequestError before a caller sees it.
    """

    def __init__(self, status: int) -> None:
        phrases = {known.value: known.phrase for known in HTTPStatus}
        super().__init__(f"HTTP {status} {phrases.get(status, '')}".rstrip())
        self.status = HTTP_STATUS.get(status, "UNKNOWN")


def words(error: Exception) -> str:
    """What a library says of a failed connection, without the bytes that it got."""
    if isinstance(error, urllib3.exceptions.ProtocolError):
        cause = error.args[-1]
        return type(cause).__name__ if isinstance(cause, HTTPException) else str(cause)
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return (text or type(error).__name__).splitlines()[0].rstrip(":")


def cause_of(text: str, url: str, port: int, has_port: bool) -> str:
    """The likely cause of a failed connection, "" where there is none to name.

    text: what a library says. port: what the URL means; has_port: whether it says so.
    """
    scheme, _, rest = url.partition("://")
    plain = scheme.removesuffix("s")
    implied = "" if has_port else f" (the URL names none, so it means {port})"
    ports = f"{TRITONS_PORTS}{implied}"
    if NOBODY_LISTENS.search(text):
        usual = port == USUAL_PORTS[scheme]
        return f"is the server running, and on port {port}{implied}?{'' if usual else f' {TRITONS_PORTS}'}"
    if scheme.endswith("s") and ENDED.search(text):
        return f"the port may not speak TLS: try {plain}://{rest}"
    cause = next((hint for pattern, hint in CAUSES if re.search(pattern, text)), "")
    return cause.format(plain=f"try {plain}://{rest}", secure=f"try {plain}s://{rest}", ports=ports)


def advice(text: str) -> str:
    """What to do about a refusal, "" where its words say enough."""
    dead = STUB.search(text)
    if not dead:
        return ""
    return f"the process of the model {dead[1]!r} died on the server, whose log says why: restart the server"


def is_of_another_kind(error: RequestError) -> bool:
    """Whether the model has other tensors than those of the request."""
    return error.status == "INVALID_ARGUMENT" and OTHER_MODEL.search(error.message) is not None


def with_models(error: RequestError, kinds: Sequence[str], names: Sequence[str]) -> RequestError:
    """The error with the models that would do.

    kinds: their names up to the dot. names: those that the server has.
    """
    fitting = sorted(name for name in names if name.partition(".")[0] in kinds)
    hint = (
        f"models that would do: {', '.join(fitting)}"
        if fitting
        else f"the server has no network for {kinds[0]!r}: add one with `poseserve add`, "
        "`poseserve catalogue` lists them"
    )
    return RequestError(f"{error.message}; {hint}", error.status)

"""A failure names its likely cause: against a real server, against other servers, and against nobody."""

from __future__ import annotations

import asyncio
import http.server
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from poseclient import AsyncPoseClient, PoseClient, RequestError
from poseserve.serving.server import Server

PORTS = "Triton's ports are 8000 for http://, 8001 for grpc:// and 8002 for metrics alone"


def ask(url: str) -> None:
    with PoseClient(url, timeout=10) as client:
        assert not client.is_ready()
        client.detect(b"jpeg")


async def ask_awaited(url: str) -> None:
    async with AsyncPoseClient(url, timeout=10) as client:
        assert not await client.is_ready()
        await client.detect(b"jpeg")


def failure(url: str, client: str) -> RequestError:
    """What a client says of a request to the URL, which is not ready for it either."""
    with pytest.raises(RequestError) as raised:
        ask(url) if client == "blocking" else asyncio.run(ask_awaited(url))
    assert str(raised.value).startswith(url)
    return raised.value


@pytest.fixture(params=["blocking", "async"])
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a port that speaks TLS with a certificate of its own making."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(Answer404) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield f"127.0.0.1:{server.server_port}"


class Answer404(http.server.BaseHTTPRequestHandler):
    """A web server that knows nothing of Triton."""

    status = HTTPStatus.NOT_FOUND

    def do_GET(self) -> None:
        self.send_error(self.status)

    def do_POST(self) -> None:
        self.send_error(self.status)

    def log_message(self, *_: object) -> None:
        pass


class serving:
    """A web server in a thread."""

    def __init__(self, handler: type[Answer404]) -> None:
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]

    def __enter__(self) -> http.server.ThreadingHTTPServer:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_an_unknown_host(scheme, client):
    error = failure(f"{scheme}://no-such-host.invalid:8000", client)
    assert str(error).endswith("no such host: check its spelling")
    assert error.status == "UNAVAILABLE"


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_tls_on_a_plain_port(server: Server, scheme, client):
    for address in (server.grpc_url, server.http_url):
        assert f"speak TLS: try {scheme}://{address}" in str(failure(f"{scheme}s://{address}", client))


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_no_tls_on_a_port_with_tls(tls, scheme, client):
    assert f"if the port wants TLS: try {scheme}s://{tls}" in str(failure(f"{scheme}://{tls}", client))


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_a_certificate_that_nobody_vouches_for(tls, scheme, client):
    assert "certificate is not one that this machine trusts" in str(failure(f"{scheme}://{tls}", client))


def test_http_on_the_port_for_grpc(server: Server, client):
    assert f"does not speak HTTP, it may be the one for gRPC: {PORTS}" in str(
        failure(f"http://{server.grpc_url}", client)
    )


def test_grpc_on_the_port_for_http(server: Server, client):
    assert f"does not speak gRPC: {PORTS}" in str(failure(f"grpc://{server.http_url}", client))


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_the_port_of_the_metrics_and_other_web_servers(server: Server, scheme, client):
    with serving(Answer404) as web:
        for address in (server.metrics_url, f"127.0.0.1:{web.server_port}"):
            error = failure(f"{scheme}://{address}", client)
            assert str(error).endswith(PORTS)
            assert "not as Triton does" in str(error) or "does not speak gRPC" in str(error)
            assert error.status == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("code", "status"), [(401, "UNAUTHENTICATED"), (429, "RESOURCE_EXHAUSTED"), (502, "UNAVAILABLE")]
)
def test_the_refusal_of_a_proxy_keeps_its_status(code, status, client):
    class Proxy(Answer404):
        pass

    Proxy.status = HTTPStatus(code)
    with serving(Proxy) as web:
        error = failure(f"http://127.0.0.1:{web.server_port}", client)
    assert (error.status, f"HTTP {code} {Proxy.status.phrase}" in str(error)) == (status, True)


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_nobody_on_a_port_that_is_not_tritons(scheme, client):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert f"is the server running, and on port {port}? {PORTS}" in str(failure(f"{scheme}://127.0.0.1:{port}", client))


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_nobody_on_the_port_that_the_url_only_implies(scheme, client):
    assert f"on port 443 (the URL names none, so it means 443)? {PORTS}" in str(
        failure(f"{scheme}://127.0.0.1", client)
    )

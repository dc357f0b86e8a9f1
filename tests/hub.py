"""A server on this machine that speaks the Hugging Face hub's download protocol, plain addresses included."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hub:
    """A context manager; serves `files` (path of the address, as `/owner/name/resolve/main/file` -> content).

    cuts: after how many bytes the next answers break off, first come first. ranges: whether Range is honoured. gated:
    files need accepted terms. requests: what came, in order. sent: bytes of the bodies.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    gated: bool = False
    requests: list[BaseHTTPRequestHandler] = field(default_factory=list)
    sent: int = 0

    def __enter__(self) -> Hub:
        hub = self

        class Handler(_Handler):
            def __init__(self, *args) -> None:
                self.hub = hub
                super().__init__(*args)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        body = self.answer()
        if body and self.hub.cuts:  # huggingface_hub asks for other things too
            body = body[: self.hub.cuts.pop(0)]
        self.hub.sent += len(body)  # before the client has it, and asks
        self.wfile.write(body)

    def answer(self) -> bytes:
        """Send the status and the headers; the body to send."""
        hub = self.hub
        hub.requests.append(self)
        content = hub.files.get(self.path)
        if content is None or hub.gated:
            code = "GatedRepo" if hub.gated else "EntryNotFound"
            status = HTTPStatus.FORBIDDEN if hub.gated else HTTPStatus.NOT_FOUND
            return self.headed(status, b"", {"X-Error-Code": code, "X-Repo-Commit": "0" * 40})
        about = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": "0" * 40,
            "X-Linked-Size": str(len(content)),
            "Accept-Ranges": "bytes",
        }
        wanted = self.headers.get("Range")
        if wanted is None or not hub.ranges:
            return self.headed(HTTPStatus.OK, content, about)
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            about["Content-Range"] = f"bytes */{len(content)}"
            return self.headed(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", about)
        about["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.headed(HTTPStatus.PARTIAL_CONTENT, content[start:], about)

    def headed(self, status: HTTPStatus, body: bytes, headers: dict[str, str]) -> bytes:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        return body

    def log_message(self, *args: object) -> None: ...

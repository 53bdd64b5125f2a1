"""HTTP: sockets, and one request after another."""

from __future__ import annotations

import socket
import socketserver
import struct
import sys
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

# The modules of routes register themselves when they are imported.
from . import routes_discussions, routes_publishing, routes_reading, routes_repositories  # noqa: F401
from .faults import Fault
from .log import Entry
from .messages import Request, Response
from .routing import dispatch

if TYPE_CHECKING:
    from .server import LoopbackHub


class Server(ThreadingHTTPServer):
    """One of the two hosts, "hub" or "storage", on a free port."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, hub: LoopbackHub, origin: str) -> None:
        self.hub, self.origin = hub, origin
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def server_bind(self) -> None:
        """Take the port."""
        # Not HTTPServer's, which asks for the name of the host and may wait for it.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show what broke in a thread."""
        # A client that went away is no error of the server's.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Headers(dict[str, str]):
    """Header fields, asked for in any case."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        super().__init__((name.lower(), value) for name, value in fields)

    def get(self, name: str, default: Any = None) -> Any:
        """The field's value."""
        return super().get(name.lower(), default)


class _Cut(Exception):
    """The connection ends here, without an answer."""


class Handler(BaseHTTPRequestHandler):
    """Reads a request, notes it, plays the fault that is due, and answers."""

    server: Server
    protocol_version = "HTTP/1.1"
    # One packet for head and body: two would wait for each other's acknowledgement.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def _serve(self) -> None:
        hub = self.server.hub
        request = self._read()
        entry = Entry(request.method, request.path, request.origin, request.bearer is not None, len(request.body))
        hub.log.add(entry)
        fault = hub.faults.meet(request)
        entry.fault = fault.kind if fault else None
        try:
            answer = self._act(hub, request, fault)
        except _Cut:
            self.close_connection = True
            return
        entry.status = answer.status
        self._send(answer, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

    def _read(self) -> Request:
        path, _, query = self.path.partition("?")
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parsed = dict(parse_qsl(query, keep_blank_values=True))
        return Request(self.command, path, parsed, _Headers(self.headers.items()), body, self.server.origin)

    def _act(self, hub: LoopbackHub, request: Request, fault: Fault | None) -> Response:
        if fault is None:
            return dispatch(hub.state, request)
        instead = fault.response(request, hub.endpoint)
        if fault.call is not None:
            fault.call(request)
        if not fault.after:
            if fault.kind == "slow":
                hub.stopping.wait(fault.seconds)
            if fault.kind == "cut":
                raise _Cut
            if instead is not None:
                return instead
        answer = dispatch(hub.state, request)
        if fault.kind == "wrong-bytes" and request.method == "PUT" and request.origin == "storage":
            with hub.state.lock:
                oid = request.path.rpartition("/")[2]
                hub.state.objects[oid] = _garbled(hub.state.objects[oid])
        if fault.after:
            if fault.kind == "slow":
                hub.stopping.wait(fault.seconds)
            if fault.kind == "cut":
                raise _Cut
        return instead or answer

    def _send(self, answer: Response, fault: Fault | None) -> None:
        kind, body = fault.kind if fault else None, answer.body
        if kind == "wrong-bytes":
            body = _garbled(body)
        if kind == "short":
            body = body[: len(body) // 2]
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        broken = kind in {"cut-body", "reset"}
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if broken else body)
        self.wfile.flush()
        if broken:
            self.close_connection = True
        if kind == "reset":
            # A close with a linger of nought seconds is a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.hub.stopping.wait(0.05)  # so that what was sent is read first
            self.rfile.close()
            self.connection.close()


def _garbled(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else data

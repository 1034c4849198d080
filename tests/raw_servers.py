"""Servers for tests that say exactly what a test wants, HTTP or not."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Talk = Callable[[socket.socket, bytes, int], None]
"""What a server does on a connection: the socket, the request (head and body), the number of the connection from 0."""


class RawServer:
    """A TCP server of this computer.

    Args:
        talk: does the talking; the connection is closed after it.
        reads_http: whether a whole HTTP request is read first; else the request is empty.

    Attributes:
        requests: what was read, a connection each.
    """

    def __init__(self, talk: Talk, reads_http: bool = True) -> None:
        self.requests: list[bytes] = []
        self._talk, self._reads_http = talk, reads_http
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        for each in (self._listener, *self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = read_request(connection) if self._reads_http else b""
            number = len(self.requests)
            self.requests.append(request)
            self._talk(connection, request, number)


@contextmanager
def raw_server(talk: Talk, reads_http: bool = True) -> Iterator[RawServer]:
    server = RawServer(talk, reads_http)
    try:
        yield server
    finally:
        server.close()


def saying(*answers: bytes) -> Talk:
    """Return a talk of these answers in turn, the last one again and again."""
    return lambda connection, _, number: connection.sendall(answers[min(number, len(answers) - 1)])


def reset(connection: socket.socket) -> None:
    """Cut a connection so that the other side gets an error, not an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """Return an answer of HTTP."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body

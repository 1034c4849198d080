"""Connections to the class server that send no whole request or read no answer are closed; all others are left alone."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from mien.web.classroom import server
from mien.web.server import run_until_stopped

LARGE = b"x" * (4 << 20)
"""An answer that does not fit into the buffers of ``listener`` and ``reader``."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer after the body was received; take longer than a request may at ``/slow``."""
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/slow":
        await asyncio.sleep(0.8)
    body = LARGE if scope["path"] == "/large" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(params=["auto", "asyncio"])
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(server, "_REQUEST_S", 0.4)
    listener = server.listen("127.0.0.1", 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    config = uvicorn.Config(app, log_level="critical", lifespan="off", loop=request.param, http=server.ClassConnection)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    running.should_exit = True
    thread.join(30)
    listener.close()


def answers(connection: socket.socket) -> bytes:
    """Return everything that is received until the server closes the connection."""
    connection.settimeout(30)
    found = b""
    try:
        while part := connection.recv(4096):
            found += part
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", 0),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-", 0),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", 0),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT", 1),
    ],
    ids=["nothing", "half a head", "half a body", "half a second request"],
)
def test_half_a_request_does_not_keep_a_connection(sent: bytes, answered: int, address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(sent)
        assert answers(connection).count(b"200 OK") == answered


def test_a_slow_answer_and_a_second_request_arrive(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(1.0)
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answers(connection).count(b"200 OK") == 2


def reader(address: tuple[str, int]) -> socket.socket:
    """Return a connection with a small receive buffer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    connection.settimeout(30)
    connection.connect(address)
    return connection


@pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"], ids=["kept alive", "closed"])
def test_a_slow_reader_gets_the_whole_answer(header: bytes, address: tuple[str, int]) -> None:
    with reader(address) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n")
        found, begun_s = 0, time.monotonic()
        while found < len(LARGE) and (part := connection.recv(1 << 14)):
            found += len(part)
            time.sleep(0.006)
    assert time.monotonic() - begun_s > 1.2  # three times as long as a request may take
    assert found >= len(LARGE)


@pytest.mark.parametrize("requests", [1, 2])
def test_a_client_that_reads_no_answer_does_not_keep_a_connection(requests: int, address: tuple[str, int]) -> None:
    with reader(address) as connection:
        connection.sendall(requests * b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000)
        time.sleep(1.5)
        assert len(answers(connection)) < len(LARGE) / 2


class Stopped(uvicorn.Server):
    """A server that a signal stops, in order or before it serves."""

    def __init__(self, in_order: bool) -> None:
        super().__init__(uvicorn.Config(app))
        self._in_order = in_order

    def run(self, sockets: Any = None) -> None:
        self.should_exit = self._in_order
        raise KeyboardInterrupt


def test_a_server_that_was_stopped_in_order_has_not_failed() -> None:
    with socket.socket() as listener:
        run_until_stopped(Stopped(in_order=True), listener)
        with pytest.raises(KeyboardInterrupt):
            run_until_stopped(Stopped(in_order=False), listener)

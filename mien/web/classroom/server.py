"""Runs a class server until it is stopped."""

from __future__ import annotations

import asyncio
import socket
from types import FrameType

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from mien.errors import DeviceError
from mien.web.classroom.app import ClassApp
from mien.web.server import run_until_stopped

STOP_S = 10
"""Seconds that requests may take after a stop."""
_REQUEST_S = 30.0
"""Seconds within which a request must be received, and within which a client must read some of an answer."""


class ClassConnection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # its value is known at run time only
    """A connection that is closed if its next request is not received in time, or its answer not read.

    uvicorn has no such limits, so a client that sends half a request, or reads nothing, could hold
    a connection forever. For uvicorn, an answer is complete once it is in the transport's buffer;
    slow clients read it long after that.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._start_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._restart_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._restart_timer()

    def connection_lost(self, error: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(error)

    def _start_timer(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._timer = self.loop.call_later(_REQUEST_S, self._expire)

    def _restart_timer(self) -> None:
        self._timer.cancel()
        self._start_timer()

    def _expire(self) -> None:
        is_reading = 0 < self.transport.get_write_buffer_size() < self._unsent
        is_waiting = self.cycle is None or self.cycle.response_complete or self.cycle.more_body
        if is_reading or not (is_waiting or self.flow.write_paused):
            self._start_timer()
        else:
            self.transport.abort()


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        DeviceError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(4096)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise DeviceError(f"port {port} of {host} cannot be used ({reason}). Choose another with --port or --host") from error
    return listener


def serve_classes(web: ClassApp, listener: socket.socket, trusted_proxies: str) -> None:
    """Serve until Ctrl-C or SIGTERM; received messages are stored before the server stops.

    Args:
        web: the application.
        listener: listening socket.
        trusted_proxies: addresses of reverse proxies whose forwarded client address is trusted, separated by commas.
    """
    config = uvicorn.Config(
        web.app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=True,
        forwarded_allow_ips=trusted_proxies,
        timeout_graceful_shutdown=STOP_S,
        backlog=4096,
        http=ClassConnection,
    )
    with listener:
        run_until_stopped(_Server(config, web), listener)


class _Server(uvicorn.Server):
    """A server that ends teachers' streams when it stops; otherwise they would stay open for hours."""

    def __init__(self, config: uvicorn.Config, web: ClassApp) -> None:
        super().__init__(config)
        self._web = web
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._web.app.state.stop)
        super().handle_exit(sig, frame)

"""Serves the page on the loopback interface and opens the browser."""

from __future__ import annotations

import socket
import threading
import webbrowser
from typing import Final

import uvicorn

from mien.errors import DeviceError
from mien.web.app import WebApp

HOST: Final = "127.0.0.1"
USUAL_PORT: Final = 8731
"""Browsers remember the camera permission by address, so the port is kept the same if possible."""


def serve(web: WebApp, port: int | None, browser: bool) -> None:
    """Serve until Ctrl-C.

    Args:
        web: the application.
        port: the port; None for the default one, or any free port if that is taken.
        browser: open the page in the user's browser.

    Raises:
        DeviceError: the port is taken.
    """
    listener = _listen(port)
    url = f"http://{HOST}:{listener.getsockname()[1]}/"
    print(f"Mien is at {url}  (Ctrl-C ends it)", flush=True)
    if browser:
        threading.Timer(0.3, webbrowser.open, (url,)).start()
    config = uvicorn.Config(web.app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=3)
    with listener:
        run_until_stopped(uvicorn.Server(config), listener)


def run_until_stopped(server: uvicorn.Server, listener: socket.socket) -> None:
    """Run a server until a signal stops it; the signal that uvicorn raises again is ignored."""
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        if not server.should_exit:  # the signal came before it served
            raise


def _listen(port: int | None) -> socket.socket:
    """Return a socket that listens on a loopback port."""
    for candidate in (USUAL_PORT, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
        except OSError as error:
            listener.close()
            reason = error.strerror
            continue
        return listener
    raise DeviceError(f"port {port} of {HOST} cannot be used ({reason}). Choose another with --port, or leave it out")

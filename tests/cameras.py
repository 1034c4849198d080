"""Cameras that do what a test says: one that stands where OpenCV's reader stands, and a real network camera."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.sources.decoder import Decoder

MISS = None
"""A read that fails."""


def grey(level: int = 90, size: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    """Return an evenly grey picture of a width and a height."""
    return np.full((size[1], size[0], 3), level, np.uint8)


class ScriptedDecoder:
    """Reads what the script says: pictures, misses, waits in seconds, or events to wait for; in the end only misses."""

    def __init__(self, script: Sequence[Any], opens: bool = True, properties: dict[int, float] | None = None) -> None:
        self._script = iter(script)
        self._opens = opens
        self.properties = properties or {}
        self.asked: list[tuple[int, float]] = []
        self.released = False

    def isOpened(self) -> bool:
        return self._opens

    def read(self) -> tuple[bool, Any]:
        for item in self._script:
            if isinstance(item, threading.Event):
                item.wait()
            elif isinstance(item, float):
                time.sleep(item)
            elif isinstance(item, Exception):
                raise item
            else:
                return item is not MISS, item
        return False, None

    def get(self, propId: int, /) -> float:
        return self.properties.get(propId, 0.0)

    def set(self, propId: int, value: float, /) -> bool:
        self.asked.append((propId, value))
        return True

    def release(self) -> None:
        self.released = True


class ScriptedDevice:
    """Opens one decoder after the other; when all were used it does not open any more."""

    name = "camera 7"

    def __init__(self, *decoders: ScriptedDecoder, hang_on_open: threading.Event | None = None) -> None:
        self._decoders = list(decoders)
        self._hang = hang_on_open
        self.openings = 0

    def open(self) -> Decoder:
        self.openings += 1
        if self._hang is not None:
            self._hang.wait()
        return self._decoders.pop(0) if self._decoders else ScriptedDecoder([], opens=False)

    def problem(self) -> str:
        return "the cable is out"


@contextmanager
def shut_out(file: Path) -> Iterator[None]:
    """Be a user without rights to a file of one's own; root may read everything, so it becomes nobody for a while."""
    before = file.stat().st_mode
    file.chmod(0)
    if os.geteuid() == 0:
        file.group()  # loads what it needs while this Python may still be read
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield
    file.chmod(before)


class NetworkCamera:
    """What a test tells a network camera to send on one connection."""

    def __init__(self, handler: BaseHTTPRequestHandler, number: int) -> None:
        self._out = handler.wfile
        self.number = number
        """Which connection it is, from 0."""

    def send(self, image: NDArray[np.uint8], then_s: float = 0.03) -> None:
        """Send one picture as JPEG, and wait."""
        jpeg = cv2.imencode(".jpg", image)[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        self._out.write(head.encode() + jpeg + b"\r\n")
        self._out.flush()
        time.sleep(then_s)


@contextmanager
def network_camera(film: Callable[[NetworkCamera], None], port: int = 0) -> Iterator[str]:
    """Run a real HTTP server that sends motion JPEG, as network cameras do; yield its address.

    Args:
        film: what happens on a connection; when it returns, the camera hangs up.
        port: where, 0 for a free one.
    """
    connections = iter(range(1000))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                film(NetworkCamera(self, next(connections)))
            except OSError:  # the other end has gone
                return

        def log_message(self, format: str, *args: object) -> None:
            return None

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video.mjpg"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

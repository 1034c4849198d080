"""Clips as a browser's fake camera, and a server with the real page for the tests in Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from conftest import REPOSITORY, SHARED
from numpy.typing import NDArray

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Return the path of a Chromium, None where there is none."""
    return next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)


def clip_frames(path: Path, size: tuple[int, int] | None = None, every: int = 1) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a clip, (H, W, 3) uint8 BGR."""
    capture = cv2.VideoCapture(str(path))
    number = 0
    while True:
        ok, image = capture.read()
        if not ok:
            return
        if number % every == 0:
            yield image if size is None else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        number += 1


def write_y4m(path: Path, frames: Iterable[NDArray[np.uint8]], fps: int) -> int:
    """Write frames as YUV4MPEG2, which Chromium plays as its fake camera; return how many there were."""
    count = 0
    with path.open("wb") as handle:
        for image in frames:
            height, width = image.shape[:2]
            if count == 0:
                handle.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
            handle.write(b"FRAME\n")
            handle.write(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).tobytes())
            count += 1
    return count


def write_lossless(path: Path, frames: Iterable[NDArray[np.uint8]], fps: int) -> int:
    """Write frames as a WebM of RGB without loss, of which every decoder makes the same pixels; return how many there were."""
    count = 0
    with av.open(str(path), "w", format="webm") as container:
        stream: Any = container.add_stream("libvpx-vp9", rate=fps)
        stream.pix_fmt = "gbrp"
        stream.options = {"lossless": "1", "cpu-used": "8", "deadline": "realtime", "lag-in-frames": "0"}
        for image in frames:
            if count == 0:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="gbrp")
            frame.pts, frame.time_base = count, Fraction(1, fps)
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode(None))
    return count


@contextmanager
def running_page(folder: Path, *options: str, port: int, **environment: str) -> Iterator[str]:
    """Run ``mien web`` in a folder; yield the page's address."""
    run = subprocess.Popen(
        [sys.executable, "-m", "mien", "web", "--no-browser", "--port", str(port), *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "MIEN_MODELS": str(SHARED / "models")} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                assert run.poll() is None, run.communicate()[0]
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
        yield url
    finally:
        run.terminate()
        try:
            run.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()

"""The cameras of this machine: which are here, which one is meant, and why one cannot be had.

Names come from Linux's video4linux, and from cv2-enumerate-cameras on macOS and Windows. OpenCV
tells nothing but that an opening failed, so the reasons are looked for here.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from mien.errors import UsageError
from mien.sources.decoder import Decoder
from mien.sources.files import has_access
from mien.visible import visible

_NAMES: Final = Path("/sys/class/video4linux")
_NODES: Final = Path("/dev")
_PROCESSES: Final = Path("/proc")
_LISTING: Final = {"darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_MSMF}
"""The backend by whose order OpenCV counts cameras, where there is no video4linux."""
_ALLOW: Final = {
    "darwin": "allow it to your terminal in System Settings, Privacy & Security",
    "win32": "allow it to desktop apps in Settings, Privacy",
}


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this machine: its index, and the name its driver gives it."""

    index: int
    name: str

    def __str__(self) -> str:
        return f"{self.index} {self.name}"


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """What a camera is asked for; it gives what it can.

    Attributes:
        size: width and height in pixels; None for its own choice.
        fps: frames a second; 0 for its own choice.
    """

    size: tuple[int, int] | None = None
    fps: float = 0.0


def list_cameras(names: Path = _NAMES) -> tuple[Camera, ...]:
    """Return the cameras that the system lists, by index; empty where it keeps no list.

    Args:
        names: the folder of Linux's list.
    """
    if sys.platform in _LISTING:
        return _enumerated(_LISTING[sys.platform])
    found = []
    for node in names.glob("video*"):
        try:
            name, part = (node / "name").read_text().strip(), (node / "index").read_text().strip()
        except OSError:  # unplugged at this moment
            continue
        # most cameras have a second node of the same name, which carries no picture
        if part == "0" and node.name.removeprefix("video").isdecimal():
            found.append(Camera(int(node.name.removeprefix("video")), visible(name)))
    return tuple(sorted(found, key=lambda camera: camera.index))


def _enumerated(backend: int) -> tuple[Camera, ...]:
    """Return the cameras by the order of one of OpenCV's backends; empty where the list cannot be had."""
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ImportError:
        return ()
    return tuple(Camera(found.index, visible(found.name)) for found in enumerate_cameras(backend))


def find_camera(part: str, cameras: tuple[Camera, ...]) -> Camera | None:
    """Return the camera whose name contains ``part``, in capitals or not; None where none does.

    Raises:
        UsageError: there are several, and none of them is called exactly that.
    """
    wanted = part.strip().lower()
    found = [camera for camera in cameras if wanted and wanted in camera.name.lower()]
    exact = [camera for camera in found if camera.name.lower() == wanted]
    if len(exact) == 1:
        return exact[0]
    if len(found) > 1:
        raise UsageError(
            f"source is {part!r}, and {len(found)} cameras match: {listed(found)}. Use more of the name, or the index"
        )
    return found[0] if found else None


def listed(cameras: tuple[Camera, ...] | list[Camera]) -> str:
    """Return the cameras for a sentence."""
    return ", ".join(map(str, cameras)) or "none"


class CameraDevice:
    """A camera that can be opened again, also where it comes back under another index.

    Args:
        index: which one, as OpenCV counts.
        options: requested size and frame rate.
        names: the system's list of cameras.
        nodes: the folder of the device files.
    """

    def __init__(self, index: int, options: CameraOptions, names: Path = _NAMES, nodes: Path = _NODES) -> None:
        self._index = index
        self._options = options
        self._names, self._nodes = names, nodes
        known = {camera.index: camera.name for camera in list_cameras(names)}
        self._called = known.get(index, "")
        self.name = f"camera {index}" + (f", {self._called}" if self._called else "")
        self.notice = ""

    def ask_permission(self) -> None:
        """Let a Mac ask its user whether the camera may be used; it does so only for a program's first thread."""
        if sys.platform == "darwin":
            cv2.VideoCapture(self._index).release()

    def open(self) -> Decoder:
        decoder = cv2.VideoCapture(self.index())
        if decoder.isOpened():
            self.ask(decoder)
        return decoder

    def index(self) -> int:
        """Return where the camera is now: a camera plugged in again may have got another index."""
        here = list_cameras(self._names)
        if any(camera.index == self._index and camera.name == self._called for camera in here):
            return self._index
        twins = [camera.index for camera in here if camera.name == self._called]
        return twins[0] if len(twins) == 1 else self._index

    def ask(self, decoder: Decoder) -> None:
        """Request the options; differences are described in ``notice``."""
        size, fps = self._options.size, self._options.fps
        if size is not None:
            # uncompressed pictures of this size would not fit through most cables at a useful rate
            decoder.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            decoder.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            decoder.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps:
            decoder.set(cv2.CAP_PROP_FPS, fps)
        given = (int(decoder.get(cv2.CAP_PROP_FRAME_WIDTH)), int(decoder.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        rate = decoder.get(cv2.CAP_PROP_FPS)
        differences = []
        if size is not None and given != size:
            differences.append(f"{given[0]}x{given[1]} pixels, not {size[0]}x{size[1]}")
        if fps and rate > 0 and abs(rate - fps) > 1:
            differences.append(f"{rate:g} frames a second, not {fps:g}")
        self.notice = f"{self.name} gives {' and '.join(differences)}" if differences else ""

    def problem(self) -> str:
        return camera_problem(self.index(), list_cameras(self._names), self._nodes)


def camera_problem(index: int, here: tuple[Camera, ...] = (), nodes: Path = _NODES, processes: Path = _PROCESSES) -> str:
    """Return why a camera cannot be had, as far as the system tells, and what to do.

    Args:
        index: which camera.
        here: the cameras there are.
        nodes: the folder of the device files.
        processes: the system's folder of processes.
    """
    if not sys.platform.startswith("linux"):
        allow = _ALLOW.get(sys.platform, "allow programs to use it")
        return (
            f"no camera {index}, or it is in use or blocked. Connect it, close programs that use it or {allow}; or --source demo"
        )
    node = nodes / f"video{index}"
    if not node.exists():
        return f"no camera {index} here (cameras: {listed(here)}). Plug it in, choose another, or use --source demo"
    if not has_access(node, os.R_OK | os.W_OK):
        group = _group_of(node)
        return (
            f"camera {index} may not be used: this user has no permission for {node}. Its users are the group {group}: "
            f"run  sudo usermod -aG {group} $USER  and log in again"
        )
    holders = processes_using(node, processes)
    if holders:
        return f"camera {index} is in use by another program: {', '.join(holders)}. Close that, or choose another camera"
    return f"camera {index} does not respond. Reconnect it, or choose another camera"


def processes_using(node: Path, processes: Path = _PROCESSES) -> tuple[str, ...]:
    """Return the programs, but this one, that have a file open, as far as this user may see; with process ids."""
    found = []
    for process in processes.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(link.readlink() == node for link in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:  # another user's process, or one that has ended
            continue
    return tuple(found)


def _group_of(node: Path) -> str:
    try:
        return node.group()
    except (KeyError, OSError):
        return "video"

"""Lists and opens the cameras of this computer, and explains why one is unavailable.

Names come from Linux's video4linux, and from cv2-enumerate-cameras on macOS and Windows. OpenCV
only reports that opening failed, so this module determines the reason.
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
"""OpenCV backends whose camera order defines the indices, on systems without video4linux."""
_ALLOW: Final = {
    "darwin": "allow your terminal to use it in System Settings, Privacy & Security",
    "win32": "allow desktop apps to use it in Settings, Privacy",
}


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this computer: its index and the name reported by its driver."""

    index: int
    name: str

    def __str__(self) -> str:
        return f"{self.index} {self.name}"


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """Options requested from a camera, which may deliver something else.

    Attributes:
        size: width and height in pixels; None for the camera's default.
        fps: frames per second; 0 for the camera's default.
    """

    size: tuple[int, int] | None = None
    fps: float = 0.0


def list_cameras(names: Path = _NAMES) -> tuple[Camera, ...]:
    """Return the cameras that the system lists, sorted by index; empty if it has no list.

    Args:
        names: video4linux's folder of devices.
    """
    if sys.platform in _LISTING:
        return _enumerated(_LISTING[sys.platform])
    found = []
    for node in names.glob("video*"):
        try:
            name, part = (node / "name").read_text().strip(), (node / "index").read_text().strip()
        except OSError:  # just unplugged
            continue
        # most cameras have a second node of the same name that delivers no video
        if part == "0" and node.name.removeprefix("video").isdecimal():
            found.append(Camera(int(node.name.removeprefix("video")), visible(name)))
    return tuple(sorted(found, key=lambda camera: camera.index))


def _enumerated(backend: int) -> tuple[Camera, ...]:
    """Return the cameras in the order of an OpenCV backend; empty if cv2-enumerate-cameras is not installed."""
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ImportError:
        return ()
    return tuple(Camera(found.index, visible(found.name)) for found in enumerate_cameras(backend))


def find_camera(part: str, cameras: tuple[Camera, ...]) -> Camera | None:
    """Return the camera whose name contains ``part``, ignoring case; None if there is none.

    Raises:
        UsageError: several names contain it, and none equals it.
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
    """Return the cameras as a comma-separated list, or "none"."""
    return ", ".join(map(str, cameras)) or "none"


class CameraDevice:
    """A camera that can be reopened, even if it reappears under another index.

    Args:
        index: OpenCV's index of the camera.
        options: requested size and frame rate.
        names: video4linux's folder of devices.
        nodes: folder of the device files.

    Attributes:
        name: display name.
        notice: how the delivered size and frame rate differ from the requested ones, or "".
    """

    def __init__(self, index: int, options: CameraOptions, names: Path = _NAMES, nodes: Path = _NODES) -> None:
        self._index = index
        self._options = options
        self._names, self._nodes = names, nodes
        known = {camera.index: camera.name for camera in list_cameras(names)}
        self._driver_name = known.get(index, "")
        self.name = f"camera {index}" + (f", {self._driver_name}" if self._driver_name else "")
        self.notice = ""

    def ask_permission(self) -> None:
        """On macOS, trigger the system's permission dialog, which only works on the main thread."""
        if sys.platform == "darwin":
            cv2.VideoCapture(self._index).release()

    def open(self) -> Decoder:
        decoder = cv2.VideoCapture(self.index())
        if decoder.isOpened():
            self.ask(decoder)
        return decoder

    def index(self) -> int:
        """Return the current index of the camera, which may change when it is reconnected."""
        here = list_cameras(self._names)
        if any(camera.index == self._index and camera.name == self._driver_name for camera in here):
            return self._index
        twins = [camera.index for camera in here if camera.name == self._driver_name]
        return twins[0] if len(twins) == 1 else self._index

    def ask(self, decoder: Decoder) -> None:
        """Request the options; differences are described in ``notice``."""
        size, fps = self._options.size, self._options.fps
        if size is not None:
            # uncompressed frames of this size exceed the bandwidth of USB 2 at useful frame rates
            decoder.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            decoder.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            decoder.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps:
            decoder.set(cv2.CAP_PROP_FPS, fps)
        delivered = (int(decoder.get(cv2.CAP_PROP_FRAME_WIDTH)), int(decoder.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        rate = decoder.get(cv2.CAP_PROP_FPS)
        differences = []
        if size is not None and delivered != size:
            differences.append(f"{delivered[0]}x{delivered[1]} pixels, not {size[0]}x{size[1]}")
        if fps and rate > 0 and abs(rate - fps) > 1:
            differences.append(f"{rate:g} frames a second, not {fps:g}")
        self.notice = f"{self.name} gives {' and '.join(differences)}" if differences else ""

    def problem(self) -> str:
        return camera_problem(self.index(), list_cameras(self._names), self._nodes)


def camera_problem(index: int, available: tuple[Camera, ...] = (), nodes: Path = _NODES, processes: Path = _PROCESSES) -> str:
    """Return why a camera cannot be used, as far as the system tells, and what to do.

    Args:
        index: OpenCV's index of the camera.
        available: the available cameras.
        nodes: folder of the device files.
        processes: folder of the processes (procfs).
    """
    if not sys.platform.startswith("linux"):
        allow = _ALLOW.get(sys.platform, "allow programs to use it")
        return (
            f"no camera {index}, or it is in use or blocked. Connect it, close programs using it, {allow}, or use --source demo"
        )
    node = nodes / f"video{index}"
    if not node.exists():
        return f"no camera {index} here (cameras: {listed(available)}). Plug it in, choose another, or use --source demo"
    if not has_access(node, os.R_OK | os.W_OK):
        group = _group_of(node)
        return (
            f"camera {index} cannot be opened: this user has no permission for {node}. To join the group {group}, "
            f"run  sudo usermod -aG {group} $USER  and log in again"
        )
    holders = processes_using(node, processes)
    if holders:
        return f"camera {index} is in use by another program: {', '.join(holders)}. Close that, or choose another camera"
    return f"camera {index} does not respond. Reconnect it, or choose another camera"


def processes_using(node: Path, processes: Path = _PROCESSES) -> tuple[str, ...]:
    """Return names and process ids of the other programs that have a file open, as far as this user may see them."""
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

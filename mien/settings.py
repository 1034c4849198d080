"""Settings of a live session, validated on construction."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mien.errors import UsageError, nearest
from mien.files import is_unicode

VIEWS: Final = ("auto", "window", "terminal", "none")
_SIZE: Final = re.compile(r"(\d{1,5})\s*[x×*]\s*(\d{1,5})", re.IGNORECASE)


def parse_size(key: str, text: str) -> tuple[int, int] | None:
    """Parse a size such as "1280x720" into width and height in pixels; return None for "".

    Raises:
        UsageError: the value of the setting ``key`` is invalid.
    """
    if not text:
        return None
    size = _SIZE.fullmatch(text.strip())
    if size is None:
        raise UsageError(f"{key} is {text!r}; it must be width and height in pixels, such as 1280x720")
    return int(size[1]), int(size[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """Settings of a live session.

    Attributes:
        source: ``auto``, ``demo``, index or name of a camera, a URL, a video, a picture or a folder.
        out: folder of the session, created with the first frame.
        model: name of a packaged bundle, or path of a bundle.
        view: ``auto``, ``window``, ``terminal`` or ``none``.
        smoothing_s: time constant of the smoothing in seconds, 0 to 60; 0 disables it.
        seconds: maximum duration on the source's clock in seconds; 0 for no limit.
        keep_faces: whether faces in screenshots are not blurred.
        deployment: file of the deployment declaration; None for the one that applies here (``policy_here``).
        camera_size: requested width and height of a camera in pixels, 16 to 16384; None for its default.
        camera_fps: requested frame rate of a camera per second, 1 to 1000; 0 for its default.
        patience_s: time without signal from a camera or stream after which the session ends, in seconds, 0 to 86400.
        database: path or URL of a database to store the session in as well; "" for the one in ``MIEN_DB``, if set.
        person: participant ID in the consent ledger; "" if no participant is named.
        states: whether to evaluate rules about learning states (experimental); otherwise only observable signs.
        rules: a rules file (``mien states init``); None for the default rules.

    Raises:
        UsageError: a value is out of range.
    """

    source: str = field(repr=False)  # a stream's URL may contain a password
    out: Path
    model: str
    view: str = "auto"
    smoothing_s: float = 0.4
    seconds: float = 0.0
    keep_faces: bool = False
    deployment: Path | None = None
    camera_size: tuple[int, int] | None = None
    camera_fps: float = 0.0
    patience_s: float = 60.0
    database: str = field(default="", repr=False)  # a database URL may contain a password
    person: str = ""
    states: bool = False
    rules: Path | None = None

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise UsageError(f"--view is {self.view!r}; it must be one of {', '.join(VIEWS)}.{nearest(self.view, VIEWS)}")
        if not 0 <= self.smoothing_s <= 60:
            raise UsageError(f"--smoothing-s is {self.smoothing_s:g}; it must be 0 to 60 s")
        if not self.seconds >= 0:
            raise UsageError(f"--duration-s is {self.seconds:g}; it must be 0 (to the end of the source) or more")
        if self.camera_size is not None and not all(16 <= side <= 16384 for side in self.camera_size):
            size = f"{self.camera_size[0]}x{self.camera_size[1]}"
            raise UsageError(f"--camera-size is {size}; each side must be 16 to 16384 pixels")
        if self.camera_fps and not 1 <= self.camera_fps <= 1000:
            raise UsageError(f"--camera-fps is {self.camera_fps:g}; it must be 1 to 1000, or 0 for the camera's default")
        if not 0 <= self.patience_s <= 86400:
            raise UsageError(f"--patience-s is {self.patience_s:g}; it must be 0 (end at once) to 86400 s")
        if not is_unicode(str(self.out)):
            raise UsageError(f"--out is {str(self.out)!r}; it must be valid UTF-8")
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(f"--out {self.out} is a file; choose a folder")

"""Typed, closed settings of a run: every key is known, every value is checked by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mien.errors import UsageError, nearest

VIEWS: Final = ("auto", "window", "terminal", "none")
_SIZE: Final = re.compile(r"(\d{1,5})\s*[x×*]\s*(\d{1,5})", re.IGNORECASE)


def parse_size(key: str, text: str) -> tuple[int, int] | None:
    """Return "1280x720" as width and height in pixels, None for "".

    Raises:
        UsageError: the text of the setting ``key`` is something else.
    """
    if not text:
        return None
    size = _SIZE.fullmatch(text.strip())
    if size is None:
        raise UsageError(f"{key} is {text!r}; it must be width and height in pixels, as in 1280x720")
    return int(size[1]), int(size[2])


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """What a live session is made of.

    Attributes:
        source: auto, demo, a camera's index or name, a URL, a video, a picture or a folder.
        out: the session's folder, made with the first frame.
        model: a packaged bundle's name or a bundle's path.
        view: auto, window, terminal or none.
        smoothing_s: time constant of the smoothing in seconds, 0 for none.
        seconds: end after this much of the source's time; 0 for its end.
        keep_faces: leave faces as they are in screenshots instead of blurring them.
        deployment: the declaration of who uses it on whom; own use on oneself where there is none.
        camera_size: width and height that a camera is asked for, in pixels; None for its own choice.
        camera_fps: frames a second that a camera is asked for; 0 for its own choice.
        patience_s: how long a camera or a stream may be lost before the session ends, in seconds.
        database: a path or URL of a database that keeps the session too; "" for the one in ``MIEN_DB``, or none.
        states: ask the rules for learning states too, which is experimental; else what can be seen is all they say.
        rules: a file of rules (``mien states init``); None for those that come with Mien.
        person: who sits there, as the consent ledger calls them; "" where nobody is named.
    """

    source: str
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
    database: str = ""
    person: str = ""
    states: bool = False
    rules: Path | None = None

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise UsageError(f"view is {self.view!r}; it must be one of {', '.join(VIEWS)}.{nearest(self.view, VIEWS)}")
        if not 0 <= self.smoothing_s <= 60:
            raise UsageError(f"smoothing is {self.smoothing_s:g} s; it must be 0 to 60 s")
        if not self.seconds >= 0:
            raise UsageError(f"seconds is {self.seconds:g}; it must be 0 (to the source's end) or more")
        if self.camera_size is not None and not all(16 <= side <= 16384 for side in self.camera_size):
            raise UsageError(f"camera-size is {self.camera_size[0]}x{self.camera_size[1]}; each side must be 16 to 16384 pixels")
        if self.camera_fps and not 1 <= self.camera_fps <= 1000:
            raise UsageError(
                f"camera-fps is {self.camera_fps:g}; it must be 1 to 1000 a second, or 0 for the camera's own choice"
            )
        if not 0 <= self.patience_s <= 86400:
            raise UsageError(f"patience is {self.patience_s:g} s; it must be 0 (end at once) to 86400 s")
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(f"out is {self.out}, which is a file; name a folder")

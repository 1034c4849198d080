"""Typed, closed settings of a run: every key is known, every value is checked by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mien.errors import UsageError

VIEWS: Final = ("auto", "window", "terminal", "none")


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """What a live session is made of.

    Attributes:
        source: auto, demo, a camera's index, a URL, a video, a picture or a folder.
        out: the session's folder, made when the session ends.
        model: a packaged bundle's name or a bundle's path.
        view: auto, window, terminal or none.
        smoothing_s: time constant of the smoothing in seconds, 0 for none.
        seconds: end after this much of the source's time; 0 for its end.
        keep_faces: leave faces as they are in screenshots instead of blurring them.
    """

    source: str
    out: Path
    model: str
    view: str = "auto"
    smoothing_s: float = 0.4
    seconds: float = 0.0
    keep_faces: bool = False

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise UsageError(f"view is {self.view!r}; it must be one of {', '.join(VIEWS)}")
        if not 0 <= self.smoothing_s <= 60:
            raise UsageError(f"smoothing is {self.smoothing_s:g} s; it must be 0 to 60 s")
        if not self.seconds >= 0:
            raise UsageError(f"seconds is {self.seconds:g}; it must be 0 (to the source's end) or more")
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(f"out is {self.out}, which is a file; name a folder")

"""A session on one page: the ribbon of its expressions over time, and how they share the whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.drawing import CLASS_RGB, WHITE, Canvas, Rgb, clock
from mien.emotions import EMOTIONS
from mien.files import atomic_path
from mien.store.session_records import KeptSession
from mien.store.summary_document import facing_share

SIZE: Final = (1200, 720)
_INK: Final[Rgb] = (28, 32, 38)
_SOFT: Final[Rgb] = (110, 118, 130)
_EMPTY: Final[Rgb] = (238, 240, 243)
_LEFT: Final = 56.0
_TICKS_S: Final = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def session_picture(target: Path, kept: KeptSession) -> None:
    """Write a session as a 1200x720 PNG.

    Raises:
        DeviceError: the file cannot be written.
    """
    session, facing = kept.session, facing_share(kept)
    label_s = np.array([row.label_s for row in kept.intervals]).reshape(-1, len(EMOTIONS))
    read_s = label_s.sum(1, keepdims=True)
    facts = [
        ("frames", str(session.frames)),
        ("with a face", str(session.frames_with_face)),
        ("faces at once", str(session.faces_max)),
        ("duration", f"{session.duration_s:.1f} s"),
        ("facing the screen", "-" if facing is None else f"{facing:.0%}"),
        ("model", session.model),
    ]
    draw_summary(
        target,
        title=f"Expressions in {session.source}",
        t_s=np.array([row.from_s for row in kept.intervals]),
        values=np.divide(label_s, read_s, out=np.full_like(label_s, np.nan), where=read_s > 0),
        distribution=np.array(kept.label_s) / max(1e-9, kept.face_s),
        facts=facts,
    )


def draw_summary(
    target: Path,
    *,
    title: str,
    t_s: NDArray[np.float64],
    values: NDArray[np.float64],
    distribution: NDArray[np.float64],
    facts: Sequence[tuple[str, str]],
) -> None:
    """Write the page as a 1200x720 PNG.

    Args:
        target: the file.
        title: what was watched.
        t_s: (T,) times in seconds, ascending.
        values: (T, 7) shares of face time; NaN rows where nobody was read.
        distribution: (7,) shares of face time, all 0 when no face was seen.
        facts: label and value pairs for the line below the title.

    Raises:
        DeviceError: the file cannot be written.
    """
    width, height = SIZE
    page = Canvas(2 * width, 2 * height, 2.0, WHITE)
    wide = width - 2 * _LEFT
    page.text(_LEFT, 36, page.elided(title, 30, wide), 30, _INK)
    for place, (name, value) in enumerate(facts):
        x = _LEFT + place * wide / max(1, len(facts))
        page.text(x, 92, page.elided(value, 21, wide / len(facts) - 12), 21, _INK)
        page.text(x, 120, name, 13, _SOFT)
    page.text(_LEFT, 166, "OVER TIME", 12, _SOFT, tracking=1.4)
    _draw_timeline(page, t_s, values, (_LEFT, 190, wide, 190))
    page.text(_LEFT, 432, "SHARE OF FACE TIME", 12, _SOFT, tracking=1.4)
    _draw_shares(page, distribution, _LEFT, 458, wide)
    page.text(_LEFT, 682, "Expression, not feeling: a look is not a state of mind.", 13, _SOFT)
    picture = Image.fromarray(page.image).resize(SIZE, Image.Resampling.BOX)
    with atomic_path(target) as temporary:
        picture.save(temporary, format="PNG")


def tick_step(seconds: float) -> float:
    """Return the distance of the time axis's ticks: at most ten of them, at round times.

    >>> tick_step(19.6), tick_step(3600)
    (2, 600)
    """
    return next((step for step in _TICKS_S if seconds / step <= 10), _TICKS_S[-1])


def _draw_timeline(
    page: Canvas, t_s: NDArray[np.float64], values: NDArray[np.float64], area: tuple[float, float, float, float]
) -> None:
    x, y, wide, high = area
    if len(t_s) == 0 or not np.isfinite(values).any():
        page.pill(x, y, wide, high, 6, _EMPTY)
        page.text(x + wide / 2, y + high / 2 - 12, "no face was seen", 20, _SOFT, "centre")
        return
    slice_s = float(t_s[1] - t_s[0]) if len(t_s) > 1 else 1.0
    start_s, end_s = float(t_s[0]), float(t_s[-1]) + slice_s
    # a value speaks for its whole slice, so it stands in the slice's middle
    page.ribbon(area, t_s + slice_s / 2, values, (start_s, end_s), _EMPTY)
    step = tick_step(end_s - start_s)
    for k in range(int((end_s - start_s) / step) + 1):
        seconds = k * step
        at = x + wide * seconds / (end_s - start_s)
        page.pill(at - 0.5, y + high, 1, 6, 0, _SOFT)
        words = clock(seconds) if end_s - start_s >= 60 else f"{seconds:g} s"
        page.text(at, y + high + 9, words, 12, _SOFT, "left" if k == 0 else "centre")


def _draw_shares(page: Canvas, distribution: NDArray[np.float64], x: float, y: float, wide: float) -> None:
    for row, (name, colour) in enumerate(zip(EMOTIONS, CLASS_RGB, strict=True)):
        share, top = float(distribution[row]), y + row * 29
        page.text(x, top, name, 16, _INK)
        page.bar(x + 96, top + 4, wide - 96 - 84, 14, share, colour, _EMPTY)
        page.text(x + wide, top, f"{100 * share:.1f} %", 16, _INK, "right")

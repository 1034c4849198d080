"""``summary.png``: expressions over time and their shares of face time.

If expressions may not be read, the picture shows presence and head direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.drawing import CLASS_RGB, WHITE, Align, Canvas, Rgb, clock
from mien.emotions import EMOTIONS
from mien.files import atomic_path
from mien.sessions.records import KeptSession
from mien.summaries.single import faces_in_words, facing_counts, is_single, number_of_faces
from mien.words import percent

SIZE: Final = (1200, 720)
_INK: Final[Rgb] = (28, 32, 38)
_SOFT: Final[Rgb] = (110, 118, 130)
_EMPTY: Final[Rgb] = (238, 240, 243)
_FACING: Final[Rgb] = (58, 110, 165)
_AWAY: Final[Rgb] = (196, 120, 60)
_POSELESS: Final[Rgb] = (170, 176, 184)
_LEFT: Final = 56.0
_TIMELINE: Final = (_LEFT, 190.0, SIZE[0] - 2 * _LEFT, 190.0)
"""Left, top, width and height of the timeline."""
_ALL: Final = (_LEFT, 190.0, SIZE[0] - 2 * _LEFT, 460.0)
"""The same, with the shares below it."""
_NOBODY: Final = "no face was seen"
_FOOT: Final = "Mien reads expressions, not feelings."
_FOOT_OBSERVABLES: Final = "Observables only: no expression was read. Facing the screen is not attention."
_TICKS_S: Final = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def session_picture(target: Path, kept: KeptSession) -> None:
    """Write a session as a 1200x720 PNG.

    Raises:
        DeviceError: the file cannot be written.
    """
    session, facing = kept.session, kept.facing_share
    label_s = np.array([row.label_s for row in kept.intervals]).reshape(-1, len(EMOTIONS))
    read_s = label_s.sum(1, keepdims=True)
    if is_single(kept):
        facts = [("picture", "1"), ("in the picture", number_of_faces(session.faces_max))]
        facts += [] if facing is None else [("facing the screen", "{} of {}".format(*facing_counts(kept)))]
    else:
        facts = [
            ("frames", str(session.frames)),
            ("with a face", str(session.frames_with_face)),
            *([] if session.presence_share is None else [("present", percent(session.presence_share))]),
            ("most faces at once", str(session.faces_max)),
            ("duration", f"{session.duration_s:.1f} s"),
            *([] if facing is None else [("facing the screen", percent(facing))]),
        ]
    if not session.has_expressions:
        _draw_observables(target, kept, facts)
        return
    facts.append(("model", session.model))
    draw_summary(
        target,
        title=f"Expressions in {session.source}",
        t_s=np.array([row.from_s for row in kept.intervals]),
        values=np.divide(label_s, read_s, out=np.full_like(label_s, np.nan), where=read_s > 0),
        distribution=np.array(kept.label_s) / max(1e-9, kept.face_s),
        facts=facts,
        nothing="no face was read" if session.frames_with_face else _NOBODY,
        single=faces_in_words(kept) if is_single(kept) else "",
    )


def draw_summary(
    target: Path,
    *,
    title: str,
    t_s: NDArray[np.float64],
    values: NDArray[np.float64],
    distribution: NDArray[np.float64],
    facts: Sequence[tuple[str, str]],
    nothing: str = _NOBODY,
    single: str = "",
) -> None:
    """Write a chart of expressions as a 1200x720 PNG.

    Args:
        target: path of the output file.
        title: title of the chart.
        t_s: (T,) times in seconds, ascending.
        values: (T, 7) shares of face time; NaN rows if no face was read.
        distribution: (7,) shares of face time; all 0 if no face was read.
        facts: pairs of label and value for the line below the title.
        nothing: text in place of the chart if no row has a value.
        single: text in place of the timeline for a single picture, which has none.

    Raises:
        DeviceError: the file cannot be written.
    """
    page = _begun(title, facts)
    if len(t_s) == 0 or not np.isfinite(values).any():
        _draw_words(page, nothing, _ALL)
        _save(page, target, _FOOT)
        return
    if single:
        _draw_words(page, single, _TIMELINE)
    else:
        page.text(_LEFT, 166, "OVER TIME", 12, _SOFT, tracking=1.4)
        slice_s = float(t_s[1] - t_s[0]) if len(t_s) > 1 else 1.0
        span = (float(t_s[0]), float(t_s[-1]) + slice_s)
        if len(t_s) == 1:
            page.ribbon(_TIMELINE, np.array(span), np.repeat(values, 2, axis=0), span, _EMPTY)
        else:  # a value is the mean of its slice, so it is drawn at the centre of the slice
            page.ribbon(_TIMELINE, t_s + slice_s / 2, values, span, _EMPTY)
        _draw_axis(page, span)
    page.text(_LEFT, 432, "SHARE OF THE FACES" if single else "SHARE OF FACE TIME", 12, _SOFT, tracking=1.4)
    _draw_shares(page, list(zip(EMOTIONS, distribution.tolist(), CLASS_RGB, strict=True)))
    _save(page, target, _FOOT)


def _draw_observables(target: Path, kept: KeptSession, facts: Sequence[tuple[str, str]]) -> None:
    """Write the chart of a session without expressions."""
    session, rows = kept.session, kept.intervals
    page = _begun(f"Faces in {session.source}", facts)
    if not session.frames_with_face or not rows:
        _draw_words(page, _NOBODY, _ALL)
        _save(page, target, _FOOT_OBSERVABLES)
        return
    if is_single(kept):
        _draw_words(page, faces_in_words(kept), _TIMELINE)
    else:
        page.text(_LEFT, 166, "OVER TIME", 12, _SOFT, tracking=1.4)
        x, y, wide, high = _TIMELINE
        start_s = rows[0].from_s
        end_s = max(min(start_s + session.duration_s, rows[-1].to_s), rows[-1].from_s + 1e-9)
        page.pill(x, y, wide, high, 6, _EMPTY)
        for row in rows:
            # aligned to whole pixels of the canvas, which is drawn at twice its size, to avoid seams between slices
            left, right = (round(2 * wide * min(1.0, (t_s - start_s) / (end_s - start_s))) / 2 for t_s in (row.from_s, row.to_s))
            face_s = max(sum(row.label_s) + row.unread_s, 1e-9)
            there = 1 - min(1.0, row.empty_s / max(1e-9, min(row.to_s, end_s) - row.from_s)) if face_s > 1e-9 else 0.0
            known = min(1.0, (row.facing_s + row.away_s) / face_s)
            facing = known * row.facing_s / max(1e-9, row.facing_s + row.away_s)
            bottom = y + high
            for share, colour in ((facing, _FACING), (known - facing, _AWAY), (1 - known, _POSELESS)):
                bottom -= there * share * high
                if there * share > 0 and right > left:
                    page.pill(x + left, bottom, right - left, there * share * high, 0, colour)
        _draw_axis(page, (start_s, end_s))
    facing_s, away_s = (sum(getattr(row, name) for row in rows) for name in ("facing_s", "away_s"))
    posed_s = max(facing_s + away_s, 1e-9)
    page.text(_LEFT, 432, "SHARES", 12, _SOFT, tracking=1.4)
    bars = [
        ("frames with a face", session.frames_with_face / max(1, session.frames), _POSELESS),
        ("facing the screen", facing_s / posed_s, _FACING),
        ("turned away", away_s / posed_s, _AWAY),
    ]
    _draw_shares(page, bars, names=170)
    _save(page, target, _FOOT_OBSERVABLES)


def _begun(title: str, facts: Sequence[tuple[str, str]]) -> Canvas:
    """Return a canvas with title and facts."""
    width, height = SIZE
    page = Canvas(2 * width, 2 * height, 2.0, WHITE)
    wide = width - 2 * _LEFT
    page.text(_LEFT, 36, page.elided(title, 30, wide), 30, _INK)
    for place, (name, value) in enumerate(facts):
        x = _LEFT + place * wide / max(1, len(facts))
        page.text(x, 92, page.elided(value, 21, wide / len(facts) - 12), 21, _INK)
        page.text(x, 120, name, 13, _SOFT)
    return page


def _save(page: Canvas, target: Path, foot: str) -> None:
    page.text(_LEFT, 682, foot, 13, _SOFT)
    picture = Image.fromarray(page.image).resize(SIZE, Image.Resampling.BOX)
    with atomic_path(target, private=True) as temporary:
        picture.save(temporary, format="PNG")


def tick_step(seconds: float) -> float:
    """Return the tick spacing of the time axis in seconds, a round number that gives at most ten ticks.

    >>> tick_step(19.6), tick_step(3600)
    (2, 600)
    """
    return next((step for step in _TICKS_S if seconds / step <= 10), _TICKS_S[-1])


def _draw_words(page: Canvas, words: str, place: tuple[float, float, float, float]) -> None:
    """Draw words on an empty ground."""
    x, y, wide, high = place
    page.pill(x, y, wide, high, 6, _EMPTY)
    page.text(x + wide / 2, y + high / 2 - 12, words, 20, _SOFT, "centre")


def _draw_axis(page: Canvas, span: tuple[float, float]) -> None:
    """Draw ticks and times below the timeline."""
    x, y, wide, high = _TIMELINE
    start_s, end_s = span
    step = tick_step(end_s - start_s)
    for k in range(int((end_s - start_s) / step) + 1):
        seconds = k * step
        at = x + wide * seconds / (end_s - start_s)
        page.pill(at - 0.5, y + high, 1, 6, 0, _SOFT)
        words = clock(seconds) if end_s - start_s >= 60 else f"{seconds:g} s"
        align: Align = "left" if k == 0 else "right" if at > x + wide - 20 else "centre"
        page.text(at, y + high + 9, words, 12, _SOFT, align)


def _draw_shares(page: Canvas, rows: Sequence[tuple[str, float, Rgb]], names: float = 96) -> None:
    """Draw a bar chart; ``names`` is the width reserved for the names."""
    x, wide = _LEFT, SIZE[0] - 2 * _LEFT
    for number, (name, share, colour) in enumerate(rows):
        top = 458.0 + number * 29
        page.text(x, top, name, 16, _INK)
        page.bar(x + names, top + 4, wide - names - 84, 14, share, colour, _EMPTY)
        page.text(x + wide, top, f"{100 * share:.1f}%", 16, _INK, "right")

"""The panel of the live view, in sections that are left out by priority if there is not enough room."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mien.drawing import CLASS_RGB, Canvas, Rgb, clock
from mien.emotions import EMOTIONS
from mien.records import Snapshot
from mien.views.theme import AMBER, DRIFT_WORDS, GREEN, NO_EXPRESSIONS, SOFT, TEXT, TRACK, Area


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the panel: its height in units, its priority (0 is the highest), and its drawing function."""

    height: float
    rank: int
    draw: Callable[[Canvas, Snapshot, Area], None]


def draw_column(canvas: Canvas, snapshot: Snapshot, area: Area, sections: tuple[Section, ...]) -> None:
    """Draw the sections that fit, chosen by rank; the trend takes the remaining height."""
    if not snapshot.expressions:
        sections = tuple(OBSERVABLES if section is DISTRIBUTION else section for section in sections)
        sections = tuple(section for section in sections if section not in (AFFECT, TREND))
    chosen: list[Section] = []
    room = area.h
    for section in sorted(sections, key=lambda s: s.rank):
        if section.height <= room:
            chosen.append(section)
            room -= section.height
    spare = min(room, 110.0) if TREND in chosen else 0.0
    if STATUS in chosen and FACTS not in chosen:
        chosen[chosen.index(STATUS)] = _SHORT_STATUS
        sections = tuple(_SHORT_STATUS if section is STATUS else section for section in sections)
    y = area.y
    for section in sections:
        if section in chosen:
            height = section.height + (spare if section is TREND else 0.0)
            section.draw(canvas, snapshot, Area(area.x, y, area.w, height))
            y += height


def _draw_header(canvas: Canvas, snapshot: Snapshot, area: Area) -> None:
    canvas.text(area.x, area.y - 6, "Mien", 30, TEXT)
    canvas.text(area.x, area.y + 32, canvas.elided(snapshot.source, 13, area.w), 13, SOFT)


def _draw_status(canvas: Canvas, snapshot: Snapshot, area: Area) -> None:
    light, words = status(snapshot)
    canvas.pill(area.x, area.y + 4, 9, 9, 4.5, light)
    canvas.text(area.x + 17, area.y, words, 13, TEXT)


def _draw_long_status(canvas: Canvas, snapshot: Snapshot, area: Area) -> None:
    """Draw the status, and the drift indicator on the right."""
    _draw_status(canvas, snapshot, area)
    if snapshot.drift in DRIFT_WORDS:
        light, words = DRIFT_WORDS[snapshot.drift]
        left = area.x + area.w - canvas.text_width(words, 13)
        canvas.text(left, area.y, words, 13, SOFT)
        canvas.pill(left - 15, area.y + 4, 9, 9, 4.5, light)


def status(snapshot: Snapshot) -> tuple[Rgb, str]:
    """Return the colour and the text of the status."""
    health = snapshot.health
    if health.state != "ok":
        return AMBER, f"source {health.state}, {clock(health.since_s)}"
    if snapshot.paused:
        return AMBER, "paused"
    return GREEN, "analysing" if snapshot.expressions else "observables only"


def _draw_short_status(canvas: Canvas, snapshot: Snapshot, area: Area) -> None:
    """Draw the status with elapsed time and frame rate, for panels without room for all facts."""
    _draw_status(canvas, snapshot, area)
    right = f"{clock(snapshot.elapsed_s)} · {snapshot.processed_fps:.1f} fps"
    canvas.text(area.x + area.w, area.y, right, 13, SOFT, "right")


def _draw_facts(canvas: Canvas, snapshot: Snapshot, area: Area) -> None:
    facts = (
        ("faces now", f"{len(snapshot.result.faces)}"),
        ("elapsed", clock(snapshot.elapsed_s)),
        ("frames", f"{snapshot.frames}"),
        ("fps processed", f"{snapshot.processed_fps:.1f}"),
        ("fps captured", f"{snapshot.captured_fps:.1f}"),
        ("dropped", f"{snapshot.dropped}"),
    )
    for place, (name, value) in enumerate(facts):
        x, y = area.x + place % 3 * (area.w / 3), area.y + place // 3 * 46
        canvas.text(x, y, value, 19, TEXT)
        canvas.text(x, y + 23, name, 11.5, SOFT)


def _draw_affect(canvas: Canvas, snapshot: Snapshot, area: Area) -> None:
    facing = {True: "yes", False: "no", None: "-"}[snapshot.facing_now]
    share = "" if math.isnan(snapshot.facing_share) else f", {snapshot.facing_share * 100:.0f}%"
    facts = (("facing", facing + share), ("valence", signed(snapshot.valence)), ("arousal", signed(snapshot.arousal)))
    for place, (name, value) in enumerate(facts):
        x = area.x + place * (area.w / 3)
        canvas.text(x, area.y, value, 19, TEXT)
        canvas.text(x, area.y + 23, name, 11.5, SOFT)


def signed(value: float) -> str:
    """Return a number from -1 to 1 with its sign; a dash for NaN.

    >>> signed(0.4), signed(float("nan"))
    ('+0.40', '-')
    """
    return "-" if math.isnan(value) else f"{value:+.2f}"


def _draw_distribution(canvas: Canvas, snapshot: Snapshot, area: Area) -> None:
    canvas.text(area.x, area.y, "DISTRIBUTION", 11, SOFT, tracking=1.4)
    for row, (name, colour) in enumerate(zip(EMOTIONS, CLASS_RGB, strict=True)):
        y, share = area.y + 23 + row * 21, float(snapshot.distribution[row])
        canvas.text(area.x, y, name, 13, TEXT if share > 0 else SOFT)
        canvas.bar(area.x + 66, y + 4, area.w - 66 - 46, 9, share, colour, TRACK)
        canvas.text(area.x + area.w, y, f"{share * 100:.0f}%", 13, TEXT if share > 0 else SOFT, "right")


def _draw_observables(canvas: Canvas, snapshot: Snapshot, area: Area) -> None:
    """Draw presence and head direction, in place of the distribution if expressions may not be read."""
    facing = {True: "yes", False: "no", None: "-"}[snapshot.facing_now]
    canvas.text(area.x, area.y, "OBSERVABLES", 11, SOFT, tracking=1.4)
    rows = (("face there", snapshot.presence_share), ("facing", snapshot.facing_share))
    for row, (name, share) in enumerate(rows):
        y = area.y + 23 + row * 21
        canvas.text(area.x, y, name, 13, TEXT)
        canvas.bar(area.x + 82, y + 4, area.w - 82 - 46, 9, 0.0 if math.isnan(share) else share, SOFT, TRACK)
        canvas.text(area.x + area.w, y, "-" if math.isnan(share) else f"{share * 100:.0f}%", 13, TEXT, "right")
    canvas.text(area.x, area.y + 70, f"facing the screen now: {facing}", 13, TEXT)
    for row, words in enumerate(NO_EXPRESSIONS):
        canvas.text(area.x, area.y + 108 + row * 19, canvas.elided(words, 12.5, area.w), 12.5, SOFT)


def _draw_trend(canvas: Canvas, snapshot: Snapshot, area: Area) -> None:
    newest = float(snapshot.trend_t_s[-1]) if len(snapshot.trend_t_s) else 0.0
    canvas.text(area.x, area.y, "TREND", 11, SOFT, tracking=1.4)
    canvas.pill(area.x, area.y + 22, area.w, area.h - 46, 4, TRACK)
    span = (newest - snapshot.trend_window_s, newest)
    canvas.ribbon((area.x, area.y + 22, area.w, area.h - 46), snapshot.trend_t_s, snapshot.trend, span, TRACK)
    canvas.text(area.x, area.y + area.h - 20, f"-{snapshot.trend_window_s:g} s", 11.5, SOFT)
    canvas.text(area.x + area.w, area.y + area.h - 20, "now", 11.5, SOFT, "right")


HEADER: Final = Section(62, 4, _draw_header)
STATUS: Final = Section(30, 0, _draw_long_status)
_SHORT_STATUS: Final = Section(30, 0, _draw_short_status)
FACTS: Final = Section(104, 3, _draw_facts)
AFFECT: Final = Section(58, 5, _draw_affect)
DISTRIBUTION: Final = Section(188, 2, _draw_distribution)
OBSERVABLES: Final = Section(188, 2, _draw_observables)
TREND: Final = Section(70, 1, _draw_trend)

"""One picture of the whole live view: what the camera sees on the left, what the session counts on the right.

The picture is an array, so it can be tested, saved as a screenshot or shown by any window.
This module knows no screen, no keyboard and no clock; everything it says comes from a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.drawing import CLASS_RGB, WHITE, Canvas, Rgb, clock, ink_on
from mien.emotions import EMOTIONS
from mien.records import FaceReading, Frame, Snapshot

KEYS: Final = (("q", "quit"), ("s", "screenshot"), ("e", "export"), ("r", "reset"), ("SPACE", "pause"))
"""Every key of the live view, and what it does."""
SMALL_PRINT: Final = "Expression, not feeling."

_GROUND: Final[Rgb] = (15, 18, 23)
_STAGE: Final[Rgb] = (8, 10, 13)
_TRACK: Final[Rgb] = (36, 42, 51)
_TEXT: Final[Rgb] = (230, 234, 240)
_SOFT: Final[Rgb] = (146, 156, 170)
_GREEN: Final[Rgb] = (74, 201, 126)
_AMBER: Final[Rgb] = (245, 166, 35)
_FOOTER: Final = 34.0
_MARGIN: Final = 20.0
_DOUBT: Final = 150  # grey level that the colour of an uncertain reading is mixed with


@dataclass(frozen=True, slots=True)
class _Area:
    """A part of the window, in logical units."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True, slots=True)
class _Section:
    """A block of the panel; those of the highest rank stay when there is no room for all."""

    height: float
    rank: int
    draw: Callable[[Canvas, Snapshot, _Area], None]


def render(frame: Frame, snapshot: Snapshot, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8, red-green-blue: the live view in a window of ``size``, width and height in pixels."""
    width, height = size
    # the design is 1100 x 620 units; below 0.85 letters stop being letters, so sections go instead
    scale = min(max(min(width / 1100, height / 620), 0.85), 3.0)
    stage, columns = _layout(width / scale, height / scale)
    canvas = Canvas.over(_ground(width, height, scale).copy(), scale)
    _draw_picture(canvas, frame, snapshot, stage)
    for area, sections in columns:
        _draw_column(canvas, snapshot, area, sections)
    return canvas.image


@lru_cache(maxsize=8)
def _layout(width: float, height: float) -> tuple[_Area, tuple[tuple[_Area, tuple[_Section, ...]], ...]]:
    """Return the picture's area, and the columns of the panel with what each may show."""
    body = height - _FOOTER
    if width >= 720 and width > 1.15 * height:
        panel = min(340.0, width * 0.37)
        stage = _Area(_MARGIN, _MARGIN, width - panel - 2 * _MARGIN, body - _MARGIN)
        column = _Area(width - panel, _MARGIN, panel - _MARGIN, body - _MARGIN)
        return stage, ((column, (_HEADER, _STATUS, _FACTS, _DISTRIBUTION, _TREND)),)
    margin = _MARGIN if height > 400 else _MARGIN / 2
    inner = width - 2 * _MARGIN
    below = min(body * 0.45, 310.0 if width >= 560 else 490.0)
    stage = _Area(_MARGIN, margin, inner, body - below - margin)
    top = body - below + margin
    if width < 560:
        column = _Area(_MARGIN, top, inner, body - top)
        return stage, ((column, (_HEADER, _STATUS, _FACTS, _DISTRIBUTION, _TREND)),)
    half = (inner - _MARGIN) / 2
    left, right = (_Area(x, top, half, body - top) for x in (_MARGIN, _MARGIN + half + _MARGIN))
    return stage, ((left, (_HEADER, _STATUS, _FACTS)), (right, (_DISTRIBUTION, _TREND)))


@lru_cache(maxsize=2)
def _ground(width: int, height: int, scale: float) -> NDArray[np.uint8]:
    """Return what is the same in every picture of a size: the ground, and the empty stage on it."""
    canvas = Canvas(width, height, scale, _GROUND)
    stage, _ = _layout(width / scale, height / scale)
    canvas.pill(stage.x, stage.y, stage.w, stage.h, 10, _STAGE)
    _draw_footer(canvas, _Area(_MARGIN, height / scale - _FOOTER, width / scale - 2 * _MARGIN, _FOOTER))
    return canvas.image


# --- the camera picture -------------------------------------------------------------------


def _draw_picture(canvas: Canvas, frame: Frame, snapshot: Snapshot, stage: _Area) -> None:
    room_w, room_h = max(canvas.px(stage.w), 1), max(canvas.px(stage.h), 1)
    rows, cols = frame.image.shape[:2]
    zoom = min(room_w / cols, room_h / rows)
    wide, high = max(round(cols * zoom), 1), max(round(rows * zoom), 1)
    shrinking = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(frame.image, (wide, high), interpolation=shrinking)
    picture: NDArray[np.uint8] = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    zoom_x, zoom_y = wide / max(snapshot.result.size[0], 1), high / max(snapshot.result.size[1], 1)
    for face in snapshot.result.faces:
        _draw_box(picture, face, zoom_x, zoom_y, canvas.scale)
    # chips come last and on a canvas of their own: they stay inside the picture and above every box
    shown = Canvas.over(picture, canvas.scale)
    taken: list[tuple[int, int, int, int]] = []
    for face in snapshot.result.faces:
        _draw_chip(shown, face, zoom_x, zoom_y, taken)
    _draw_messages(shown, snapshot)
    x, y = canvas.px(stage.x) + (room_w - wide) // 2, canvas.px(stage.y) + (room_h - high) // 2
    canvas.image[y : y + high, x : x + wide] = shown.image


def _edges(face: FaceReading, zoom_x: float, zoom_y: float, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Return a face's box on the screen as left, top, right, bottom, or None when none of it can be seen."""
    box, (high, wide) = face.detection.box, shape[:2]
    edges = np.array([box.x * zoom_x, box.y * zoom_y, (box.x + box.w) * zoom_x, (box.y + box.h) * zoom_y])
    if not np.isfinite(edges).all() or edges[0] >= wide or edges[1] >= high or edges[2] <= 0 or edges[3] <= 0:
        return None
    # far outside is as good as just outside, and does not overflow
    left, top, right, bottom = np.clip(edges, -40, [wide + 40, high + 40, wide + 40, high + 40]).round().astype(int).tolist()
    return left, top, right, bottom


def _colour(face: FaceReading) -> Rgb:
    """Return the colour of the label; a guess is half as colourful, a face that was not read is grey."""
    if face.unread:
        return _SOFT
    r, g, b = CLASS_RGB[EMOTIONS.index(face.label)]
    return ((r + _DOUBT) // 2, (g + _DOUBT) // 2, (b + _DOUBT) // 2) if face.uncertain else (r, g, b)


def _draw_box(picture: NDArray[np.uint8], face: FaceReading, zoom_x: float, zoom_y: float, scale: float) -> None:
    edges = _edges(face, zoom_x, zoom_y, picture.shape)
    if edges is None:
        return
    left, top, right, bottom = edges
    radius = min(round(10 * scale), (right - left) // 3, (bottom - top) // 3)
    thin = max(round(2 * scale), 1)
    corners = ((left, top, 180), (right, top, 270), (right, bottom, 0), (left, bottom, 90))
    outline = [
        point
        for (x, y, angle), sign_x, sign_y in zip(corners, (1, -1, -1, 1), (1, 1, -1, -1), strict=True)
        for point in cv2.ellipse2Poly((x + sign_x * radius, y + sign_y * radius), (radius, radius), angle, 0, 90, 10)
    ]
    line = [np.array(outline, np.int32)]
    cv2.polylines(picture, line, True, _STAGE, thin + 2, cv2.LINE_AA)  # a dark rim, for pale colours on pale walls
    cv2.polylines(picture, line, True, _colour(face), thin, cv2.LINE_AA)
    if face.detection.landmarks is None:
        return
    high, wide = picture.shape[:2]
    dot = min(max((right - left) / 40, 0.8 * scale), 2.0 * scale)  # tiny, and smaller still on a far face
    for x, y in face.detection.landmarks.astype(np.float64) * (zoom_x, zoom_y):
        if 0 <= x < wide and 0 <= y < high:
            spot = (round(x * 16), round(y * 16))  # sixteenths of a pixel: dots do not jump as a face moves
            cv2.circle(picture, spot, round((dot + 0.5 * scale) * 16), _STAGE, -1, cv2.LINE_AA, 4)
            cv2.circle(picture, spot, round(dot * 16), WHITE, -1, cv2.LINE_AA, 4)


def _draw_chip(shown: Canvas, face: FaceReading, zoom_x: float, zoom_y: float, taken: list[tuple[int, int, int, int]]) -> None:
    edges = _edges(face, zoom_x, zoom_y, shown.image.shape)
    if edges is None:
        return
    left, top, _, bottom = edges
    broad = face.detection.box.w * zoom_x / shown.scale  # all of it: a chip keeps its size as a face leaves the picture
    size = 14.0 if broad >= 88 else 12.0 if broad >= 44 else 10.5
    words = face.words.replace("%", " %")
    w, h = shown.px(shown.text_width(words, size) + 16), shown.px(size * 1.25 + 6)
    high, wide = shown.image.shape[:2]
    gap = shown.px(4)
    x = min(max(left, gap), max(wide - w - gap, 0))
    # above the box, else inside it, else below; the last choice stands when all are taken
    for y in (top - h - gap, top + gap, bottom + gap, bottom - h - gap):
        y = min(max(y, gap), max(high - h - gap, 0))
        if all(x >= tx + tw or tx >= x + w or y >= ty + th or ty >= y + h for tx, ty, tw, th in taken):
            break
    taken.append((x, y, w, h))
    s, colour = shown.scale, _colour(face)
    shown.pill(x / s, y / s, w / s, h / s, 6, colour)
    shown.text(x / s + 8, y / s + 3, words, size, ink_on(colour))


def _draw_messages(shown: Canvas, snapshot: Snapshot) -> None:
    """Draw the sentences over the picture: from the bottom up, so that they never hide one another."""
    high, wide = (length / shown.scale for length in shown.image.shape[:2])
    if snapshot.paused:
        shown.image[:] = shown.image // 5 * 2
        shown.pill(wide / 2 - 12, high / 2 - 34, 8, 30, 2, _TEXT)
        shown.pill(wide / 2 + 4, high / 2 - 34, 8, 30, 2, _TEXT)
        shown.text(wide / 2, high / 2 + 6, "paused", 18, _TEXT, "centre")
    bottom = high - 14
    lines = [(snapshot.notice, _TEXT)] if snapshot.notice else []
    if not snapshot.result.faces and not snapshot.paused:
        lines.append(("no face in view", _SOFT))
    for line, colour in lines:
        short = shown.elided(line, 13, wide - 44)
        w = shown.text_width(short, 13) + 28
        bottom -= 30
        shown.pill(wide / 2 - w / 2, bottom, w, 28, 14, _STAGE, 0.78)
        shown.text(wide / 2, bottom + 6, short, 13, colour, "centre")
        bottom -= 6


# --- the panel ----------------------------------------------------------------------------


def _draw_column(canvas: Canvas, snapshot: Snapshot, area: _Area, sections: tuple[_Section, ...]) -> None:
    """Draw as many sections as there is room for, the important ones first; the trend takes what is left."""
    chosen: list[_Section] = []
    room = area.h
    for section in sorted(sections, key=lambda s: s.rank):
        if section.height <= room:
            chosen.append(section)
            room -= section.height
    spare = min(room, 110.0) if _TREND in chosen else 0.0
    if _STATUS in chosen and _FACTS not in chosen:
        chosen[chosen.index(_STATUS)] = _SHORT_STATUS
        sections = tuple(_SHORT_STATUS if section is _STATUS else section for section in sections)
    y = area.y
    for section in sections:
        if section in chosen:
            height = section.height + (spare if section is _TREND else 0.0)
            section.draw(canvas, snapshot, _Area(area.x, y, area.w, height))
            y += height


def _draw_header(canvas: Canvas, snapshot: Snapshot, area: _Area) -> None:
    canvas.text(area.x, area.y - 6, "Mien", 30, _TEXT)
    canvas.text(area.x, area.y + 32, canvas.elided(snapshot.source, 13, area.w), 13, _SOFT)


def _draw_status(canvas: Canvas, snapshot: Snapshot, area: _Area) -> None:
    light, words = (_AMBER, "paused") if snapshot.paused else (_GREEN, "analytics on")
    canvas.pill(area.x, area.y + 4, 9, 9, 4.5, light)
    canvas.text(area.x + 17, area.y, words, 13, _TEXT)


def _draw_short_status(canvas: Canvas, snapshot: Snapshot, area: _Area) -> None:
    """Draw the status with the two most wanted facts, for panels without room for all of them."""
    _draw_status(canvas, snapshot, area)
    right = f"{clock(snapshot.elapsed_s)} · {snapshot.processed_fps:.1f} fps"
    canvas.text(area.x + area.w, area.y, right, 13, _SOFT, "right")


def _draw_facts(canvas: Canvas, snapshot: Snapshot, area: _Area) -> None:
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
        canvas.text(x, y, value, 19, _TEXT)
        canvas.text(x, y + 23, name, 11.5, _SOFT)


def _draw_distribution(canvas: Canvas, snapshot: Snapshot, area: _Area) -> None:
    canvas.text(area.x, area.y, "DISTRIBUTION", 11, _SOFT, tracking=1.4)
    for row, (name, colour) in enumerate(zip(EMOTIONS, CLASS_RGB, strict=True)):
        y, share = area.y + 23 + row * 21, float(snapshot.distribution[row])
        canvas.text(area.x, y, name, 13, _TEXT if share > 0 else _SOFT)
        canvas.bar(area.x + 66, y + 4, area.w - 66 - 46, 9, share, colour, _TRACK)
        canvas.text(area.x + area.w, y, f"{share * 100:.0f} %", 13, _TEXT if share > 0 else _SOFT, "right")


def _draw_trend(canvas: Canvas, snapshot: Snapshot, area: _Area) -> None:
    newest = float(snapshot.trend_t_s[-1]) if len(snapshot.trend_t_s) else 0.0
    canvas.text(area.x, area.y, "TREND", 11, _SOFT, tracking=1.4)
    canvas.pill(area.x, area.y + 22, area.w, area.h - 46, 4, _TRACK)
    span = (newest - snapshot.trend_window_s, newest)
    canvas.ribbon((area.x, area.y + 22, area.w, area.h - 46), snapshot.trend_t_s, snapshot.trend, span, _TRACK)
    canvas.text(area.x, area.y + area.h - 20, f"-{snapshot.trend_window_s:g} s", 11.5, _SOFT)
    canvas.text(area.x + area.w, area.y + area.h - 20, "now", 11.5, _SOFT, "right")


_HEADER: Final = _Section(62, 4, _draw_header)
_STATUS: Final = _Section(30, 0, _draw_status)
_SHORT_STATUS: Final = _Section(30, 0, _draw_short_status)
_FACTS: Final = _Section(104, 3, _draw_facts)
_DISTRIBUTION: Final = _Section(188, 2, _draw_distribution)
_TREND: Final = _Section(70, 1, _draw_trend)


def _draw_footer(canvas: Canvas, area: _Area) -> None:
    y, x = area.y + 11, area.x
    for key, name in KEYS:
        x += canvas.text(x, y, key, 11.5, _TEXT) + 4
        x += canvas.text(x, y, name, 11.5, _SOFT) + 14
    if x + canvas.text_width(SMALL_PRINT, 11.5) <= area.x + area.w:
        canvas.text(area.x + area.w, y, SMALL_PRINT, 11.5, _SOFT, "right")

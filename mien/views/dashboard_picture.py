"""The camera picture of the live view: boxes, landmarks, chips with the reading, and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.drawing import CLASS_RGB, WHITE, Canvas, Rgb, ink_on
from mien.emotions import EMOTIONS
from mien.records import FaceReading, Frame, Snapshot
from mien.views.theme import AMBER, KEYS, OBSERVABLE_SIGNS, SIGNS, SOFT, STAGE, TEXT, Area

_LETTERS: Final = 450.0
"""In a picture with a shorter side of so many pixels letters have the size they have in the live view."""
_DOUBT: Final = 150  # grey level that the colour of an uncertain reading is mixed with


def draw_picture(canvas: Canvas, frame: Frame, snapshot: Snapshot, stage: Area) -> None:
    """Draw the camera's picture into the stage, as large as it fits, with all that is said of it."""
    room_w, room_h = max(canvas.px(stage.w), 1), max(canvas.px(stage.h), 1)
    rows, cols = frame.image.shape[:2]
    zoom = min(room_w / cols, room_h / rows)
    wide, high = max(round(cols * zoom), 1), max(round(rows * zoom), 1)
    shrinking = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(frame.image, (wide, high), interpolation=shrinking)
    picture: NDArray[np.uint8] = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    zoom_x, zoom_y = wide / max(snapshot.result.size[0], 1), high / max(snapshot.result.size[1], 1)
    shown = draw_faces(picture, snapshot.result.faces, zoom_x, zoom_y, canvas.scale)
    _draw_messages(shown, snapshot)
    x, y = canvas.px(stage.x) + (room_w - wide) // 2, canvas.px(stage.y) + (room_h - high) // 2
    canvas.image[y : y + high, x : x + wide] = shown.image


def annotated(
    image: NDArray[np.uint8], faces: Sequence[FaceReading], *, chips: bool = True, zoom: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.uint8]:
    """Return a copy of a (H, W, 3) uint8 BGR picture with its faces drawn into it, red-green-blue.

    Args:
        image: the picture.
        faces: in pixels of the frame.
        chips: say what each face shows, not only where it is.
        zoom: pixels of the picture in one of the frame, across and down.
    """
    picture = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    scale = max(0.85, min(image.shape[:2]) / _LETTERS)
    return draw_faces(picture, faces, *zoom, scale=scale, chips=chips).image


def draw_faces(
    picture: NDArray[np.uint8],
    faces: Sequence[FaceReading],
    zoom_x: float = 1.0,
    zoom_y: float = 1.0,
    scale: float = 1.0,
    chips: bool = True,
) -> Canvas:
    """Draw boxes and what is said of each face into a picture, and return the picture as a canvas.

    Args:
        picture: (H, W, 3) uint8, red-green-blue; drawn on.
        faces: in pixels of the frame.
        zoom_x: pixels of the picture in one of the frame, across.
        zoom_y: the same, down.
        scale: pixels in a unit of lines and letters.
        chips: say what each face shows, not only where it is.
    """
    for face in faces:
        _draw_box(picture, face, zoom_x, zoom_y, scale)
    # chips come last and on a canvas of their own: they stay inside the picture and above every box
    shown = Canvas.over(picture, scale)
    taken: list[tuple[int, int, int, int]] = []
    for face in faces if chips else ():
        _draw_chip(shown, face, zoom_x, zoom_y, taken)
    return shown


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
        return SOFT
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
    cv2.polylines(picture, line, True, STAGE, thin + 2, cv2.LINE_AA)  # a dark rim, for pale colours on pale walls
    cv2.polylines(picture, line, True, _colour(face), thin, cv2.LINE_AA)
    if face.detection.landmarks is None:
        return
    high, wide = picture.shape[:2]
    dot = min(max((right - left) / 40, 0.8 * scale), 2.0 * scale)  # tiny, and smaller still on a far face
    for x, y in face.detection.landmarks.astype(np.float64) * (zoom_x, zoom_y):
        if 0 <= x < wide and 0 <= y < high:
            spot = (round(x * 16), round(y * 16))  # sixteenths of a pixel: dots do not jump as a face moves
            cv2.circle(picture, spot, round((dot + 0.5 * scale) * 16), STAGE, -1, cv2.LINE_AA, 4)
            cv2.circle(picture, spot, round(dot * 16), WHITE, -1, cv2.LINE_AA, 4)


def _draw_chip(shown: Canvas, face: FaceReading, zoom_x: float, zoom_y: float, taken: list[tuple[int, int, int, int]]) -> None:
    edges = _edges(face, zoom_x, zoom_y, shown.image.shape)
    if edges is None:
        return
    left, top, _, bottom = edges
    broad = face.detection.box.w * zoom_x / shown.scale  # all of it: a chip keeps its size as a face leaves the picture
    size = 14.0 if broad >= 88 else 12.0 if broad >= 44 else 10.5
    words = face.words.replace("%", " %")
    if broad < 36:  # a far face gets a short chip, so that neighbours keep theirs
        words = face.unread or words.rsplit(" ", 2)[0]
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
    away = snapshot.health.state in ("stalled", "lost")
    if snapshot.paused or away:
        shown.image[:] = shown.image // 5 * 2  # an old picture must not pass for a live one
    if snapshot.paused:
        shown.pill(wide / 2 - 12, high / 2 - 34, 8, 30, 2, TEXT)
        shown.pill(wide / 2 + 4, high / 2 - 34, 8, 30, 2, TEXT)
        shown.text(wide / 2, high / 2 + 6, "paused", 18, TEXT, "centre")
    bottom = high - 14
    lines = [(snapshot.notice, AMBER if snapshot.health.state != "ok" else TEXT)] if snapshot.notice else []
    if not snapshot.result.faces and not snapshot.paused and not away:
        lines.append(("no face in view", SOFT))
    for line, colour in lines:
        short = shown.elided(line, 13, wide - 44)
        w = shown.text_width(short, 13) + 28
        bottom -= 30
        shown.pill(wide / 2 - w / 2, bottom, w, 28, 14, STAGE, 0.78)
        shown.text(wide / 2, bottom + 6, short, 13, colour, "centre")
        bottom -= 6


def draw_help(canvas: Canvas, stage: Area, expressions: bool) -> None:
    """Draw what keys and signs mean into the middle of the stage, as much as there is room for."""
    rows = [*KEYS, ("", ""), *(SIGNS if expressions else OBSERVABLE_SIGNS)]
    left = max(canvas.text_width(name, 13) for name, _ in rows) + 16
    w = min(left + max(canvas.text_width(words, 13) for _, words in rows) + 48, stage.w - 16)
    rows = rows[: max(int((stage.h - 60) / 23), 0)]
    h = 23 * len(rows) + 44
    x, y = stage.x + (stage.w - w) / 2, stage.y + max((stage.h - h) / 2, 4)
    canvas.pill(x, y, w, h, 12, STAGE, 0.97)
    for number, (name, words) in enumerate(rows):
        top = y + 22 + 23 * number
        canvas.text(x + 24, top, name, 13, TEXT)
        canvas.text(x + 24 + left, top, canvas.elided(words, 13, w - left - 40), 13, SOFT)

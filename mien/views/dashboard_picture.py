"""Draws the frame of the live view: boxes, landmarks, labels and messages."""

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

_REFERENCE_PX: Final = 450.0
"""Shorter side in pixels of an image in which text has the same size as in the live view."""
_UNCERTAIN_GREY: Final = 150  # grey level mixed into the colour of an uncertain reading


def draw_picture(canvas: Canvas, frame: Frame, snapshot: Snapshot, stage: Area) -> None:
    """Draw the frame with its faces and messages into the stage, as large as it fits."""
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
    """Return a copy of an image with faces drawn into it, (H, W, 3) uint8 RGB.

    Args:
        image: (H, W, 3) uint8 BGR.
        faces: the faces, in pixels of the frame.
        chips: whether to label the boxes.
        zoom: image pixels per frame pixel, horizontally and vertically.
    """
    picture = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    scale = max(0.85, min(image.shape[:2]) / _REFERENCE_PX)
    return draw_faces(picture, faces, *zoom, scale=scale, chips=chips).image


def draw_faces(
    picture: NDArray[np.uint8],
    faces: Sequence[FaceReading],
    zoom_x: float = 1.0,
    zoom_y: float = 1.0,
    scale: float = 1.0,
    chips: bool = True,
) -> Canvas:
    """Draw boxes and labels of faces into an image, and return the image as a canvas.

    Args:
        picture: (H, W, 3) uint8 RGB; modified in place.
        faces: the faces, in pixels of the frame.
        zoom_x: image pixels per frame pixel, horizontally.
        zoom_y: image pixels per frame pixel, vertically.
        scale: pixels per unit of lines and text.
        chips: whether to label the boxes.
    """
    for face in faces:
        _draw_box(picture, face, zoom_x, zoom_y, scale)
    # labels are drawn last, above all boxes, on a canvas that keeps them inside the image
    shown = Canvas.over(picture, scale)
    taken: list[tuple[int, int, int, int]] = []
    for face in faces if chips else ():
        _draw_chip(shown, face, zoom_x, zoom_y, taken)
    return shown


def _edges(face: FaceReading, zoom_x: float, zoom_y: float, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Return a face's box in image pixels as left, top, right, bottom; None if it is outside the image."""
    box, (high, wide) = face.detection.box, shape[:2]
    edges = np.array([box.x * zoom_x, box.y * zoom_y, (box.x + box.w) * zoom_x, (box.y + box.h) * zoom_y])
    if not np.isfinite(edges).all() or edges[0] >= wide or edges[1] >= high or edges[2] <= 0 or edges[3] <= 0:
        return None
    # limit coordinates far outside the image, which could overflow
    left, top, right, bottom = np.clip(edges, -40, [wide + 40, high + 40, wide + 40, high + 40]).round().astype(int).tolist()
    return left, top, right, bottom


def _colour(face: FaceReading) -> Rgb:
    """Return the colour of the label: paler if it is uncertain, grey if the face was not read."""
    if face.unread:
        return SOFT
    r, g, b = CLASS_RGB[EMOTIONS.index(face.label)]
    return ((r + _UNCERTAIN_GREY) // 2, (g + _UNCERTAIN_GREY) // 2, (b + _UNCERTAIN_GREY) // 2) if face.uncertain else (r, g, b)


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
    cv2.polylines(picture, line, True, STAGE, thin + 2, cv2.LINE_AA)  # a dark outline, for contrast on bright backgrounds
    cv2.polylines(picture, line, True, _colour(face), thin, cv2.LINE_AA)
    if face.detection.landmarks is None:
        return
    high, wide = picture.shape[:2]
    dot = min(max((right - left) / 40, 0.8 * scale), 2.0 * scale)  # smaller on a small face
    for x, y in face.detection.landmarks.astype(np.float64) * (zoom_x, zoom_y):
        if 0 <= x < wide and 0 <= y < high:
            spot = (round(x * 16), round(y * 16))  # 1/16 pixel, so that dots move smoothly
            cv2.circle(picture, spot, round((dot + 0.5 * scale) * 16), STAGE, -1, cv2.LINE_AA, 4)
            cv2.circle(picture, spot, round(dot * 16), WHITE, -1, cv2.LINE_AA, 4)


def _draw_chip(shown: Canvas, face: FaceReading, zoom_x: float, zoom_y: float, taken: list[tuple[int, int, int, int]]) -> None:
    edges = _edges(face, zoom_x, zoom_y, shown.image.shape)
    if edges is None:
        return
    left, top, _, bottom = edges
    width_units = face.detection.box.w * zoom_x / shown.scale  # keeps its value while the face leaves the image
    size = 14.0 if width_units >= 88 else 12.0 if width_units >= 44 else 10.5
    words = face.words
    if width_units < 36:  # a small face gets a short label, so that labels do not collide
        words = face.unread or words.rsplit(" ", 1)[0]
    w, h = shown.px(shown.text_width(words, size) + 16), shown.px(size * 1.25 + 6)
    high, wide = shown.image.shape[:2]
    gap = shown.px(4)
    x = min(max(left, gap), max(wide - w - gap, 0))
    # above the box, else inside it, else below; the last position is used even if it is taken
    for y in (top - h - gap, top + gap, bottom + gap, bottom - h - gap):
        y = min(max(y, gap), max(high - h - gap, 0))
        if all(x >= tx + tw or tx >= x + w or y >= ty + th or ty >= y + h for tx, ty, tw, th in taken):
            break
    taken.append((x, y, w, h))
    s, colour = shown.scale, _colour(face)
    shown.pill(x / s, y / s, w / s, h / s, 6, colour)
    shown.text(x / s + 8, y / s + 3, words, size, ink_on(colour))


def _draw_messages(shown: Canvas, snapshot: Snapshot) -> None:
    """Draw the messages over the frame, stacked from the bottom up."""
    high, wide = (length / shown.scale for length in shown.image.shape[:2])
    is_silent = snapshot.health.state in ("stalled", "lost")
    if snapshot.paused or is_silent:
        shown.image[:] = shown.image // 5 * 2  # dim the frame, which is not current
    if snapshot.paused:
        shown.pill(wide / 2 - 12, high / 2 - 34, 8, 30, 2, TEXT)
        shown.pill(wide / 2 + 4, high / 2 - 34, 8, 30, 2, TEXT)
        shown.text(wide / 2, high / 2 + 6, "paused", 18, TEXT, "centre")
    bottom = high - 14
    lines = [(snapshot.notice, AMBER if snapshot.health.state != "ok" else TEXT)] if snapshot.notice else []
    if not snapshot.result.faces and not snapshot.paused and not is_silent:
        lines.append(("no face in view", SOFT))
    for line, colour in lines:
        short = shown.elided(line, 13, wide - 44)
        w = shown.text_width(short, 13) + 28
        bottom -= 30
        shown.pill(wide / 2 - w / 2, bottom, w, 28, 14, STAGE, 0.78)
        shown.text(wide / 2, bottom + 6, short, 13, colour, "centre")
        bottom -= 6


def draw_help(canvas: Canvas, stage: Area, expressions: bool) -> None:
    """Draw the help in the middle of the stage, as many lines as fit."""
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

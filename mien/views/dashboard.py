"""Renders the live view as an image: the camera on the left, a panel of statistics on the right.

The image is an array, so it can be tested, saved as a screenshot or shown in any window. This module
uses no screen, keyboard or clock; all its data comes from a snapshot.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.drawing import Canvas
from mien.records import Frame, Snapshot
from mien.views.dashboard_panel import AFFECT, DISTRIBUTION, FACTS, HEADER, STATUS, TREND, Section, draw_column
from mien.views.dashboard_picture import draw_help, draw_picture
from mien.views.theme import GROUND, KEYS, SMALL_PRINT, SOFT, STAGE, TEXT, Area

_FOOTER: Final = 34.0
_MARGIN: Final = 20.0


def render(frame: Frame, snapshot: Snapshot, size: tuple[int, int], *, helping: bool = False) -> NDArray[np.uint8]:
    """Return the live view as an image, (H, W, 3) uint8 RGB.

    Args:
        frame: the frame to show.
        snapshot: the state of the session.
        size: width and height of the image in pixels.
        helping: whether to show the help over the frame.
    """
    width, height = size
    # the design is 1100 x 620 units; below a scale of 0.85 text is illegible, so sections are left out instead
    scale = min(max(min(width / 1100, height / 620), 0.85), 3.0)
    stage, columns = _layout(width / scale, height / scale)
    canvas = Canvas.over(_background(width, height, scale).copy(), scale)
    draw_picture(canvas, frame, snapshot, stage)
    if helping:
        draw_help(canvas, stage, snapshot.expressions)
    for area, sections in columns:
        draw_column(canvas, snapshot, area, sections)
    return canvas.image


@lru_cache(maxsize=8)
def _layout(width: float, height: float) -> tuple[Area, tuple[tuple[Area, tuple[Section, ...]], ...]]:
    """Return the area of the frame, and the area and sections of each column of the panel."""
    body = height - _FOOTER
    if width >= 720 and width > 1.15 * height:
        panel = min(340.0, width * 0.37)
        stage = Area(_MARGIN, _MARGIN, width - panel - 2 * _MARGIN, body - _MARGIN)
        column = Area(width - panel, _MARGIN, panel - _MARGIN, body - _MARGIN)
        return stage, ((column, (HEADER, STATUS, FACTS, AFFECT, DISTRIBUTION, TREND)),)
    margin = _MARGIN if height > 400 else _MARGIN / 2
    inner = width - 2 * _MARGIN
    below = min(body * 0.45, 310.0 if width >= 560 else 490.0)
    stage = Area(_MARGIN, margin, inner, body - below - margin)
    top = body - below + margin
    if width < 560:
        column = Area(_MARGIN, top, inner, body - top)
        return stage, ((column, (HEADER, STATUS, FACTS, AFFECT, DISTRIBUTION, TREND)),)
    half = (inner - _MARGIN) / 2
    left, right = (Area(x, top, half, body - top) for x in (_MARGIN, _MARGIN + half + _MARGIN))
    return stage, ((left, (HEADER, STATUS, FACTS, AFFECT)), (right, (DISTRIBUTION, TREND)))


@lru_cache(maxsize=2)
def _background(width: int, height: int, scale: float) -> NDArray[np.uint8]:
    """Return the static parts of the view: background, empty stage and footer."""
    canvas = Canvas(width, height, scale, GROUND)
    stage, _ = _layout(width / scale, height / scale)
    canvas.pill(stage.x, stage.y, stage.w, stage.h, 10, STAGE)
    _draw_footer(canvas, Area(_MARGIN, height / scale - _FOOTER, width / scale - 2 * _MARGIN, _FOOTER))
    return canvas.image


def _draw_footer(canvas: Canvas, area: Area) -> None:
    y, x = area.y + 11, area.x
    for key, name in KEYS:
        if x + canvas.text_width(key, 11.5) + 4 + canvas.text_width(name, 11.5) > area.x + area.w:
            break
        x += canvas.text(x, y, key, 11.5, TEXT) + 4
        x += canvas.text(x, y, name, 11.5, SOFT) + 14
    if x + canvas.text_width(SMALL_PRINT, 11.5) <= area.x + area.w:
        canvas.text(area.x + area.w, y, SMALL_PRINT, 11.5, SOFT, "right")

"""The few shapes that every picture of a session is made of: text, pills, bars and the stacked ribbon.

The live window and the summary picture show the same facts, so they must look and count the
same. This module knows sizes and colours; it knows nothing of sessions, screens or files.
Glyphs and rounded shapes are kept as coverage masks: the second time one is drawn it is a
lookup and a blend, which is what keeps a live picture cheap.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.emotions import COLOURS, EMOTIONS

Rgb = tuple[int, int, int]
Align = Literal["left", "centre", "right"]

BLACK: Final[Rgb] = (16, 18, 22)
WHITE: Final[Rgb] = (255, 255, 255)
_LONGEST_BRIDGE_S: Final = 1.0  # a ribbon is drawn through a missed frame or two, not through a pause
_IN_FONT: Final = frozenset(map(chr, range(32, 127))) | frozenset("©«°±´·»‘’“”…‹›™")


def rgb(colour: str) -> Rgb:
    """Return ``"#RRGGBB"`` as three numbers, 0 to 255.

    >>> rgb("#F0C21B")
    (240, 194, 27)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


CLASS_RGB: Final[tuple[Rgb, ...]] = tuple(rgb(COLOURS[name]) for name in EMOTIONS)
"""One colour a class, in the order of ``EMOTIONS``."""


def ink_on(background: Rgb) -> Rgb:
    """Return black or white, whichever has the greater contrast on ``background`` (WCAG 2 luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in background)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return BLACK if luminance > 0.179 else WHITE


def clock(seconds: float) -> str:
    """Return ``seconds`` as minutes and seconds, with hours when there are any.

    >>> clock(83.9), clock(3671)
    ('01:23', '1:01:11')
    """
    whole = max(int(seconds), 0)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes:02}:{whole % 60:02}"


def ribbon_columns(
    t_s: NDArray[np.float64], values: NDArray[np.float64], start_s: float, end_s: float, count: int
) -> NDArray[np.float64]:
    """Return (count, 7) shares that sum to 1, one row for each of ``count`` equal slices of time.

    Between two points the line is straight. Where several points share a slice it is their
    mean, so a long session is summed up, not sampled. Rows are NaN where nobody was seen.

    Args:
        t_s: (T,) times, ascending.
        values: (T, 7) probabilities; rows with NaN are times without a face.
        start_s: the first slice's beginning.
        end_s: the last slice's end.
        count: how many slices.
    """
    out = np.full((count, len(EMOTIONS)), np.nan)
    if len(t_s) == 0 or end_s <= start_s:
        return out
    seen = np.asarray(np.isfinite(values).all(axis=1), np.bool_)
    step = (end_s - start_s) / count
    at = start_s + (np.arange(count) + 0.5) * step
    spacing = float(np.median(np.diff(t_s))) if len(t_s) > 1 else step
    right = np.searchsorted(t_s, at)
    left = np.maximum(right - 1, 0)
    right = np.minimum(right, len(t_s) - 1)
    before, after = at - t_s[left], t_s[right] - at  # negative outside of the points
    # a point stands for half the way to its neighbours, so that a lone one still shows
    reach = max(spacing, step) / 2
    for side, away in ((left, np.abs(before)), (right, np.abs(after))):
        near = seen[side] & (away <= reach)
        out[near] = values[side[near]]
    span = t_s[right] - t_s[left]
    bridge = seen[left] & seen[right] & (span > 0) & (span <= max(4 * spacing, _LONGEST_BRIDGE_S)) & (before >= 0) & (after >= 0)
    share = (before[bridge] / span[bridge])[:, None]
    out[bridge] = values[left[bridge]] * (1 - share) + values[right[bridge]] * share

    inside = seen & (t_s >= start_s) & (t_s <= end_s)
    slot = np.minimum(((t_s[inside] - start_s) / step).astype(np.intp), count - 1)
    points = np.bincount(slot, minlength=count)
    sums = np.stack([np.bincount(slot, values[inside, k], count) for k in range(len(EMOTIONS))], axis=1)
    out[points > 1] = sums[points > 1] / points[points > 1, None]
    total = out.sum(axis=1, keepdims=True)
    np.divide(out, total, out=out, where=total > 0)
    out[~(total[:, 0] > 0)] = np.nan
    return out


def ribbon_image(columns: NDArray[np.float64], height: int, background: Rgb) -> NDArray[np.uint8]:
    """Return (height, W, 3) uint8: the classes stacked from the top, every edge anti-aliased.

    Args:
        columns: (W, 7) shares, one row a pixel column; NaN rows show ``background``.
        height: in pixels.
        background: shown where nobody was seen.
    """
    shares = np.nan_to_num(columns).astype(np.float32)
    edges = np.concatenate([np.zeros((len(shares), 1), np.float32), np.cumsum(shares, axis=1)], axis=1) * height
    rows = np.arange(1, height + 1, dtype=np.float32)[:, None, None]
    below = np.clip(rows - edges, 0, 1)  # (H, W, 8): how much of a pixel lies below each edge
    covered = below[..., :-1] - below[..., 1:]  # (H, W, 7)
    palette = np.array(CLASS_RGB, np.float32) - np.array(background, np.float32)
    return np.asarray(covered @ palette + np.array(background, np.float32) + 0.5, np.float32).astype(np.uint8)


@lru_cache(maxsize=64)
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=pixels)


def _drawable(text: str) -> str:
    """Return ``text`` in the characters the font has: accents are dropped, the rest becomes "?"."""
    out = []
    for char in text:
        for part in char if char in _IN_FONT else unicodedata.normalize("NFKD", char):
            if unicodedata.category(part) == "Pd":
                part = "-"
            if not unicodedata.combining(part):
                out.append(part if part in _IN_FONT else "?")
    return "".join(out)


@lru_cache(maxsize=2048)
def _text_mask(text: str, pixels: int, tracking: int) -> NDArray[np.uint8]:
    """Return a line's coverage mask; its height depends on the size alone, so lines share a baseline."""
    font, text = _font(pixels), _drawable(text)
    parts = list(text) if tracking else [text]
    widths = [font.getlength(part) + tracking for part in parts]
    mask = Image.new("L", (max(int(np.ceil(sum(widths))) - tracking, 1), round(pixels * 1.25)))
    pen = ImageDraw.Draw(mask)
    x = 0.0
    for part, width in zip(parts, widths, strict=True):
        pen.text((x, pixels), part, fill=255, font=font, anchor="ls")
        x += width
    return np.asarray(mask)


@lru_cache(maxsize=512)
def _rounded_mask(width: int, height: int, radius: int) -> NDArray[np.uint8]:
    mask = Image.new("L", (width * 4, height * 4))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width * 4 - 1, height * 4 - 1), radius * 4, fill=255)
    return np.asarray(mask.resize((width, height), Image.Resampling.BOX))


class Canvas:
    """A picture that is drawn on in logical units; ``scale`` pixels make one unit.

    Args:
        width: in pixels.
        height: in pixels.
        scale: pixels a unit; 2 with a final halving is supersampling.
        background: the first colour everywhere.

    Attributes:
        image: (height, width, 3) uint8, red-green-blue.
    """

    def __init__(self, width: int, height: int, scale: float, background: Rgb) -> None:
        self.scale = scale
        self.image: NDArray[np.uint8] = np.empty((height, width, 3), np.uint8)
        self.image[:] = background

    @classmethod
    def over(cls, image: NDArray[np.uint8], scale: float) -> Canvas:
        """Return a canvas that draws on ``image``, (H, W, 3) uint8 red-green-blue, in place."""
        canvas = cls(1, 1, scale, BLACK)
        canvas.image = image
        return canvas

    def px(self, units: float) -> int:
        """Return a length in whole pixels."""
        return round(units * self.scale)

    def blend(self, mask: NDArray[np.uint8], x: int, y: int, colour: Rgb, opacity: float = 1.0) -> None:
        """Lay ``colour`` on the picture through ``mask``, its corner at pixel (x, y); what is outside is cut off."""
        height, width = self.image.shape[:2]
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + mask.shape[1], width), min(y + mask.shape[0], height)
        if x0 >= x1 or y0 >= y1:
            return
        alpha = mask[y0 - y : y1 - y, x0 - x : x1 - x, None].astype(np.int32) * round(opacity * 256)
        under = self.image[y0:y1, x0:x1]
        under[:] = under + ((np.array(colour, np.int32) - under) * alpha + 32640) // 65280

    def text_width(self, text: str, size: float, tracking: float = 0.0) -> float:
        """Return how wide a line is, in units."""
        return float(_text_mask(text, max(self.px(size), 1), self.px(tracking)).shape[1] / self.scale)

    def text(
        self, x: float, y: float, text: str, size: float, colour: Rgb, align: Align = "left", tracking: float = 0.0
    ) -> float:
        """Draw one line with its top at ``y`` and return its width; ``x`` is its left, middle or right."""
        mask = _text_mask(text, max(self.px(size), 1), self.px(tracking))
        width = mask.shape[1]
        left = self.px(x) - {"left": 0, "centre": width // 2, "right": width}[align]
        self.blend(mask, left, self.px(y), colour)
        return float(width / self.scale)

    def elided(self, text: str, size: float, width: float) -> str:
        """Return ``text``, its middle left out where it is wider than ``width``: paths differ at both ends."""
        kept = len(text)
        short = text
        while kept > 1 and self.text_width(short, size) > width:
            kept -= 1
            short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        return short

    def pill(self, x: float, y: float, w: float, h: float, radius: float, colour: Rgb, opacity: float = 1.0) -> None:
        """Fill a rectangle with round corners."""
        width, height = max(self.px(w), 1), max(self.px(h), 1)
        self.blend(_rounded_mask(width, height, self.px(radius)), self.px(x), self.px(y), colour, opacity)

    def bar(self, x: float, y: float, w: float, h: float, share: float, colour: Rgb, track: Rgb) -> None:
        """Draw a bar of which ``share``, 0 to 1, is filled; the filled length is true to the pixel."""
        mask = _rounded_mask(max(self.px(w), 1), max(self.px(h), 1), self.px(h / 2))
        self.blend(mask, self.px(x), self.px(y), track)
        self.blend(mask[:, : round(mask.shape[1] * min(max(share, 0.0), 1.0))], self.px(x), self.px(y), colour)

    def ribbon(
        self,
        area: tuple[float, float, float, float],
        t_s: NDArray[np.float64],
        values: NDArray[np.float64],
        span_s: tuple[float, float],
        empty: Rgb,
    ) -> None:
        """Draw the stacked ribbon of ``values`` between two times into ``area`` (x, y, w, h)."""
        x, y, width, height = (self.px(v) for v in area)
        columns = ribbon_columns(t_s, values, span_s[0], span_s[1], width)
        self.image[y : y + height, x : x + width] = ribbon_image(columns, height, empty)

"""Drawing primitives of all session graphics: text, pills, bars and the stacked ribbon.

The live window and the summary image use the same primitives, so that they look alike. This module
knows nothing about sessions, screens or files. Glyphs and rounded shapes are cached as coverage
masks, so that repeated drawing only costs a lookup and a blend.
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
_LONGEST_BRIDGE_S: Final = 1.0  # a ribbon is interpolated across missed frames, but not across a pause
_IN_FONT: Final = frozenset(map(chr, range(32, 127))) | frozenset("©«°±´·»‘’“”…‹›™")


def rgb(colour: str) -> Rgb:
    """Return ``"#RRGGBB"`` as an RGB tuple, 0 to 255.

    >>> rgb("#F0C21B")
    (240, 194, 27)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


CLASS_RGB: Final[tuple[Rgb, ...]] = tuple(rgb(COLOURS[name]) for name in EMOTIONS)
"""One colour per class, in the order of ``EMOTIONS``."""


def ink_on(background: Rgb) -> Rgb:
    """Return black or white, whichever has the higher contrast on ``background`` (WCAG 2 luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in background)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return BLACK if luminance > 0.179 else WHITE


def clock(seconds: float) -> str:
    """Return ``seconds`` as ``MM:SS``, or ``H:MM:SS`` from one hour.

    >>> clock(83.9), clock(3671)
    ('01:23', '1:01:11')
    """
    whole = max(int(seconds), 0)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes:02}:{whole % 60:02}"


def ribbon_columns(
    t_s: NDArray[np.float64], values: NDArray[np.float64], start_s: float, end_s: float, count: int
) -> NDArray[np.float64]:
    """Return (count, 7) float64 shares that sum to 1, one row for each of ``count`` equal time slices.

    Values are interpolated linearly between points. If a slice contains several points, their mean
    is used, so a long session is averaged rather than sampled. Rows without a face are NaN.

    Args:
        t_s: (T,) times in seconds, ascending.
        values: (T, 7) probabilities; rows without a face are NaN.
        start_s: start of the first slice in seconds.
        end_s: end of the last slice in seconds.
        count: number of slices.
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
    before, after = at - t_s[left], t_s[right] - at  # negative outside the points
    # a point represents the time halfway to its neighbours, so that a single point is visible
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
    """Return the stacked ribbon as (height, W, 3) uint8 RGB, with anti-aliased edges, first class on top.

    Args:
        columns: (W, 7) shares, one row per pixel column; NaN rows show ``background``.
        height: in pixels.
        background: colour of columns without a face.
    """
    shares = np.nan_to_num(columns).astype(np.float32)
    edges = np.concatenate([np.zeros((len(shares), 1), np.float32), np.cumsum(shares, axis=1)], axis=1) * height
    rows = np.arange(1, height + 1, dtype=np.float32)[:, None, None]
    below = np.clip(rows - edges, 0, 1)  # (H, W, 8): share of a pixel below each edge
    covered = below[..., :-1] - below[..., 1:]  # (H, W, 7)
    palette = np.array(CLASS_RGB, np.float32) - np.array(background, np.float32)
    return np.asarray(covered @ palette + np.array(background, np.float32) + 0.5, np.float32).astype(np.uint8)


@lru_cache(maxsize=64)
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=pixels)


def _drawable(text: str) -> str:
    """Return ``text`` limited to the font's characters: accents are removed, other characters replaced by "?"."""
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
    """Return a line's coverage mask; its height depends only on the font size, so that lines share a baseline."""
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
    """An image to draw on in logical units of ``scale`` pixels.

    Args:
        width: in pixels.
        height: in pixels.
        scale: pixels per unit; use 2 and halve the result for supersampling.
        background: the initial colour.

    Attributes:
        image: (height, width, 3) uint8 RGB.
    """

    def __init__(self, width: int, height: int, scale: float, background: Rgb) -> None:
        self.scale = scale
        self.image: NDArray[np.uint8] = np.empty((height, width, 3), np.uint8)
        self.image[:] = background

    @classmethod
    def over(cls, image: NDArray[np.uint8], scale: float) -> Canvas:
        """Return a canvas that draws in place on ``image``, (H, W, 3) uint8 RGB."""
        canvas = cls(1, 1, scale, BLACK)
        canvas.image = image
        return canvas

    def px(self, units: float) -> int:
        """Return a length in whole pixels."""
        return round(units * self.scale)

    def blend(self, mask: NDArray[np.uint8], x: int, y: int, colour: Rgb, opacity: float = 1.0) -> None:
        """Blend ``colour`` into the image through ``mask`` with its corner at pixel (x, y), clipped to the image."""
        height, width = self.image.shape[:2]
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + mask.shape[1], width), min(y + mask.shape[0], height)
        if x0 >= x1 or y0 >= y1:
            return
        alpha = mask[y0 - y : y1 - y, x0 - x : x1 - x, None].astype(np.int32) * round(opacity * 256)
        under = self.image[y0:y1, x0:x1]
        under[:] = under + ((np.array(colour, np.int32) - under) * alpha + 32640) // 65280

    def text_width(self, text: str, size: float, tracking: float = 0.0) -> float:
        """Return the width of a line in units."""
        return float(_text_mask(text, max(self.px(size), 1), self.px(tracking)).shape[1] / self.scale)

    def text(
        self, x: float, y: float, text: str, size: float, colour: Rgb, align: Align = "left", tracking: float = 0.0
    ) -> float:
        """Draw one line with its top at ``y`` and return its width in units; ``x`` is its left, centre or right."""
        mask = _text_mask(text, max(self.px(size), 1), self.px(tracking))
        width = mask.shape[1]
        left = self.px(x) - {"left": 0, "centre": width // 2, "right": width}[align]
        self.blend(mask, left, self.px(y), colour)
        return float(width / self.scale)

    def elided(self, text: str, size: float, width: float) -> str:
        """Return ``text``, shortened in the middle if it is wider than ``width`` units."""
        kept = len(text)
        short = text
        while kept > 1 and self.text_width(short, size) > width:
            kept -= 1
            short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        return short

    def pill(self, x: float, y: float, w: float, h: float, radius: float, colour: Rgb, opacity: float = 1.0) -> None:
        """Fill a rectangle with rounded corners."""
        width, height = max(self.px(w), 1), max(self.px(h), 1)
        self.blend(_rounded_mask(width, height, self.px(radius)), self.px(x), self.px(y), colour, opacity)

    def bar(self, x: float, y: float, w: float, h: float, share: float, colour: Rgb, track: Rgb) -> None:
        """Draw a bar of which ``share``, 0 to 1, is filled."""
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
        """Draw the stacked ribbon of ``values`` (T, 7) for the times ``span_s`` into ``area`` (x, y, w, h)."""
        x, y, width, height = (self.px(v) for v in area)
        columns = ribbon_columns(t_s, values, span_s[0], span_s[1], width)
        self.image[y : y + height, x : x + width] = ribbon_image(columns, height, empty)

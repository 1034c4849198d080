"""HTML pages rendered from the Jinja2 templates in ``mien/templates``.

All values are escaped automatically. Templates contain structure and fixed text; callers pass plain
values. A page is self-contained: its stylesheet and images are embedded, and it loads nothing else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from jinja2 import Environment

_HISTOGRAM: Final = (420, 110, 14)
"""Width, height and height of the axis's text, in SVG units."""

_BEFORE_UNIT: Final = re.compile(r"(?<=\d) (?=(?:s|min|h)(?!\w))")

HeatRow = tuple[str, Sequence[tuple[float, str]]]
"""(name of the row, [(share from 0 to 1, text of the cell), ...])."""


def render(template: str, **values: object) -> str:
    """Render a template. A number and its unit are joined by a no-break space.

    Args:
        template: file name in ``mien/templates``.
        **values: variables of the template; strings are escaped.

    Raises:
        jinja2.UndefinedError: the template uses a missing variable.
    """
    return _BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", _environment().get_template(template).render(**values))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("mien"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def picture_uri(png: bytes) -> str:
    """Return a PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture for the macro ``chart``.

    Attributes:
        uri: the picture.
        width, height: in pixels, so that a page does not jump while it loads.
    """

    uri: str
    width: int
    height: int


def read_chart(path: Path) -> Chart:
    """Return the PNG at ``path``."""
    png = path.read_bytes()
    return Chart(picture_uri(png), int.from_bytes(png[16:20]), int.from_bytes(png[20:24]))


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small image with a caption.

    Attributes:
        uri: the image as a data URI.
        caption: text below the image.
        width: width in CSS pixels.
        height: height in CSS pixels.
    """

    uri: str
    caption: str
    width: int
    height: int = 64


def pictures(images: Iterable[NDArray[np.uint8]], captions: Iterable[str]) -> list[Thumbnail]:
    """Return thumbnails for the macro ``faces``, from images (48, 48) uint8 or several side by side."""
    return [
        Thumbnail(picture_uri(cv2.imencode(".png", image)[1].tobytes()), caption, round(64 * image.shape[1] / image.shape[0]))
        for image, caption in zip(images, captions, strict=False)
    ]


def heat_rows(names: Sequence[str], shares: Sequence[Sequence[float]]) -> list[HeatRow]:
    """Return rows for the macro ``heat_table``, with shares (0 to 1) as text in percent."""
    return [
        (name, [(share, f"{100 * share:.0f}" if share >= 0.005 else "") for share in row])
        for name, row in zip(names, shares, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a histogram in SVG units; ``beyond`` marks bars beyond the threshold."""

    x: str
    y: str
    width: str
    height: str
    beyond: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A histogram for the macro ``histogram``, in SVG units."""

    width: int
    height: int
    foot_y: int
    bars: Sequence[Bar]
    mark_x: str
    text_x: str
    text_anchor: str
    threshold: str
    low: str
    high: str


def histogram(values: NDArray[np.float32], threshold: float, above: bool, bins: int = 60) -> Histogram | None:
    """Return a histogram of values (N,), or None if none is finite.

    Bars beyond the threshold (above or below it, by ``above``) are marked. Heights are square roots of the counts, to
    make the tail visible.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = (float(v) for v in np.percentile(known, (0.1, 99.9)))
    low, high = min(low, threshold), max(high, threshold)
    if high <= low:
        high = low + 1
    counts, edges = np.histogram(np.clip(known, low, high), bins, (low, high))
    width, height, foot = _HISTOGRAM
    tall = np.sqrt(counts / max(1, counts.max())) * (height - foot - 4)
    step = width / bins
    bars = []
    for k, tallness in enumerate(tall):
        middle = (edges[k] + edges[k + 1]) / 2
        beyond = bool(middle > threshold if above else middle < threshold)
        bars.append(Bar(f"{k * step:.1f}", f"{height - foot - tallness:.1f}", f"{step - 1:.1f}", f"{tallness:.1f}", beyond))
    at = (threshold - low) / (high - low) * width
    anchor = "end" if at > width / 2 else "start"
    return Histogram(
        width=width,
        height=height,
        foot_y=height - foot,
        bars=bars,
        mark_x=f"{at:.1f}",
        text_x=f"{at + (-4 if anchor == 'end' else 4):.1f}",
        text_anchor=anchor,
        threshold=f"{threshold:g}",
        low=f"{low:.3g}",
        high=f"{high:.3g}",
    )

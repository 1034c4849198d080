"""The building blocks of every page: the frame, bars, tables, histograms and faces, as plain HTML and SVG.

Everything stands inside the page: no script, no font, no picture from elsewhere. All text
that comes from outside passes ``escape``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

LinkedSection = tuple[str, str, str]
"""Anchor, short name for the links, HTML."""
KEEP_WITH_DATA: Final = (
    "This page holds pictures of people from the data set: keep it where you keep the data. It loads nothing from elsewhere."
)
_HISTOGRAM: Final = (420, 110, 14)
"""Width, height and height of the axis's text, in SVG units."""


def page(title: str, heading: str, intro: str, sections: Sequence[LinkedSection], footer: str) -> str:
    """Return a whole page.

    Args:
        title: of the browser's tab.
        heading: of the page.
        intro: HTML below the heading.
        sections: (anchor, short name for the links, HTML of the section) of each.
        footer: HTML.
    """
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    links = "".join(f'<a href="#{anchor}">{escape(name)}</a>' for anchor, name, _ in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f"<header><h1>{escape(heading)}</h1>{intro}<nav>{links}</nav></header>"
        f"<main>{''.join(body for _, _, body in sections)}</main><footer>{footer}</footer></body></html>\n"
    )


def highlights(rows: Iterable[tuple[str, str]], kind: str = "worst") -> str:
    """Return large numbers with a line of text each; ``kind`` is ``worst`` (a warning) or ``facts``."""
    items = "".join(f"<li><b>{escape(number)}</b>{escape(text)}</li>" for number, text in rows)
    return f'<ol class="{kind}">{items}</ol>'


def picture(path: Path, text: str) -> str:
    """Return the PNG at ``path`` inside the page, with ``text`` for those who cannot see it."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img class="chart" loading="lazy" alt="{escape(text)}" src="data:image/png;base64,{data}">'


def section(anchor: str, title: str, *parts: str) -> str:
    """Return a section with a heading that links can point to."""
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def linked_section(anchor: str, title: str, *parts: str) -> LinkedSection:
    """Return a section with what a page needs to link to it."""
    return anchor, title, section(anchor, title, *parts)


def paragraph(text: str) -> str:
    """Return one paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def beside(*parts: str) -> str:
    """Return parts that stand side by side where there is room."""
    return '<div class="beside">' + "".join(f"<div>{part}</div>" for part in parts) + "</div>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]], text_columns: int = 1) -> str:
    """Return a table; numbers to the right, the first ``text_columns`` columns to the left."""
    body = "".join(f"<tr>{_cells('td', row, text_columns)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><thead><tr>{_cells("th", head, text_columns)}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def bars(rows: Iterable[tuple[str, float, str]], colours: dict[str, str] | None = None) -> str:
    """Return horizontal bars of (name, size, text beside it)."""
    rows = list(rows)
    largest = max((size for _, size, _ in rows), default=0) or 1
    cells = []
    for name, size, text in rows:
        colour = f";background:{colours[name]}" if colours and name in colours else ""
        cells.append(
            f"<span>{escape(name)}</span><i style='width:{100 * size / largest:.1f}%{colour}'></i><span>{escape(text)}</span>"
        )
    return f'<div class="bars">{"".join(cells)}</div>'


def heat_table(rows: Sequence[str], columns: Sequence[str], shares: Sequence[Sequence[float]]) -> str:
    """Return a matrix of shares, 0 to 1, as a table whose cells are tinted by their value."""
    head = "<th></th>" + "".join(f"<th>{escape(c)}</th>" for c in columns)
    body = []
    for name, row in zip(rows, shares, strict=True):
        cells = "".join(
            f"<td style='background:color-mix(in srgb, var(--mark) {70 * min(1, share):.0f}%, transparent)'>"
            f"{f'{100 * share:.0f}' if share >= 0.005 else ''}</td>"
            for share in row
        )
        body.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def histogram(values: NDArray[np.float32], threshold: float, above: bool, bins: int = 60) -> str:
    """Return a histogram as SVG; what lies beyond the threshold has the warning colour. Heights are square roots."""
    known = values[np.isfinite(values)]
    if not len(known):
        return ""
    low, high = (float(v) for v in np.percentile(known, (0.1, 99.9)))
    low, high = min(low, threshold), max(high, threshold)
    if high <= low:
        high = low + 1
    counts, edges = np.histogram(np.clip(known, low, high), bins, (low, high))
    width, height, foot = _HISTOGRAM
    tall = np.sqrt(counts / max(1, counts.max())) * (height - foot - 4)  # square roots: the tail is what matters
    step = width / bins
    shapes = []
    for k, tallness in enumerate(tall):
        middle = (edges[k] + edges[k + 1]) / 2
        beyond = middle > threshold if above else middle < threshold
        kind = ' class="out"' if beyond else ""
        shapes.append(
            f'<rect{kind} x="{k * step:.1f}" y="{height - foot - tallness:.1f}" width="{step - 1:.1f}" height="{tallness:.1f}"/>'
        )
    at = (threshold - low) / (high - low) * width
    anchor = "end" if at > width / 2 else "start"
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="histogram, threshold {threshold:g}">{"".join(shapes)}'
        f'<line x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{height - foot}"/>'
        f'<text x="{at + (-4 if anchor == "end" else 4):.1f}" y="10" text-anchor="{anchor}">threshold {threshold:g}</text>'
        f'<text x="0" y="{height - 2}">{low:.3g}</text>'
        f'<text x="{width}" y="{height - 2}" text-anchor="end">{high:.3g}</text></svg>'
    )


def faces(images: Iterable[NDArray[np.uint8]], captions: Iterable[str]) -> str:
    """Return a row of pictures with captions, each (48, 48) uint8 or several side by side."""
    return '<div class="faces">' + "".join(map(_figure, images, captions)) + "</div>"


def _figure(image: NDArray[np.uint8], caption: str) -> str:
    """Return one picture, drawn at a width in proportion to its pixels."""
    data = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode("ascii")
    width = round(64 * image.shape[1] / image.shape[0])
    text = escape(caption)
    return (
        f'<figure style="width:{width + 2}px"><img style="width:{width}px" loading="lazy" alt="{text}" '
        f'src="data:image/png;base64,{data}">{text}</figure>'
    )


def _cells(tag: str, values: Sequence[object], text_columns: int) -> str:
    """Return the cells of one row."""
    return "".join(
        f"<{tag}{' class=text' if i < text_columns else ''}>{escape(f'{v:,}' if isinstance(v, int) else str(v))}</{tag}>"
        for i, v in enumerate(values)
    )

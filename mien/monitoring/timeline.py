"""Lines over time as plain SVG, in the look of the pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

WIDTH: Final = 420
HEIGHT: Final = 120
_FOOT: Final = 14
_TOP: Final = 12
_LEFT: Final = 38
"""Room for the numbers at the axis."""


def timeline(
    times_h: Sequence[float],
    values: Sequence[float],
    *,
    mark: float | None = None,
    mark_text: str = "",
    beyond: Sequence[bool] = (),
    top: float | None = None,
    form: str = "{:.3g}",
) -> str:
    """Return one line over time; points that are beyond something have the warning colour.

    Args:
        times_h: hours.
        values: as many.
        mark: a value at which a horizontal line is drawn.
        mark_text: what that line is.
        beyond: for each point, whether it is beyond; () for none.
        top: the scale goes from 0 to here; None from the smallest to the largest value. Higher values are drawn at the edge.
        form: of the numbers at the axis.
    """
    if not values:
        return ""
    known = [*values, *([mark] if mark is not None else [])]
    low, high = (min(known), max(known)) if top is None else (0.0, max(top, mark or top))
    if high <= low:
        high = low + (abs(low) or 1.0) * 0.1
    first, span = times_h[0], max(times_h[-1] - times_h[0], 1e-9)

    def at(time_h: float, value: float) -> tuple[float, float]:
        share = (min(max(value, low), high) - low) / (high - low)
        return _LEFT + (time_h - first) / span * (WIDTH - _LEFT), HEIGHT - _FOOT - share * (HEIGHT - _FOOT - _TOP)

    points = [at(t, v) for t, v in zip(times_h, values, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts = [f'<polyline points="{line}" style="fill:none;stroke:var(--mark);stroke-width:1.5"/>']
    for (x, y), is_beyond in zip(points, beyond, strict=False):
        if is_beyond:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" style="fill:var(--bad)"/>')
    if mark is not None:
        _, y = at(first, mark)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}" style="stroke:var(--soft);stroke-dasharray:4 3"/>'
        )
        below = y < HEIGHT / 2
        parts.append(
            f'<text x="{WIDTH}" y="{y + (11 if below else -3):.1f}" text-anchor="end" '
            f'style="paint-order:stroke;stroke:var(--paper);stroke-width:4px">{escape(mark_text)}</text>'
        )
    parts.append(f'<text x="0" y="10">{escape(form.format(high))}</text>')
    parts.append(f'<text x="0" y="{HEIGHT - _FOOT - 2}">{escape(form.format(low))}</text>')
    parts.append(f'<text x="{_LEFT}" y="{HEIGHT - 2}">{first:.2f} h</text>')
    parts.append(f'<text x="{WIDTH}" y="{HEIGHT - 2}" text-anchor="end">{times_h[-1]:.2f} h</text>')
    label = f"from {form.format(min(values))} to {form.format(max(values))} over {span:.2f} hours"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'

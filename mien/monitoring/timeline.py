"""Line charts over time for the template macro ``line_chart``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 420
HEIGHT: Final = 120
_FOOT: Final = 14
_TOP: Final = 12
_LEFT: Final = 38
"""Space for the axis labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """A line chart in SVG units.

    Attributes:
        points: points of the line, in SVG syntax.
        beyond: (x, y) of the highlighted points.
        mark_y: y of a horizontal line; None for none.
        mark_text_y: y of its label.
        mark_text: label of the line.
        low: label at the bottom of the value axis.
        high: label at its top.
        start: label at the start of the time axis.
        end: label at its end.
        label: text alternative of the chart.
    """

    points: str
    beyond: Sequence[tuple[str, str]]
    mark_y: str | None
    mark_text_y: str
    mark_text: str
    low: str
    high: str
    start: str
    end: str
    label: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    foot_y: int = HEIGHT - _FOOT - 2


def timeline(
    times_h: Sequence[float],
    values: Sequence[float],
    *,
    mark: float | None = None,
    mark_text: str = "",
    beyond: Sequence[bool] = (),
    top: float | None = None,
    form: str = "{:.3g}",
) -> LineChart | None:
    """Return a line chart, None without values.

    Args:
        times_h: times in hours.
        values: one value per time.
        mark: value of a horizontal line; None for none.
        mark_text: label of that line.
        beyond: whether to highlight each point; () for none.
        top: upper end of a scale from 0, to which values are clipped; None scales to the range of values.
        form: format string of the axis labels.
    """
    if not values:
        return None
    known = [*values, *([mark] if mark is not None else [])]
    low, high = (min(known), max(known)) if top is None else (0.0, max(top, mark or top))
    if high <= low:
        high = low + (abs(low) or 1.0) * 0.1
    first, span = times_h[0], max(times_h[-1] - times_h[0], 1e-9)

    def at(time_h: float, value: float) -> tuple[float, float]:
        share = (min(max(value, low), high) - low) / (high - low)
        return _LEFT + (time_h - first) / span * (WIDTH - _LEFT), HEIGHT - _FOOT - share * (HEIGHT - _FOOT - _TOP)

    points = [at(t, v) for t, v in zip(times_h, values, strict=True)]
    mark_y = at(first, mark)[1] if mark is not None else 0.0
    return LineChart(
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        beyond=[(f"{x:.1f}", f"{y:.1f}") for (x, y), is_beyond in zip(points, beyond, strict=False) if is_beyond],
        mark_y=None if mark is None else f"{mark_y:.1f}",
        mark_text_y=f"{mark_y + (11 if mark_y < HEIGHT / 2 else -3):.1f}",
        mark_text=mark_text,
        low=form.format(low),
        high=form.format(high),
        start=f"{first:.2f} h",
        end=f"{times_h[-1]:.2f} h",
        label=f"from {form.format(min(values))} to {form.format(max(values))} over {span:.2f} hours",
    )

"""Timelines of the page: expressions and head direction by time slice.

Computes shapes, positions and labels, which the template macro ``stacked_timeline`` renders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mien.drawing import clock
from mien.emotions import COLOURS, EMOTIONS
from mien.sessions.records import EventRecord, IntervalRecord
from mien.summaries.picture import tick_step

UNREAD_COLOUR: Final = "var(--soft)"
FACING_COLOUR: Final = "var(--mark)"
AWAY_COLOUR: Final = "var(--bad)"
_UNREAD, _EMPTY = "not read", "nobody there"
_MARKS_APART: Final = 8.0  # percent of the width; marks closer together would overlap on a phone
_Layer = tuple[str, Sequence[float]]
"""A colour and the height of each slice, 0 to 1."""


class Mark(NamedTuple):
    """A mark for one or more events: position in percent of the width, kinds and numbers of the events."""

    left: str
    title: str
    text: str


class Tick(NamedTuple):
    """An axis tick: position in percent of the width, label, and ``first``, ``last`` or ""."""

    left: str
    text: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedTimeline:
    """A stacked chart of shares over time.

    Attributes:
        columns: number of slices.
        layers: colour and SVG path of each layer.
        label: description for screen readers.
        ticks: ticks of the time axis.
        legend: names with their colours.
        marks: event marks above the chart.
    """

    columns: int
    layers: Sequence[tuple[str, str]]
    label: str
    ticks: Sequence[Tick]
    legend: Sequence[tuple[str, str]]
    marks: Sequence[Mark] = ()


def expressions_timeline(intervals: Sequence[IntervalRecord], events: Sequence[EventRecord], end_s: float) -> StackedTimeline:
    """Return stacked expressions over time, with numbered marks for events.

    Args:
        intervals: the session's slices, at least one.
        events: events to mark, numbered from 1.
        end_s: the session's end on the source's clock, in seconds.
    """
    heights = [_heights(row, end_s) for row in intervals]
    layers: list[_Layer] = [(COLOURS[name], [column[k] for column in heights]) for k, name in enumerate(EMOTIONS)]
    layers.append((UNREAD_COLOUR, [column[-1] for column in heights]))
    occurring = [(name, COLOURS[name]) for k, name in enumerate(EMOTIONS) if any(column[k] > 0 for column in heights)]
    occurring += [(_UNREAD, UNREAD_COLOUR)] if any(column[-1] > 0 for column in heights) else []
    occurring += [(_EMPTY, "var(--ground)")] if any(sum(column) < 0.99 for column in heights) else []
    span = (intervals[0].from_s, intervals[-1].to_s)
    words = "expressions over time: " + ", ".join(name for name, _ in occurring)
    return StackedTimeline(
        columns=len(intervals),
        layers=_stack(layers),
        label=words,
        ticks=_axis(span),
        legend=occurring,
        marks=_marks(events, span),
    )


def facing_timeline(intervals: Sequence[IntervalRecord]) -> StackedTimeline:
    """Return the shares of face time facing the screen and turned away, over time."""
    layers: list[_Layer] = [(FACING_COLOUR, []), (AWAY_COLOUR, [])]
    for row in intervals:
        known = row.facing_s + row.away_s
        for (_, heights), seconds in zip(layers, (row.facing_s, row.away_s), strict=True):
            assert isinstance(heights, list)
            heights.append(seconds / known if known > 0 else 0.0)
    span = (intervals[0].from_s, intervals[-1].to_s)
    named = [
        ("facing the screen", FACING_COLOUR),
        ("turned away", AWAY_COLOUR),
        ("nobody there", "var(--ground)"),
    ]
    return StackedTimeline(
        columns=len(intervals),
        layers=_stack(layers),
        label="facing the screen over time",
        ticks=_axis(span),
        legend=named,
    )


def _heights(row: IntervalRecord, end_s: float) -> list[float]:
    """Return the heights, 0 to 1, of the expressions and of unread time; the remainder is time without a face."""
    face_s = sum(row.label_s) + row.unread_s
    if face_s <= 0:
        return [0.0] * (len(EMOTIONS) + 1)
    seen = 1 - min(1.0, row.empty_s / max(1e-9, min(row.to_s, end_s) - row.from_s))
    # rounding may remove all face time, so a slice with a face gets a height of at least 0.1
    return [max(seen, 0.1) * seconds / face_s for seconds in (*row.label_s, row.unread_s)]


def _stack(layers: Sequence[_Layer]) -> list[tuple[str, str]]:
    """Return layers stacked from the bottom, one SVG path per non-empty layer."""
    below = [0.0] * len(layers[0][1])
    paths = []
    for colour, heights in layers:
        shapes = []
        for x, height in enumerate(heights):
            if height > 0:
                shapes.append(f"M{x} {100 - 100 * (below[x] + height):.1f}h1v{100 * height:.1f}h-1z")
                below[x] += height
        if shapes:
            paths.append((colour, "".join(shapes)))
    return paths


def _marks(events: Sequence[EventRecord], span: tuple[float, float]) -> list[Mark]:
    """Return numbered marks at the times of events; events close together share a mark."""
    groups: list[list[tuple[int, float, str]]] = []
    for number, event in enumerate(events, 1):
        at = _percent(event.t_s, span)
        if groups and at - groups[-1][0][1] < _MARKS_APART:
            groups[-1].append((number, at, event.kind))
        else:
            groups.append([(number, at, event.kind)])
    return [
        Mark(
            f"{group[0][1]:.2f}",
            ", ".join(kind for _, _, kind in group),
            f"{group[0][0]}{f'–{group[-1][0]}' if len(group) > 1 else ''}",
        )
        for group in groups
    ]


def _axis(span: tuple[float, float]) -> list[Tick]:
    """Return the ticks of the time axis, at most six, at round times."""
    length_s = span[1] - span[0]
    step = tick_step(2 * length_s)
    ticks = []
    for k in range(int(length_s / step) + 1):
        at = 100 * k * step / length_s
        words = clock(k * step) if length_s >= 60 else f"{k * step:g} s"
        ticks.append(Tick(f"{at:.2f}", words, "first" if k == 0 else "last" if at > 94 else ""))
    return ticks


def _percent(t_s: float, span: tuple[float, float]) -> float:
    return 100 * min(1.0, max(0.0, (t_s - span[0]) / max(1e-9, span[1] - span[0])))

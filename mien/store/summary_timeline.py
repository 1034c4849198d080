"""A session's time as pictures inside a page: who showed what, and who faced the screen, slice by slice.

Shapes are drawn in a stretched SVG and words beside it in HTML, so that a phone, a wide
screen and a printed sheet all get readable letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from mien.drawing import clock
from mien.emotions import COLOURS, EMOTIONS
from mien.store.session_records import EventRecord, IntervalRecord
from mien.store.summary_picture import tick_step

UNREAD_COLOUR: Final = "var(--soft)"
FACING_COLOUR: Final = "var(--mark)"
AWAY_COLOUR: Final = "var(--bad)"
_UNREAD, _EMPTY = "not read", "nobody there"
_MARKS_APART: Final = 8.0  # percent of the width; on a phone, marks that are closer would cover one another
_Layer = tuple[str, Sequence[float]]
"""A colour, and a height of 0 to 1 for each slice."""


def expressions_timeline(intervals: Sequence[IntervalRecord], events: Sequence[EventRecord], end_s: float) -> str:
    """Return the stacked expressions over time with numbered marks for events, and the legend.

    Args:
        intervals: the session's slices, at least one.
        events: what to mark; the number is the place in this sequence, from 1.
        end_s: the session's end on the source's clock.
    """
    heights = [_heights(row, end_s) for row in intervals]
    layers: list[_Layer] = [(COLOURS[name], [column[k] for column in heights]) for k, name in enumerate(EMOTIONS)]
    layers.append((UNREAD_COLOUR, [column[-1] for column in heights]))
    occurring = [(name, COLOURS[name]) for k, name in enumerate(EMOTIONS) if any(column[k] > 0 for column in heights)]
    occurring += [(_UNREAD, UNREAD_COLOUR)] if any(column[-1] > 0 for column in heights) else []
    occurring += [(_EMPTY, "var(--ground)")] if any(sum(column) < 0.99 for column in heights) else []
    span = (intervals[0].from_s, intervals[-1].to_s)
    words = "expressions over time: " + ", ".join(name for name, _ in occurring)
    return (
        _marks(events, span)
        + f'<div class="timeline">{_stack(layers, words)}</div>'
        + _axis(span)
        + legend(occurring)
    )  # fmt: skip


def facing_timeline(intervals: Sequence[IntervalRecord]) -> str:
    """Return the share of face time facing the screen over time, what is turned away above it, and the legend."""
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
    return f'<div class="timeline low">{_stack(layers, "facing the screen over time")}</div>' + _axis(span) + legend(named)


def legend(named: Iterable[tuple[str, str]]) -> str:
    """Return names with their colours."""
    return (
        '<p class="legend">' + "".join(f'<span><i style="background:{c}"></i>{escape(name)}</span>' for name, c in named) + "</p>"
    )


def _heights(row: IntervalRecord, end_s: float) -> list[float]:
    """Return the height of each expression, and of what was not read, in a column of height 1; the rest is nobody's."""
    face_s = sum(row.label_s) + row.unread_s
    if face_s <= 0:
        return [0.0] * (len(EMOTIONS) + 1)
    seen = 1 - min(1.0, row.empty_s / max(1e-9, min(row.to_s, end_s) - row.from_s))
    # time that is neither faces nor emptiness is rounding: a slice with any face in it shows at least a tenth
    return [max(seen, 0.1) * seconds / face_s for seconds in (*row.label_s, row.unread_s)]


def _stack(layers: Sequence[_Layer], words: str) -> str:
    """Return layers stacked from below, one path a layer."""
    columns = len(layers[0][1])
    below = [0.0] * columns
    paths = []
    for colour, heights in layers:
        shapes = []
        for x, height in enumerate(heights):
            if height > 0:
                shapes.append(f"M{x} {100 - 100 * (below[x] + height):.1f}h1v{100 * height:.1f}h-1z")
                below[x] += height
        if shapes:
            paths.append(f'<path style="fill:{colour}" d="{"".join(shapes)}"/>')
    return (
        f'<svg viewBox="0 0 {columns} 100" preserveAspectRatio="none" shape-rendering="crispEdges" role="img" '
        f'aria-label="{escape(words)}">{"".join(paths)}</svg>'
    )


def _marks(events: Sequence[EventRecord], span: tuple[float, float]) -> str:
    """Return numbered marks at the times of events; those close together share one."""
    groups: list[list[tuple[int, float, str]]] = []
    for number, event in enumerate(events, 1):
        at = _percent(event.t_s, span)
        if groups and at - groups[-1][0][1] < _MARKS_APART:
            groups[-1].append((number, at, event.kind))
        else:
            groups.append([(number, at, event.kind)])
    marks = "".join(
        f'<b style="left:{group[0][1]:.2f}%" title="{escape(", ".join(kind for _, _, kind in group))}">'
        f"{group[0][0]}{f'–{group[-1][0]}' if len(group) > 1 else ''}</b>"
        for group in groups
    )
    return f'<div class="marks">{marks}</div>' if marks else ""


def _axis(span: tuple[float, float]) -> str:
    """Return the time axis: at most six round times."""
    length_s = span[1] - span[0]
    step = tick_step(2 * length_s)
    ticks = []
    for k in range(int(length_s / step) + 1):
        at = 100 * k * step / length_s
        words = clock(k * step) if length_s >= 60 else f"{k * step:g} s"
        kind = ' class="first"' if k == 0 else ' class="last"' if at > 94 else ""
        ticks.append(f'<span{kind} style="left:{at:.2f}%">{words}</span>')
    return f'<div class="axis">{"".join(ticks)}</div>'


def _percent(t_s: float, span: tuple[float, float]) -> float:
    return 100 * min(1.0, max(0.0, (t_s - span[0]) / max(1e-9, span[1] - span[0])))

"""The live view in a terminal, with the same information as the window."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mien.console import VisibleConsole
from mien.drawing import clock, ribbon_columns
from mien.emotions import COLOURS, EMOTIONS
from mien.records import Frame, Snapshot
from mien.views.dashboard_panel import signed, status
from mien.views.keyboard import Keyboard
from mien.views.theme import DRIFT_WORDS, KEYS, NO_EXPRESSIONS, OBSERVABLE_SIGNS, SIGNS, SMALL_PRINT
from mien.views.view import Command

_EVERY_S: Final = 0.1
_MAX_FACES: Final = 5
_FRAME_COLUMNS: Final = 4
_FRAME_LINES: Final = 2
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"


class TerminalView:
    """A block of text that is updated in place ten times per second.

    Args:
        console: the console; standard output if not given. If it is not a terminal, nothing is drawn.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.stays = False
        self._console = console or VisibleConsole()
        self._keyboard = Keyboard()
        self._live: Live | None = None
        self._helping = False
        self._drawn_at = -_EVERY_S

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        """Draw the newest state; return the commands of the keys pressed."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, redirect_stderr=False)
                self._live.start()
            now = time.monotonic()
            if now - self._drawn_at >= _EVERY_S:
                self._drawn_at = now
                shown = draw_help(snapshot.expressions) if self._helping else draw(snapshot, *self._console.size)
                self._live.update(shown, refresh=True)
        commands = self._keyboard.commands()
        if Command.HELP in commands:
            self._helping = not self._helping
        return tuple(command for command in commands if command is not Command.HELP)

    def close(self) -> None:
        try:
            if self._live is not None:
                self._live.stop()
        finally:
            self._live = None
            self._keyboard.close()


def draw(snapshot: Snapshot, width: int, height: int = 24) -> RenderableType:
    """Return the view in ``width`` columns (at least 60) and fewer than ``height`` lines (at least 24).

    Facts that do not fit into a line continue in the next one; the list of faces is shortened instead.
    """
    inner = width - _FRAME_COLUMNS
    light, words = status(snapshot)
    state = Text(f"● {words}", style=f"rgb({light[0]},{light[1]},{light[2]})")
    head = Table.grid(expand=True)
    head.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    head.add_column(justify="right", no_wrap=True)
    head.add_row(Text.assemble(snapshot.source, (f"   {snapshot.detector}, {snapshot.model}", "dim")), state)
    facing = {True: "yes", False: "no", None: "-"}[snapshot.facing_now]
    share = "" if math.isnan(snapshot.facing_share) else f" ({snapshot.facing_share:.0%} of the time)"
    affect = (f"valence {signed(snapshot.valence)}", f"arousal {signed(snapshot.arousal)}")
    there = (f"face in view {snapshot.presence_share:.0%} of the time",)
    rates = _flow(
        (
            clock(snapshot.elapsed_s),
            f"{snapshot.frames} frames",
            f"{snapshot.processed_fps:.1f} fps processed",
            f"{snapshot.captured_fps:.1f} captured",
            f"{snapshot.dropped} dropped",
        ),
        inner,
    )
    drift = DRIFT_WORDS[snapshot.drift][1] if snapshot.drift in DRIFT_WORDS else "drift: off"
    facts = _flow((f"facing {facing}{share}", *(affect if snapshot.expressions else there), drift), inner)
    keys = _flow([f"{key} {name}" for key, name in KEYS], inner)
    body: list[RenderableType] = [Text(line) for line in _flow(NO_EXPRESSIONS, inner, " ")]
    body_lines = len(body)
    if snapshot.expressions:
        body, body_lines = [_distribution(snapshot, width), _trend(snapshot, width)], len(EMOTIONS) + 1
    fixed = _FRAME_LINES + 1 + len(rates) + len(facts) + body_lines + 1 + len(keys)
    room = height - 1 - fixed
    faces = max(1, min(_MAX_FACES, room))
    blanks = max(0, min(2, room - faces))
    parts: list[RenderableType] = [head, *(_dim(line) for line in (*rates, *facts)), _faces(snapshot, faces)]
    if blanks > 0:
        parts.append(Text(""))
    parts += body[:1]
    if blanks > 1 and len(body) > 1:
        parts.append(Text(""))
    parts += body[1:]
    parts.append(Text(snapshot.notice, style="bold", no_wrap=True, overflow="ellipsis"))
    parts += map(_dim, keys)
    return Panel(Group(*parts), title="Mien", subtitle=SMALL_PRINT, box=box.ROUNDED, padding=(0, 1))


def _flow(facts: Sequence[str], width: int, gap: str = "   ") -> list[str]:
    """Return facts in lines of at most ``width`` columns, as few as possible.

    >>> _flow(["00:12", "300 frames", "0 dropped"], 20)
    ['00:12   300 frames', '0 dropped']
    """
    lines = [facts[0]]
    for fact in facts[1:]:
        longer = lines[-1] + gap + fact
        lines[-1:] = [longer] if len(longer) <= width else [lines[-1], fact]
    return lines


def _dim(line: str) -> Text:
    return Text(line, style="dim", no_wrap=True, overflow="ellipsis")


def draw_help(expressions: bool = True) -> RenderableType:
    """Return the help, for sessions in which ``expressions`` are read or not."""
    table = Table.grid(padding=(0, 2))
    for name, words in (*KEYS, ("", ""), *(SIGNS if expressions else OBSERVABLE_SIGNS)):
        table.add_row(Text(name, style="bold"), Text(words, style="dim"))
    return Panel(table, title="Mien", subtitle=SMALL_PRINT, box=box.ROUNDED, padding=(0, 1))


def _faces(snapshot: Snapshot, most: int) -> RenderableType:
    """Return a line per face, for at most ``most`` faces."""
    faces = snapshot.result.faces
    if not faces:
        return Text("no face in view", style="dim")
    lines = []
    for face in faces[:most]:
        style = "dim" if face.unread else f"{'dim' if face.uncertain else 'bold'} {COLOURS[face.label]}"
        lines.append(Text(f"{face.track_id} ", style="dim", no_wrap=True).append(face.words, style=style))
    if len(faces) > most:
        lines[-1].append(f"   and {len(faces) - most} more", style="dim")
    return Group(*lines)


def _distribution(snapshot: Snapshot, width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    room = max(10, width - 24)
    for name, share in zip(EMOTIONS, snapshot.distribution, strict=True):
        filled = round(float(share) * room)
        bar = Text.assemble(("█" * filled, COLOURS[name]), ("─" * (room - filled), "dim"))
        table.add_row(Text(name.ljust(8)), bar, Text(f"{share:4.0%}".rjust(5)))
    return table


def _trend(snapshot: Snapshot, width: int) -> Text:
    """Return one character per time slice: the colour of the leading expression, its share as height."""
    newest = float(snapshot.trend_t_s[-1]) if len(snapshot.trend_t_s) else 0.0
    start = f"-{snapshot.trend_window_s:g} s "
    count = max(10, width - len(start) - 8)
    columns = ribbon_columns(snapshot.trend_t_s, snapshot.trend, newest - snapshot.trend_window_s, newest, count)
    line = Text(start, style="dim", no_wrap=True)
    for shares in columns:
        if np.isnan(shares).any():
            line.append("·", style="dim")
        else:
            leader = int(shares.argmax())
            line.append(_BLOCKS[max(1, round(float(shares[leader]) * (len(_BLOCKS) - 1)))], style=COLOURS[EMOTIONS[leader]])
    return line.append(" now", style="dim")

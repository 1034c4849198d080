"""The live view in a terminal: the same facts as the window, for machines without a screen."""

from __future__ import annotations

import math
import time
from typing import Final

import numpy as np
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mien.drawing import clock, ribbon_columns
from mien.emotions import COLOURS, EMOTIONS
from mien.live.dashboard_panel import signed, status
from mien.live.keyboard import Keyboard
from mien.live.theme import DRIFT_WORDS, KEYS, NO_EXPRESSIONS, SIGNS, SMALL_PRINT
from mien.live.view import Command
from mien.records import Frame, Snapshot

_EVERY_S: Final = 0.1
_MAX_FACES: Final = 5
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"


class TerminalView:
    """A block of text that renews itself in place ten times a second.

    Args:
        console: where to draw; standard output if not given. Where that is no terminal,
            nothing is drawn.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._keyboard = Keyboard()
        self._live: Live | None = None
        self._helping = False
        self._drawn_at = -_EVERY_S

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        """Draw the newest state; return what the keys ask for."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, redirect_stderr=False)
                self._live.start()
            now = time.monotonic()
            if now - self._drawn_at >= _EVERY_S:
                self._drawn_at = now
                self._live.update(draw_help() if self._helping else draw(snapshot, self._console.width), refresh=True)
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


def draw(snapshot: Snapshot, width: int) -> RenderableType:
    """Return everything in ``width`` columns and at most 23 lines."""
    light, said = status(snapshot)
    state = Text(f"● {said}", style=f"rgb({light[0]},{light[1]},{light[2]})")
    head = Table.grid(expand=True)
    head.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    head.add_column(justify="right", no_wrap=True)
    head.add_row(Text.assemble(snapshot.source, (f"   {snapshot.detector}, {snapshot.model}", "dim")), state)
    rates = (
        f"{clock(snapshot.elapsed_s)}   {snapshot.frames} frames   {snapshot.processed_fps:.1f} fps processed   "
        f"{snapshot.captured_fps:.1f} captured   {snapshot.dropped} dropped"
    )
    facing = {True: "yes", False: "no", None: "-"}[snapshot.facing_now]
    share = "" if math.isnan(snapshot.facing_share) else f" ({snapshot.facing_share:.0%} of the time)"
    drift = DRIFT_WORDS[snapshot.drift][1] if snapshot.drift in DRIFT_WORDS else "drift not watched"
    affect = f"valence {signed(snapshot.valence)}   arousal {signed(snapshot.arousal)}"
    there = f"face there {snapshot.presence_share:.0%} of the time"
    affect = f"facing {facing}{share}   {affect if snapshot.expressions else there}   {drift}"
    parts: list[RenderableType] = [head]
    parts += [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in (rates, affect)]
    parts += [_faces(snapshot), Text("")]
    if snapshot.expressions:
        parts += [_distribution(snapshot, width), Text(""), _trend(snapshot, width)]
    else:
        parts += [Text(" ".join(NO_EXPRESSIONS)), Text("")]
    parts.append(Text(snapshot.notice, style="bold", no_wrap=True, overflow="ellipsis"))
    keys = Text("   ".join(f"{key} {name}" for key, name in KEYS), style="dim", no_wrap=True)
    return Panel(Group(*parts, keys), title="Mien", subtitle=SMALL_PRINT, box=box.ROUNDED, padding=(0, 1))


def draw_help() -> RenderableType:
    """Return what keys and signs mean."""
    table = Table.grid(padding=(0, 2))
    for name, words in (*KEYS, ("", ""), *SIGNS):
        table.add_row(Text(name, style="bold"), Text(words, style="dim"))
    return Panel(table, title="Mien", subtitle=SMALL_PRINT, box=box.ROUNDED, padding=(0, 1))


def _faces(snapshot: Snapshot) -> RenderableType:
    faces = snapshot.result.faces
    if not faces:
        return Text("no face in view", style="dim")
    lines = []
    for face in faces[:_MAX_FACES]:
        style = "dim" if face.unread else f"{'dim' if face.uncertain else 'bold'} {COLOURS[face.label]}"
        lines.append(Text(f"{face.track_id} ", style="dim", no_wrap=True).append(face.words, style=style))
    if len(faces) > _MAX_FACES:
        lines[-1].append(f"   and {len(faces) - _MAX_FACES} more", style="dim")
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
    """Return one column a slice of time: the leading expression's colour, its share as height."""
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

"""Rich consoles and progress bars that escape control characters in printed text."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import MofNCompleteColumn, Progress, Task
from rich.segment import Segment
from rich.text import Text

from mien.visible import guard_output, unguarded, visible_lines


class VisibleConsole(Console):
    """A Rich console on a standard stream that escapes control characters in all text.

    Args:
        stderr: whether to use standard error instead of standard output.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(file=unguarded(sys.stderr if stderr else sys.stdout))

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible_lines(segment.text), segment.style)


class CountColumn(MofNCompleteColumn):
    """The count of a task, such as ``3/10``; nothing while its total is unknown."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total is not None else Text()


class VisibleProgress(Progress):
    """Progress bars that allow other output while they are shown."""

    def start(self) -> None:
        super().start()
        guard_output()  # Rich replaces the standard streams while bars are shown, and would interpret control characters

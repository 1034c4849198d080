"""Progress bars on standard error; if it is not a terminal, a line for each stage of a long command, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def progress_bar(what: str, shown: bool = True, logged: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total) that updates a bar labelled ``what``.

    Args:
        what: the label.
        shown: False in processes that must stay silent.
        logged: whether to print the label as a line if there is no terminal.
    """
    with new_progress(shown) as bar:
        if logged and shown and not bar.console.is_terminal:
            bar.console.print(f"{what} …", markup=False, highlight=False)
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


logged_progress = partial(progress_bar, logged=True)
"""``progress_bar`` for long commands: without a terminal, it prints a line for each stage."""


def new_progress(shown: bool = True) -> Progress:
    """Return a progress display, not started; ``shown`` is False in processes that must stay silent."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

    from mien.console import CountColumn, VisibleConsole, VisibleProgress

    columns = (TextColumn("{task.description}"), BarColumn(), CountColumn(), TimeRemainingColumn())
    console = VisibleConsole(stderr=True)
    console.soft_wrap = not console.is_terminal  # lines in a log are not broken
    return VisibleProgress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal))

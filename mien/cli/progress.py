"""Progress bars on standard error; none if it is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def progress_bar(what: str, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total) that updates a bar labelled ``what``."""
    with new_progress(shown) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def new_progress(shown: bool = True) -> Progress:
    """Return a progress display, not started; ``shown`` is False in processes that must stay silent."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    from mien.console import VisibleConsole, VisibleProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = VisibleConsole(stderr=True)
    console.soft_wrap = not console.is_terminal  # lines in a log are not broken
    return VisibleProgress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal))

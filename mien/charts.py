"""A common style for matplotlib charts, and atomic saving.

matplotlib is imported only when a chart is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from mien.errors import missing_extra
from mien.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE: Final[dict[str, Any]] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": False,
    "font.size": 10,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "mien",
}


@contextmanager
def chart(target: Path, width: float = 9.0, height: float = 5.0) -> Iterator[Figure]:
    """Yield a figure of ``width`` by ``height`` inches that is saved to ``target`` on a clean exit.

    Raises:
        DeviceError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "train", "Drawing charts") from error
    with matplotlib.rc_context(cast(Any, _STYLE)):
        figure = Figure(figsize=(width, height), dpi=130)
        FigureCanvasAgg(figure)
        yield figure
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format=target.suffix.lstrip("."))

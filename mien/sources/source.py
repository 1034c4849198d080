"""The interface of all sources of frames.

A source delivers frames with times on its own clock. A *live* source does not wait: the runner drops
and counts frames that are not processed in time. A *recorded* source is read to its end, every frame once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mien.records import Frame, SourceHealth


class Source(Protocol):
    """A stream of frames.

    Attributes:
        name: display name.
        is_live: whether frames are dropped if processing is too slow.
        total: number of frames; None if unknown.
        seed: seed of the track names, the same whenever this recording is opened; None for a live
            source, whose track names must differ each time.
        preview_s: duration of a run without a view in seconds; None to read to the end.
    """

    name: str
    is_live: bool
    total: int | None
    seed: int | None
    preview_s: float | None

    @property
    def health(self) -> SourceHealth:
        """Current health and counts of the source. Thread-safe."""

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order.

        Raises:
            DeviceError: the device or the connection was lost, and could not be reopened in time.
        """

    def close(self) -> None:
        """Release the device; ``frames`` of a live source ends in any thread. Safe to call twice."""

"""What every source of frames offers.

A source delivers frames with times of its own clock. It knows nothing of threads, faces or
views. A *live* source does not wait: frames that are not taken in time are dropped and
counted by the runner. A recorded source is read to its end, every frame once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mien.records import Frame, SourceHealth


class Source(Protocol):
    """A stream of frames.

    Attributes:
        name: what is being watched, for people.
        is_live: whether frames are lost to who is slow.
        total: frames in all, None where nobody knows.
        seed: a number that is the same whenever this recording is opened; None for a live
            source, whose track names must differ every time.
        preview_s: how long an unwatched run lasts, in seconds; None to the source's end.
    """

    name: str
    is_live: bool
    total: int | None
    seed: int | None
    preview_s: float | None

    @property
    def health(self) -> SourceHealth:
        """How the source fares now. May be asked from any thread."""

    def frames(self) -> Iterator[Frame]:
        """Yield the frames in order.

        Raises:
            DeviceError: the device or the connection was lost, for longer than is waited.
        """

    def close(self) -> None:
        """Give the device back; ``frames`` of a live source ends, in whatever thread. Safe to call twice."""

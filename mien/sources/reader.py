"""The interface of readers of recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PacketReport:
    """Completeness of a recording, from the packets read so far.

    Attributes:
        failed: number of packets that could not be decoded.
        silent: number of packets that should give a frame but gave neither a frame nor an error.
        missing_s: seconds that the container announces after the last packet.
    """

    failed: int = 0
    silent: int = 0
    missing_s: float = 0.0


class FrameReader(Protocol):
    """Reads a recording frame by frame.

    Attributes:
        total: number of frames stated or implied by the container; None if unknown.
        step_s: usual interval between frames in seconds.
        stamp_s: presentation time of the current frame in seconds since the recording's start.
    """

    total: int | None
    step_s: float
    stamp_s: float

    def advance(self) -> bool:
        """Decode the next frame; return False at the end."""

    def image(self) -> NDArray[np.uint8]:
        """Return the current frame as (H, W, 3) uint8 BGR."""

    def seek(self, stamp_s: float) -> bool:
        """Seek to a keyframe at or before ``stamp_s`` seconds; return False if that is not possible."""

    def packets(self) -> PacketReport:
        """Return the completeness, from the packets read so far."""

    def close(self) -> None:
        """Close the file. Safe to call twice."""

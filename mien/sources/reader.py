"""The interface of everything that reads a recording frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PacketReport:
    """What the packets read so far tell about the completeness of a recording.

    Attributes:
        failed: packets that could not be decoded.
        silent: packets that were decoded without an error and gave no frame, although they should.
        missing_s: seconds that the container announces after the last packet.
    """

    failed: int = 0
    silent: int = 0
    missing_s: float = 0.0


class FrameReader(Protocol):
    """A recording that is read frame by frame.

    Attributes:
        total: number of frames, as the container states or implies it; None if unknown.
        step_s: usual time from frame to frame, in seconds.
        stamp_s: presentation time of the current frame, in seconds since the recording's start.
    """

    total: int | None
    step_s: float
    stamp_s: float

    def advance(self) -> bool:
        """Decode the next frame; return False at the end."""

    def image(self) -> NDArray[np.uint8]:
        """Return the current frame as (H, W, 3) uint8 BGR."""

    def seek(self, stamp_s: float) -> bool:
        """Continue at a keyframe at or before ``stamp_s``; return False where that is not possible."""

    def packets(self) -> PacketReport:
        """Return what the packets read so far tell."""

    def close(self) -> None:
        """Close the file. Safe to call twice."""

"""When each frame of a recording stands, and what its container promised that cannot be read.

The one pass over a file that decodes all of it without looking at a picture. Everything after
it names frames by their number, and asks for them by their time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.sources.reader import PacketReport
from mien.sources.recorded import last_interval_s, longest_interval_s
from mien.sources.stamps import TimestampRepair
from mien.sources.video import open_video

_MISSING_SHARE: Final = 0.02
_MISSING_S: Final = 0.5
_LOST_SHARE: Final = 0.01
_LOST_FRAMES: Final = 2
"""Containers promise a little more than they hold; what lies below these limits is not worth a sentence."""


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """The frames of a recording by number.

    Attributes:
        stamps_ms: (N,) float64, presentation times as the container has them, in milliseconds.
        t_s: (N,) float64, the same as times that never run back, in seconds.
        interval_s: (N,) float64, how much time each frame stands for.
        repaired: how many times ran back and were put right.
        missing_s: seconds that the container promised at its end and that are not there.
        lost: frames in between that cannot be decoded.
    """

    stamps_ms: NDArray[np.float64]
    t_s: NDArray[np.float64]
    interval_s: NDArray[np.float64]
    repaired: int = 0
    missing_s: float = 0.0
    lost: int = 0

    @property
    def seconds(self) -> float:
        """How long the recording is."""
        return float(self.t_s[-1] - self.t_s[0] + self.interval_s[-1])

    @property
    def damage(self) -> str:
        """What cannot be read of it, as a few words; "" where it is whole."""
        said = [f"{self.missing_s:.1f} s missing at the end"] if self.missing_s else []
        return "; ".join(said + ([f"{self.lost:,} frames cannot be decoded"] if self.lost else []))


def frame_times(path: Path) -> FrameTimes:
    """Return the times of all frames of a recording.

    Raises:
        DataError: it is not a video, or no frame of it can be decoded.
    """
    reader = open_video(path)
    try:
        step_s = reader.step_s
        stamps, found, times = TimestampRepair(step_s), [], []
        while reader.advance():
            found.append(reader.stamp_s)
            times.append(stamps.update(reader.stamp_s))
        packets = reader.packets()
    finally:
        reader.close()
    if not found:
        raise DataError(f"{path} has no frame that can be decoded")
    t_s = np.array(times)
    gaps_s = np.diff(t_s)
    last_s = last_interval_s(float(gaps_s[-1]) if len(gaps_s) else 0.0, step_s)
    interval_s = np.append(np.minimum(gaps_s, longest_interval_s(step_s)), last_s)
    missing_s, lost = _damage(packets, float(t_s[-1] - t_s[0]), step_s, len(found))
    return FrameTimes(1000 * np.array(found), t_s, interval_s, stamps.repaired, missing_s, lost)


def estimated_frame_count(path: Path) -> int:
    """Return how many frames a container says it has; 0 if it does not say, or cannot be read."""
    try:
        reader = open_video(path)
    except DataError:  # reported when the recording is analysed; others are read all the same
        return 0
    reader.close()
    return reader.total or 0


def _damage(packets: PacketReport, video_s: float, step_s: float, frames: int) -> tuple[float, int]:
    """Return the seconds missing at the end, and the number of frames lost in between."""
    least_s = max(_MISSING_S, _MISSING_SHARE * (video_s + packets.missing_s), 2 * step_s)
    lost = packets.failed + packets.silent
    return (
        round(packets.missing_s, 3) if packets.missing_s > least_s else 0.0,
        lost if lost > max(_LOST_FRAMES, _LOST_SHARE * frames) else 0,
    )

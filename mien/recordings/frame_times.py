"""Presentation times of all frames of a recording, and missing or damaged parts.

One pass decodes the whole file without converting frames to images. Later steps refer to frames by
number and seek to them by time.
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
"""Containers often announce slightly more than they hold; losses below these limits are not reported."""


@dataclass(frozen=True, slots=True)
class FrameTimes:
    """The times of a recording's frames, indexed by frame number.

    Attributes:
        stamps_ms: (N,) float64, presentation times of the container in milliseconds.
        t_s: (N,) float64, repaired presentation times in seconds, never decreasing.
        interval_s: (N,) float64, duration of each frame in seconds.
        repaired: number of times that were repaired.
        missing_s: seconds that the container announces but that are missing at its end.
        lost: number of frames before the end that cannot be decoded.
    """

    stamps_ms: NDArray[np.float64]
    t_s: NDArray[np.float64]
    interval_s: NDArray[np.float64]
    repaired: int = 0
    missing_s: float = 0.0
    lost: int = 0

    @property
    def seconds(self) -> float:
        """Duration of the recording in seconds."""
        return float(self.t_s[-1] - self.t_s[0] + self.interval_s[-1])

    @property
    def damage(self) -> str:
        """Description of the missing parts for the user; "" if the recording is complete."""
        parts = [f"{self.missing_s:.1f} s missing at the end"] if self.missing_s else []
        return "; ".join(parts + ([f"{self.lost:,} frames cannot be decoded"] if self.lost else []))


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
    """Return the number of frames that a container states; 0 if it states none or cannot be read."""
    try:
        reader = open_video(path)
    except DataError:  # reported when the recording is analysed
        return 0
    reader.close()
    return reader.total or 0


def _damage(packets: PacketReport, video_s: float, step_s: float, frames: int) -> tuple[float, int]:
    """Return the seconds missing at the end, and the number of frames lost before it."""
    least_s = max(_MISSING_S, _MISSING_SHARE * (video_s + packets.missing_s), 2 * step_s)
    lost = packets.failed + packets.silent
    return (
        round(packets.missing_s, 3) if packets.missing_s > least_s else 0.0,
        lost if lost > max(_LOST_FRAMES, _LOST_SHARE * frames) else 0,
    )

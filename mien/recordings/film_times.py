"""When each frame of a recording stands, and what its container promised that cannot be read.

The one pass over a file that decodes all of it without looking at a picture. Everything after
it names frames by their number, and asks for them by their time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.live.decoder import MotionJpeg, Recording, length_of, open_address
from mien.live.recorded import nominal_step_s, why_not
from mien.live.stamps import Stamps
from mien.records import LONGEST_INTERVAL_S

_MISSING_SHARE: Final = 0.02
_MISSING_S: Final = 0.5
_LOST_SHARE: Final = 0.01
_LOST_FRAMES: Final = 2
"""Containers promise a little more than they hold; what lies below these limits is not worth a sentence."""


@dataclass(frozen=True, slots=True)
class FilmTimes:
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
        said = [f"{self.missing_s:.1f} s are missing at its end"] if self.missing_s else []
        return "; ".join(said + ([f"{self.lost:,} frames cannot be decoded"] if self.lost else []))


def film_times(path: Path) -> FilmTimes:
    """Return the times of all frames of a recording.

    Raises:
        DataError: it is no video, or no frame of it can be decoded.
    """
    decoder = _opened(path)
    step_s = nominal_step_s(decoder)
    longest_s = max(LONGEST_INTERVAL_S, 2 * step_s)
    stamps, found, times = Stamps(step_s), [], []
    while decoder.grab():
        found.append(decoder.get(cv2.CAP_PROP_POS_MSEC))
        times.append(stamps.update(found[-1] / 1000))
    promised_s = (length_of(decoder) or 0) * step_s
    decoder.release()
    if not found:
        raise DataError(f"{path} holds no frame that can be decoded")
    t_s = np.array(times)
    interval_s = np.append(np.minimum(np.diff(t_s), longest_s), step_s)
    missing_s, lost = _damage(path, np.array(found), promised_s, step_s)
    return FilmTimes(np.array(found), t_s, interval_s, stamps.repaired, missing_s, lost)


def estimated_frames(path: Path) -> int:
    """Return how many frames a container says it has; 0 where it does not say, or is none."""
    decoder = open_address(str(path))
    try:
        return (length_of(decoder) or 0) if decoder.isOpened() else 0
    finally:
        decoder.release()


def _opened(path: Path) -> Recording:
    decoder = open_address(str(path))
    if not decoder.isOpened():
        raise DataError(f"{path} {why_not(path)}")
    return decoder


def _damage(path: Path, stamps_ms: NDArray[np.float64], promised_s: float, step_s: float) -> tuple[float, int]:
    """Return the seconds missing at the end, and the frames lost in between: packets say what pictures do not."""
    decoder = _opened(path)
    if isinstance(decoder, MotionJpeg):  # its pictures are its packets, and nothing says how many there should be
        decoder.release()
        return 0.0, 0
    decoder.set(cv2.CAP_PROP_FORMAT, -1)
    packets = []
    while decoder.grab():
        packets.append(decoder.get(cv2.CAP_PROP_POS_MSEC))
    decoder.release()
    if not packets:
        return 0.0, 0
    packets_ms = np.array(packets)
    missing_s = promised_s - ((packets_ms.max() - packets_ms.min()) / 1000 + step_s)
    # an edit list hides frames at either end: only what lies between two pictures was meant to be seen
    lost = int(((packets_ms >= stamps_ms.min()) & (packets_ms <= stamps_ms.max())).sum()) - len(stamps_ms)
    return (
        round(float(missing_s), 3) if missing_s > max(_MISSING_S, _MISSING_SHARE * promised_s) else 0.0,
        lost if lost > max(_LOST_FRAMES, _LOST_SHARE * len(stamps_ms)) else 0,
    )

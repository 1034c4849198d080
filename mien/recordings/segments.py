"""A recording cut into segments that are read each for itself.

A segment is a pure function of the file, the options and its number: every worker, in
any order, gets the same. So nothing here depends on what was read before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.recordings.frame_times import FrameTimes
from mien.records import Frame
from mien.sources.reader import FrameReader
from mien.sources.video import open_video

SEGMENT_S: Final = 30.0
"""Length of a segment in seconds of the recording."""
WARM_UP_S: Final = 2.0
"""A segment is read from so much earlier on, so that tracks and smoothing have settled where it begins."""
_SETTLED: Final = 5.0
"""After so many time constants 99 % of a smoothed value is new."""
_BACK_S: Final = (1.0, 10.0)
"""How far before a frame a file is entered; a keyframe's neighbours are whole by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of a recording.

    Attributes:
        number: from 1.
        warm: number of the frame that reading begins with.
        first: number of the first frame that counts.
        stamps_ms: (M,) float64, the container's times of the frames from ``warm`` on, in milliseconds.
        t_s: (M,) float64, their times in seconds.
        interval_s: (M,) float64, how much time each stands for.
        in_order: whether the container's times grow, so that a frame can be found by its time.
    """

    number: int
    warm: int
    first: int
    stamps_ms: NDArray[np.float64]
    t_s: NDArray[np.float64]
    interval_s: NDArray[np.float64]
    in_order: bool

    @property
    def frames(self) -> int:
        """How many frames count."""
        return self.warm + len(self.t_s) - self.first

    @property
    def last(self) -> int:
        """Number of the last frame."""
        return self.warm + len(self.t_s) - 1


def warm_up_s(smoothing_s: float) -> float:
    """Return how much earlier a segment is read from, in seconds.

    >>> warm_up_s(0.4), warm_up_s(2.0)
    (2.0, 10.0)
    """
    return max(WARM_UP_S, _SETTLED * smoothing_s)


def split(times: FrameTimes, segment_s: float, warm_s: float) -> list[Segment]:
    """Return the segments of a recording; each frame counts in exactly one, and none is empty.

    Args:
        times: the recording's frames.
        segment_s: length of a segment in seconds.
        warm_s: how much earlier each is read from.
    """
    slots = np.floor((times.t_s - times.t_s[0]) / segment_s).astype(np.int64)
    firsts = np.flatnonzero(np.diff(slots, prepend=-1))
    ends = np.append(firsts[1:], len(slots))
    found = []
    for number, (first, end) in enumerate(zip(firsts.tolist(), ends.tolist(), strict=True), 1):
        warm = int(np.searchsorted(times.t_s, times.t_s[first] - warm_s))
        part = slice(warm, end)
        found.append(
            Segment(
                number=number,
                warm=warm,
                first=first,
                stamps_ms=times.stamps_ms[part],
                t_s=times.t_s[part],
                interval_s=times.interval_s[part],
                in_order=times.repaired == 0,
            )
        )
    return found


def segment_frames(path: Path, segment: Segment) -> Iterator[Frame]:
    """Yield a segment's frames, those before it first: byte for byte what a reading from the file's start gives.

    Raises:
        DataError: the file is not what it was when its times were read.
    """
    reader = _positioned(path, segment)
    try:
        for k, stamp_ms in enumerate(segment.stamps_ms.tolist()):
            if (k and not reader.advance()) or 1000 * reader.stamp_s != stamp_ms:
                raise _changed(path, segment.warm + k)
            yield Frame(segment.warm + k, float(segment.t_s[k]), reader.image(), float(segment.interval_s[k]))
    finally:
        reader.close()


def _positioned(path: Path, segment: Segment) -> FrameReader:
    """Return a reader at the segment's first frame: by a jump near it if that is reliable, else from the start."""
    wanted_ms = float(segment.stamps_ms[0])
    reader = open_video(path, threads=1)
    for back_s in _BACK_S:
        if not segment.in_order or wanted_ms <= 1000 * back_s:
            break
        if reader.seek(wanted_ms / 1000 - back_s):
            count = 0
            while reader.advance() and 1000 * reader.stamp_s <= wanted_ms:
                if 1000 * reader.stamp_s == wanted_ms and count:
                    return reader
                count += 1  # the filter that de-interlaces looks at the frame before
        reader.close()  # the jump led too far, or to other times than a reading from the start
        reader = open_video(path, threads=1)
    for number in range(segment.warm + 1):
        if not reader.advance():
            reader.close()
            raise _changed(path, number)
    return reader


def _changed(path: Path, number: int) -> DataError:
    return DataError(f"frame {number} of {path} has moved; the file was changed. Start over with --overwrite")

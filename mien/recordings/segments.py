"""Splits a recording into segments that are read independently.

The result of a segment depends only on the file, the options and the segment's number, so all
workers get the same result in any order.
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
"""Reading starts this many seconds before a segment, so that tracks and smoothing have settled at its start."""
_SETTLED: Final = 5.0
"""Time constants after which 99% of a smoothed value comes from new input."""
_BACK_S: Final = (1.0, 10.0)
"""Seconds before the wanted frame to seek to, tried in this order; frames near a keyframe may be incomplete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment of a recording.

    Attributes:
        number: from 1.
        warm: number of the frame at which reading starts.
        first: number of the first frame of the segment.
        stamps_ms: (M,) float64, presentation times of the container from frame ``warm`` on, in milliseconds.
        t_s: (M,) float64, repaired times of these frames in seconds.
        interval_s: (M,) float64, durations of these frames in seconds.
        in_order: whether the container's times increase, so that a frame can be found by its time.
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
        """Number of frames, without the warm-up."""
        return self.warm + len(self.t_s) - self.first

    @property
    def last(self) -> int:
        """Number of the last frame."""
        return self.warm + len(self.t_s) - 1


def warm_up_s(smoothing_s: float) -> float:
    """Return the warm-up before a segment in seconds.

    >>> warm_up_s(0.4), warm_up_s(2.0)
    (2.0, 10.0)
    """
    return max(WARM_UP_S, _SETTLED * smoothing_s)


def split(times: FrameTimes, segment_s: float, warm_s: float) -> list[Segment]:
    """Return the segments of a recording. Each frame belongs to exactly one, and none is empty.

    Args:
        times: the times of the recording's frames.
        segment_s: length of a segment in seconds.
        warm_s: warm-up before each segment in seconds.
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
    """Yield the frames of a segment, starting with its warm-up, identical to those of sequential decoding.

    Raises:
        DataError: the file was changed after its frame times were read.
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
    """Return a reader at the first frame of the warm-up: by seeking if that is reliable, else by decoding from the start."""
    target_ms = float(segment.stamps_ms[0])
    reader = open_video(path, threads=1)
    for back_s in _BACK_S:
        if not segment.in_order or target_ms <= 1000 * back_s:
            break
        if reader.seek(target_ms / 1000 - back_s):
            count = 0
            while reader.advance() and 1000 * reader.stamp_s <= target_ms:
                if 1000 * reader.stamp_s == target_ms and count:
                    return reader
                count += 1  # the deinterlacing filter needs the previous frame
        reader.close()  # seeking went too far, or gave other times than sequential decoding
        reader = open_video(path, threads=1)
    for number in range(segment.warm + 1):
        if not reader.advance():
            reader.close()
            raise _changed(path, number)
    return reader


def _changed(path: Path, number: int) -> DataError:
    return DataError(f"{path} was changed during the analysis (frame {number} differs). Start over with --overwrite")

"""A video that browsers play: H.264 in MP4 through PyAV, with the sound of the recording that it is made of."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from mien.sources.video import open_container

_TICK: Final = Fraction(1, 90_000)
_COPIED: Final = frozenset({"aac", "mp3"})
"""Sound that browsers play from an MP4 as it is; other kinds are encoded as AAC."""


class VideoWriter:
    """Writes pictures with their times, and then the recording's sound.

    Args:
        temporary: the MP4 file, as ``mien.files.atomic_path`` made it.
        recording: where the sound is copied from.

    Raises:
        OSError: the disk refuses; every method may raise it.
    """

    def __init__(self, temporary: Path, recording: Path) -> None:
        # its name says nothing of its format
        self._container = av.open(f"file:{temporary.absolute()}", "w", format="mp4", options={"movflags": "+faststart"})
        self._recording = recording
        self._stream: Any = None
        self._sound: tuple[Any, Any] | None = None
        self._size = (0, 0)
        self._last = -1
        self._is_closed = False

    def write(self, image: NDArray[np.uint8], t_s: float) -> None:
        """Add a (H, W, 3) uint8 BGR picture at ``t_s`` seconds; all are scaled to the size of the first."""
        if self._stream is None:
            self._begin(image)
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p", dst_colorspace="ITU601", threads=1)
        self._last = max(self._last + 1, round(t_s / _TICK))
        frame.pts, frame.time_base = self._last, _TICK
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Add what the encoder holds back, and the sound."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        if self._sound is not None:
            self._write_sound(*self._sound)
            self._sound[0].close()
        self._is_closed = True
        self._container.close()

    def close(self) -> None:
        """Close the file, whatever has been written. Safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            with suppress(av.error.FFmpegError, OSError):
                self._container.close()

    def _begin(self, image: NDArray[np.uint8]) -> None:
        self._size = (image.shape[1] // 2 * 2 or 2, image.shape[0] // 2 * 2 or 2)  # H.264 as browsers play it has even sides
        self._stream = self._container.add_stream("libx264", options={"crf": "20", "preset": "veryfast"})
        self._stream.width, self._stream.height, self._stream.pix_fmt = *self._size, "yuv420p"
        self._stream.codec_context.time_base = self._stream.time_base = _TICK
        self._stream.codec_context.thread_count = 1  # the bytes do not depend on the machine
        source = open_container(self._recording, self._recording.name)
        sound: Any = source.streams.best("audio")
        if sound is None or sound.codec_context is None:
            source.close()
            return
        if _kind(sound) in _COPIED:
            self._sound = (source, self._container.add_stream_from_template(sound))
        else:
            self._sound = (source, self._container.add_stream("aac", rate=sound.sample_rate or 48_000))

    def _write_sound(self, source: Any, target: Any) -> None:
        sound = source.streams.best("audio")
        start_s = (source.start_time or 0) / av.time_base
        shift = round(start_s / sound.time_base)
        if _kind(target) == _kind(sound):
            for packet in source.demux(sound):
                if packet.dts is not None:
                    packet.pts, packet.dts = (packet.pts if packet.pts is not None else packet.dts) - shift, packet.dts - shift
                    packet.stream = target
                    self._container.mux(packet)
            return
        for packet in source.demux(sound):
            with suppress(av.error.InvalidDataError):  # damaged sound is left out
                for frame in packet.decode():
                    if frame.pts is not None:
                        frame.pts -= shift
                    self._container.mux(target.encode(frame))
        self._container.mux(target.encode(None))


def _kind(sound: Any) -> str:
    """Return the codec of a sound track, by one name for all its decoders."""
    return "" if sound.codec_context is None else str(sound.codec_context.name).removesuffix("float")

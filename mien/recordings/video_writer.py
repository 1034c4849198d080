"""Writes videos that browsers can play: H.264 in MP4 through PyAV, with the audio of the original recording."""

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

from mien.errors import DataError
from mien.sources.video import open_container

_TICK: Final = Fraction(1, 90_000)
_COPIED: Final = frozenset({"aac", "mp3"})
"""Audio codecs that browsers play in MP4; audio in other codecs is encoded as AAC."""


class VideoWriter:
    """Writes frames with their times, then the recording's audio.

    Args:
        temporary: the MP4 file, from ``mien.files.atomic_path``.
        recording: the recording that the audio is taken from.

    Raises:
        OSError: here or later, if the file cannot be written.
    """

    def __init__(self, temporary: Path, recording: Path) -> None:
        # the temporary name does not tell the format
        self._container = av.open(f"file:{temporary.absolute()}", "w", format="mp4", options={"movflags": "+faststart"})
        self._recording = recording
        self._stream: Any = None
        self._audio: tuple[Any, Any] | None = None
        self._size = (0, 0)
        self._last = -1
        self._is_closed = False

    def write(self, image: NDArray[np.uint8], t_s: float) -> None:
        """Write a frame, (H, W, 3) uint8 BGR, at ``t_s`` seconds; all frames are scaled to the size of the first."""
        if self._stream is None:
            self._begin(image)
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p", dst_colorspace="ITU601", threads=1)
        self._last = max(self._last + 1, round(t_s / _TICK))
        frame.pts, frame.time_base = self._last, _TICK
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Flush the encoder, write the audio and close the file."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        if self._audio is not None:
            self._write_audio(*self._audio)
            self._audio[0].close()
        self._is_closed = True
        self._container.close()

    def close(self) -> None:
        """Close the file, complete or not. Safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            with suppress(av.error.FFmpegError, OSError):
                self._container.close()

    def _begin(self, image: NDArray[np.uint8]) -> None:
        self._size = (image.shape[1] // 2 * 2 or 2, image.shape[0] // 2 * 2 or 2)  # H.264 with 4:2:0 chroma needs even sides
        self._stream = self._container.add_stream("libx264", options={"crf": "20", "preset": "veryfast"})
        self._stream.width, self._stream.height, self._stream.pix_fmt = *self._size, "yuv420p"
        self._stream.codec_context.time_base = self._stream.time_base = _TICK
        self._stream.codec_context.thread_count = 1  # output does not depend on the machine
        try:
            source = open_container(self._recording, self._recording.name)
        except DataError:
            return  # a picture or an animation, which has no audio
        audio: Any = source.streams.best("audio")
        if audio is None or audio.codec_context is None:
            source.close()
            return
        if _codec(audio) in _COPIED:
            self._audio = (source, self._container.add_stream_from_template(audio))
        else:
            self._audio = (source, self._container.add_stream("aac", rate=audio.sample_rate or 48_000))

    def _write_audio(self, source: Any, target: Any) -> None:
        audio = source.streams.best("audio")
        start_s = (source.start_time or 0) / av.time_base
        shift = round(start_s / audio.time_base)
        if _codec(target) == _codec(audio):
            for packet in source.demux(audio):
                if packet.dts is not None:
                    packet.pts, packet.dts = (packet.pts if packet.pts is not None else packet.dts) - shift, packet.dts - shift
                    packet.stream = target
                    self._container.mux(packet)
            return
        for packet in source.demux(audio):
            with suppress(av.error.InvalidDataError):  # skip damaged audio
                for frame in packet.decode():
                    if frame.pts is not None:
                        frame.pts -= shift
                    self._container.mux(target.encode(frame))
        self._container.mux(target.encode(None))


def _codec(audio: Any) -> str:
    """Return the codec of an audio track, the same for all of its decoders."""
    return "" if audio.codec_context is None else str(audio.codec_context.name).removesuffix("float")

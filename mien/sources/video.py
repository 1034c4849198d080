"""Decodes recordings and network streams with FFmpeg's libraries through PyAV.

Frames are delivered upright, with square pixels, deinterlaced, in their own size, and with the presentation times
of the file. Frames and pixels do not depend on the number of threads.
"""

from __future__ import annotations

import os
import statistics
import threading
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
import av.error
import av.filter
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from mien.errors import DataError
from mien.limits import MAX_PIXELS
from mien.sources.animation import AnimationReader
from mien.sources.decoder import StreamEnded
from mien.sources.files import IMAGE_ENDINGS, unreadable_reason
from mien.sources.reader import FrameReader, PacketReport

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

NETWORK_TIMEOUT_S: Final = 5.0
"""Timeout in seconds for opening a stream and for each read."""
_CONTAINERS: Final = (
    *("3dostr", "4xm", "aiff", "amv", "apng", "asf", "asf_o", "avi", "avs", "avs2", "avs3", "bink", "cavsvideo", "cdxl"),
    *("cine", "dhav", "dirac", "dv", "dxa", "evc", "film_cpk", "flic", "flv", "gif", "gxf", "h261", "h263", "h264", "hevc"),
    *("ifv", "ivf", "ivr", "kux", "live_flv", "lxf", "m4v", "matroska", "mjpeg", "mjpeg_2000", "mlv", "mov", "mp3", "mp4"),
    *("mpeg", "mpegts", "mpegvideo", "mpjpeg", "mv", "mxf", "nsv", "nut", "nuv", "obu", "ogg", "pva", "r3d", "rm", "roq"),
    *("smjpeg", "smk", "swf", "thp", "ty", "vc1", "vc1test", "vvc", "webm", "wtv", "xmv", "yuv4mpegpipe"),
)
"""Allowed demuxers of local files. Playlists, image sequences and scripts are excluded: they open other files or URLs."""
_RAW_CODECS: Final = frozenset(
    {"avs2", "avs3", "cavsvideo", "dirac", "evc", "h261", "h263", "h264", "hevc", "m4v", "mpegvideo", "obu", "vc1", "vvc"}
)
"""Demuxers of raw codec data, which has a frame rate but no presentation times."""
_PROTOCOLS: Final = {
    "http": "http,https,tcp,tls,crypto,data",
    "https": "http,https,tcp,tls,crypto,data",
    "rtsp": "rtsp,rtp,udp,tcp,tls,http,https",
    "rtsps": "rtsp,rtsps,rtp,udp,tcp,tls,srtp",
    "udp": "udp,rtp",
    "tcp": "tcp",
}
"""Protocols that a redirect or playlist may use, by URL scheme; never local files."""
_NOMINAL_FPS: Final = 25.0
_HIGHEST_FPS: Final = 1000.0
_SAMPLED_STEPS: Final = 2000
_BT601: Final = frozenset({2, 5, 6})
"""Matrix coefficients of ITU-T H.273: unspecified, BT.601 with 625 lines, BT.601 with 525 lines."""
_CONVERTED: Final = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
"""Matrix coefficients that FFmpeg's converter supports. Others are treated as unspecified, which only shifts the hue."""
_MAX_PIXEL_ASPECT: Final = 8
"""Pixel aspect ratios above this, or below its inverse, are treated as errors in the file."""
_MAX_ERRORS: Final = 32
"""Reading a damaged file ends after this many consecutive failed reads."""


class _PacketLostError(Exception):
    """A packet could not be decoded while several threads were decoding."""


def open_video(address: Path | str, threads: int = 0, name: str = "") -> FrameReader:
    """Return a reader of a video, at its start.

    Args:
        address: path of a file, or URL of a stream. A ``Path`` is always a file, even if it looks like a URL.
        threads: number of decoding threads; 0 for one per core.
        name: display name for messages, since a URL may contain a password.

    Raises:
        DataError: it is not a readable video, or its frames have too many pixels.
    """
    path = Path(address)
    if isinstance(address, Path) and path.suffix.lower() in IMAGE_ENDINGS:
        animation = AnimationReader(path)
        if animation.total:
            return animation
        raise DataError(f"{path} {unreadable_reason(path)}")
    return VideoReader(address, threads, name)


class VideoReader:
    """A video file or a network stream; see :class:`FrameReader`.

    Args:
        address: as in :func:`open_video`.
        threads: number of decoding threads; 0 for one per core.
        name: display name for messages.

    Attributes:
        is_recording: whether its end is known, as for a file or a recording behind a URL.
        container_format: FFmpeg's name of the demuxer.

    Raises:
        DataError: it cannot be opened, contains no video, or its frames have too many pixels.
    """

    def __init__(self, address: Path | str, threads: int = 0, name: str = "") -> None:
        self._address, self._threads, self._name = address, threads, name or str(address)
        self._is_network = not isinstance(address, Path)
        self._lock = threading.RLock()
        self._reformatter = VideoReformatter()
        self._frame: VideoFrame | None = None
        self._closed = False
        self.stamp_s = 0.0
        self._open(threads)
        self._pictures = self._all_frames()

    def _open(self, threads: int) -> None:
        self._container = open_container(self._address, self._name)
        stream = _video_stream(self._container)
        if stream is None:
            self._container.close()
            raise DataError(f"{self._name} {self._reason()}")
        self._stream: VideoStream = stream
        context = stream.codec_context
        if context.width * context.height > MAX_PIXELS:
            size = f"{context.width} x {context.height}"
            self._container.close()
            raise DataError(f"{self._name} has pictures of {size} pixels; at most {MAX_PIXELS:,} pixels are read")
        context.options = {"max_pixels": str(MAX_PIXELS)}
        self._is_threaded = threads != 1 and not self._is_network
        context.thread_type = "AUTO" if self._is_threaded else "SLICE"
        context.thread_count = threads if not self._is_network else 1
        start = self._container.start_time
        self._start_s = start / av.time_base if start is not None else 0.0
        self._tick_s = {each.index: float(each.time_base) for each in self._container.streams if each.time_base}
        self._matrix: tuple[object, NDArray[np.int32] | None] = (None, None)
        self._rate = _rate(self._container, self._stream)
        self.step_s = _step_s(self._stream, self._rate)
        self.container_format = self._container.format.name
        duration = self._container.duration
        self.is_recording = not self._is_network or (duration is not None and self.container_format != "mpjpeg")
        own = self._stream.duration
        seconds = float(own * self._stream.time_base) if own and self._stream.time_base else (duration or 0) / av.time_base
        self.total = self._stream.frames or round(seconds / self.step_s) or None
        entries = self._stream.index_entries
        # only an index that lists every packet; those of fragmented files, among others, are partial
        self._announced_dts = entries[len(entries) - 1].timestamp if self._stream.frames and len(entries) else None
        self._ends_s = 0.0
        self._last_dts = 0
        self._failed = self._sent = self._shown = 0
        self._early: list[int] | None = []
        self._has_fields = self._has_moved = False

    def _reason(self) -> str:
        return unreadable_reason(Path(self._address)) if not self._is_network else "has no video that can be read"

    def advance(self) -> bool:
        with self._lock:
            if self._closed:
                return False
            self._frame = next(self._pictures, None)
            return self._frame is not None

    def image(self) -> NDArray[np.uint8]:
        """Return the current frame as (H, W, 3) uint8 BGR, upright and with square pixels.

        Raises:
            DataError: the frame has too many pixels.
        """
        with self._lock:
            if self._frame is None:
                raise ValueError("no frame has been decoded")
            return _rotated(self._square(self._frame), self._display_matrix(self._frame))

    def seek(self, stamp_s: float) -> bool:
        with self._lock:
            if self.container_format in _RAW_CODECS or self._stream.time_base is None:
                return False
            try:
                offset = int((stamp_s + self._start_s) / self._stream.time_base)
                self._container.seek(offset, stream=self._stream, backward=True)
            except (av.error.FFmpegError, OverflowError):
                return False
            self._has_moved = True
            self._pictures = self._deinterlaced(self._decoded())
            return True

    def packets(self) -> PacketReport:
        container = self._container
        if self._announced_dts is not None and self._stream.time_base is not None:
            missing_s = float((self._announced_dts - self._last_dts) * self._stream.time_base)
        elif container.duration and self.container_format not in (*_RAW_CODECS, "mjpeg"):
            missing_s = container.duration / av.time_base - self._ends_s  # the container states the length of the longest stream
        else:
            missing_s = 0.0
        # the two fields of a frame may be in separate packets
        silent = 0 if self._has_fields else self._sent - self._shown - self._failed
        return PacketReport(self._failed, max(0, silent), max(0.0, missing_s))

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._frame = None
                self._pictures.close()
                self._container.close()

    def _all_frames(self) -> Generator[VideoFrame, None, None]:
        """Yield all frames. A damaged file is decoded again from the start by a single thread.

        The number of frames that several threads recover from a damaged file depends on the number of threads.
        """
        count = 0
        try:
            for frame in self._deinterlaced(self._decoded()):
                yield frame
                count += 1
        except _PacketLostError:
            self._container.close()
            self._open(1)
            yield from islice(self._deinterlaced(self._decoded()), count, None)

    def _decoded(self) -> Iterator[VideoFrame]:
        """Yield the frames of the video stream in presentation order, each with a time."""
        index = 0
        for packet in self._demuxed():
            if packet.stream_index != self._stream.index:
                continue
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                if self._is_threaded:
                    raise _PacketLostError from error
                self._failed += packet.size > 0
                continue
            for frame in frames:
                self._has_fields |= frame.interlaced_frame
                self._shown += 1
                if self.container_format in _RAW_CODECS:
                    frame.time_base, frame.pts = 1 / self._rate, index
                elif frame.pts is None:
                    frame.pts = frame.dts if frame.dts is not None else round(index * self.step_s / (frame.time_base or 1))
                if self._early is not None:
                    self._sent -= sum(pts < frame.pts for pts in self._early)
                    self._early = None
                index += 1
                yield frame

    def _demuxed(self) -> Iterator[Packet[Any]]:
        """Yield the packets of all streams and update the statistics for ``packets``.

        Raises:
            OSError: the connection to a server was lost.
        """
        errors = 0
        while True:
            try:
                for packet in self._container.demux():
                    errors = 0
                    self._count_packet(packet)
                    yield packet
            except av.error.InvalidDataError:
                errors += 1
                if not self._is_network and errors < _MAX_ERRORS:
                    continue  # the next packet may be intact
            except av.error.FFmpegError as error:
                if self._is_network:
                    # the text of the error has the address, which may contain a password
                    raise OSError(error.strerror or "the connection was lost") from None
            break
        if errors:  # the demuxer ended without flushing the decoder
            flush = av.Packet()
            flush.stream = self._stream
            yield flush

    def _count_packet(self, packet: Packet[Any]) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if not packet.size or stamp is None or packet.stream_index not in self._tick_s:
            self._sent += packet.size > 0 and packet.stream_index == self._stream.index
            return
        self._ends_s = max(self._ends_s, (stamp + (packet.duration or 0)) * self._tick_s[packet.stream_index] - self._start_s)
        if packet.stream_index != self._stream.index:
            return
        self._last_dts = max(self._last_dts, packet.dts if packet.dts is not None else stamp)
        if packet.is_discard or (self._stream.codec_context.name == "vp8" and not memoryview(packet)[0] & 0x10):
            return  # hidden by an edit list, or a reference frame that is not shown
        self._sent += 1
        if self._early is not None:
            self._early.append(stamp)

    def _deinterlaced(self, frames: Iterator[VideoFrame]) -> Generator[VideoFrame, None, None]:
        """Yield the frames with interlaced ones deinterlaced; their number and times do not change."""
        graph: _Deinterlacer | None = None
        before: VideoFrame | None = None
        for frame in frames:
            if graph is not None and not graph.takes(frame):
                yield from self._stamped(graph.flush())
                graph = before = None
            if graph is None and frame.interlaced_frame:
                graph = _Deinterlacer(frame)
                if before is not None and graph.takes(before):
                    graph.prepare(before)
            if graph is not None:
                yield from self._stamped(graph.push(frame))
            else:
                yield from self._stamped([frame])
            before = frame
        if graph is not None:
            yield from self._stamped(graph.flush())

    def _stamped(self, frames: list[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            base = frame.time_base or Fraction(1)
            # one division of integers gives exactly the same time in any time base
            self.stamp_s = (frame.pts or 0) * base.numerator / base.denominator - self._start_s
            yield frame

    def _display_matrix(self, frame: VideoFrame) -> NDArray[np.int32] | None:
        """Return the frame's display matrix, cached while its size and rotation do not change.

        PyAV keeps a frame alive after its side data was read, until the garbage collector runs.
        """
        kind = (frame.width, frame.height, frame.rotation)
        if self._matrix[0] != kind:
            data: Any = frame.side_data.get("DISPLAYMATRIX")
            self._matrix = (kind, None if data is None else np.frombuffer(bytes(data), np.int32))
        return self._matrix[1]

    def _square(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return a frame as (H, W, 3) uint8 BGR with square pixels."""
        width, height = frame.width, frame.height
        shape = self._stream.sample_aspect_ratio or self._stream.codec_context.sample_aspect_ratio
        if shape and shape != 1 and 1 / _MAX_PIXEL_ASPECT <= shape <= _MAX_PIXEL_ASPECT:
            width, height = (round(width * shape), height) if shape > 1 else (width, round(height / shape))
        if width * height > MAX_PIXELS:
            raise DataError(f"{self._name} has pictures of {width} x {height} pixels; at most {MAX_PIXELS:,} pixels are read")
        if (width, height) == (frame.width, frame.height) and _is_plain(frame):
            return np.asarray(cv2.cvtColor(frame.to_ndarray(), cv2.COLOR_YUV2BGR_I420), np.uint8)
        if frame.colorspace not in _CONVERTED:
            frame.colorspace = 2
        picture = self._reformatter.reformat(
            frame, width=width, height=height, format="bgr24", interpolation=Interpolation.BICUBIC, threads=1
        )
        return np.ascontiguousarray(picture.to_ndarray(), np.uint8)


def _is_plain(frame: VideoFrame) -> bool:
    """Return whether a frame has the most common format: planar 4:2:0, limited range, even size, BT.601 or unspecified.

    OpenCV converts it exactly, as browsers do; FFmpeg's fast conversion is more than one grey level too dark.
    """
    is_even = not (frame.width % 2 or frame.height % 2)
    return is_even and frame.format.name == "yuv420p" and frame.color_range != ColorRange.JPEG and frame.colorspace in _BT601


class StreamDecoder:
    """A network stream as a :class:`Decoder`.

    Args:
        url: its address.
        name: display name for messages.

    Attributes:
        is_recording: whether it is a recording behind a URL, whose end is known.

    Raises:
        DataError: it cannot be opened, or contains no video.
    """

    def __init__(self, url: str, name: str) -> None:
        self._reader = VideoReader(url, threads=1, name=name)
        self.is_recording = self._reader.is_recording
        # the end of an HTTP response ends a broadcast; for cameras and other protocols it only means a lost connection
        self._ends = url.lower().startswith("http") and self._reader.container_format != "mpjpeg"

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        return True

    def read(self) -> tuple[bool, Any]:
        if self._reader.advance():
            return True, self._reader.image()
        if self._ends:
            raise StreamEnded
        return False, None

    def get(self, propId: int, /) -> float:  # noqa: N803  OpenCV's name
        return 0.0

    def set(self, propId: int, value: float, /) -> bool:  # noqa: N803  OpenCV's name
        return False

    def release(self) -> None:
        self._reader.close()


class _Deinterlacer:
    """FFmpeg's bwdif filter for frames of one size and format; progressive frames pass unchanged."""

    def __init__(self, frame: VideoFrame) -> None:
        self._kind = (frame.width, frame.height, frame.format.name)
        self._graph = av.filter.Graph()
        self._graph.threads = 1
        source = self._graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
        self._graph.link_nodes(
            source, self._graph.add("bwdif", "mode=send_frame:deint=interlaced"), self._graph.add("buffersink")
        )
        self._graph.configure()
        self._unwanted = 0

    def takes(self, frame: VideoFrame) -> bool:
        return self._kind == (frame.width, frame.height, frame.format.name)

    def prepare(self, frame: VideoFrame) -> None:
        """Push the frame before the first one as context, without returning it later."""
        self._unwanted = 1
        self._graph.push(frame)

    def push(self, frame: VideoFrame) -> list[VideoFrame]:
        self._graph.push(frame)
        return self._pulled()

    def flush(self) -> list[VideoFrame]:
        self._graph.push(None)
        return self._pulled()

    def _pulled(self) -> list[VideoFrame]:
        found: list[VideoFrame] = []
        while True:
            try:
                found.append(self._graph.vpull())
            except (av.error.BlockingIOError, av.error.EOFError):
                break
        wanted = found[self._unwanted :]
        self._unwanted = max(0, self._unwanted - len(found))
        return wanted


def open_container(address: Path | str, name: str) -> InputContainer:
    """Return an opened file or stream.

    Raises:
        DataError: it cannot be opened.
    """
    options = {"max_pixels": str(MAX_PIXELS)}
    try:
        if isinstance(address, Path):
            # the prefix makes it a file, even if it looks like a URL; PyAV passes on file names that are not UTF-8
            options |= {"protocol_whitelist": "file", "format_whitelist": ",".join(_CONTAINERS)}
            return av.open(f"file:{address.absolute()}", options=options, metadata_errors="replace")
        scheme = address.partition("://")[0].lower()
        options["protocol_whitelist"] = _PROTOCOLS.get(scheme, scheme)
        if scheme.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        # FFmpeg would send requests for local cameras, with their passwords, through this proxy. It reads the variable for
        # every connection, including those of playlists and redirects, so it is removed permanently; nothing else uses it
        os.environ.pop("http_proxy", None)
        return av.open(address, options=options, metadata_errors="replace", timeout=(2 * NETWORK_TIMEOUT_S, NETWORK_TIMEOUT_S))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = unreadable_reason(address) if isinstance(address, Path) else "cannot be opened"
        raise DataError(f"{name} {reason}") from error


def _video_stream(container: InputContainer) -> VideoStream | None:
    """Return the video stream of a container, other than a cover picture; None if there is none."""
    videos = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic and each.codec_context]
    best = container.streams.best("video")
    return best if best in videos else next(iter(videos), None)


def _rate(container: InputContainer, stream: VideoStream) -> Fraction:
    """Return the average frame rate of the stream, or FFmpeg's guess; in the other order for raw codec data."""
    raw = container.format.name in _RAW_CODECS
    order = (stream.guessed_rate, stream.average_rate) if raw else (stream.average_rate, stream.guessed_rate)
    rates = [rate for rate in order if rate and 0 < rate <= _HIGHEST_FPS]
    # a millisecond time base looks like a rate of 1000 per second
    return rates[0] if rates and (rates[0] < _HIGHEST_FPS or stream.average_rate) else Fraction(_NOMINAL_FPS)


def _step_s(stream: VideoStream, rate: Fraction) -> float:
    """Return the usual interval between frames in seconds: from the index if it lists every frame, else from the rate."""
    entries = stream.index_entries
    if stream.time_base and 2 < len(entries) == stream.frames:
        times = [entry.timestamp for entry in islice(entries, _SAMPLED_STEPS)]
        step_s = float(statistics.median(b - a for a, b in pairwise(times)) * stream.time_base)
        if step_s > 0:
            return step_s
    return float(1 / rate)


def _rotated(image: NDArray[np.uint8], matrix: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """Return an image rotated and mirrored by FFmpeg's display matrix (9,), to the nearest right angle."""
    if matrix is None:
        return image
    a, b, _, c, d = matrix[:5].tolist()
    if max(abs(a), abs(d)) >= max(abs(b), abs(c)):
        flips = (a < 0, d < 0)
    else:
        image, flips = cv2.transpose(image).astype(np.uint8, copy=False), (c < 0, b < 0)
    if any(flips):
        image = cv2.flip(image, {(True, True): -1, (True, False): 1, (False, True): 0}[flips]).astype(np.uint8, copy=False)
    return image

"""Small recordings made on the spot, and MP4 files looked at without any decoder."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import cv2
import numpy as np
from cameras import grey
from numpy.typing import NDArray
from PIL import Image


def parts(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield the boxes of an MP4: name, content, and the whole box."""
    at = 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        yield name, data[at + head : at + size], data[at : at + size]
        at += size


def box(data: bytes, path: str) -> bytes:
    """Return the content of the first box along a path of names."""
    for name in path.split("/"):
        data = next(content for found, content, _ in parts(data) if found == name.encode())
    return data


def _runs(table: bytes, form: str) -> Iterator[int]:
    """Yield the values of a run-length table."""
    for k in range(struct.unpack_from(">I", table, 4)[0]):
        count, value = struct.unpack_from(form, table, 8 + 8 * k)
        yield from [value] * count


def presented(path: Path) -> list[float]:
    """Return the times at which an MP4 itself says its pictures stand, in seconds: what its edit list lets through."""
    moov = box(path.read_bytes(), "moov")
    scale = struct.unpack_from(">I", box(moov, "mvhd"), 12)[0]
    tracks = [content for name, content, _ in parts(moov) if name == b"trak"]
    track = next(content for content in tracks if box(content, "mdia/hdlr")[8:12] == b"vide")
    ticks = struct.unpack_from(">I", box(track, "mdia/mdhd"), 12)[0]
    table = box(track, "mdia/minf/stbl")
    starts, at = [], 0
    for step in _runs(box(table, "stts"), ">II"):
        starts.append(at)
        at += step
    shifts = _runs(box(table, "ctts"), ">Ii")
    stamps = sorted(start + shift for start, shift in zip(starts, shifts, strict=True))
    duration, begin = struct.unpack_from(">Ii", box(track, "edts/elst"), 8)
    return [(stamp - begin) / ticks for stamp in stamps if 0 <= stamp - begin < duration * ticks / scale]


def cut_short(data: bytes, share: float) -> bytes:
    """Return the first part of an MP4, its index moved to the front, without which nobody could open it."""
    found = list(parts(data))
    names = [name for name, _, _ in found]
    if names.index(b"moov") < names.index(b"mdat"):
        return data[: round(share * len(data))]
    index = bytearray(next(whole for name, _, whole in found if name == b"moov"))
    at = 0
    while (at := index.find(b"stco", at + 1)) > 0:
        for place in range(at + 12, at + 12 + 4 * struct.unpack_from(">I", index, at + 8)[0], 4):
            struct.pack_into(">I", index, place, struct.unpack_from(">I", index, place)[0] + len(index))
    first = next(whole for name, _, whole in found if name == b"ftyp")
    moved = b"".join([first, bytes(index), *(whole for name, _, whole in found if name not in (b"ftyp", b"moov"))])
    return moved[: round(share * len(moved))]


def animation(path: Path, durations_ms: Sequence[int]) -> Path:
    """Write a GIF, each of whose pictures stands as long as told."""
    pictures = [Image.fromarray(grey(20 + 30 * k)) for k in range(len(durations_ms))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=list(durations_ms), loop=0)
    return path


def matroska(path: Path, ticks: Sequence[int], fps: float = 25.0) -> Path:
    """Write motion JPEG whose frames stand at the given multiples of a 25th of a second."""
    kind = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, kind, fps, (64, 48), [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1])
    for k, tick in enumerate(ticks):
        writer.set(cv2.VIDEOWRITER_PROP_PTS, tick)
        writer.write(cv2.imencode(".jpg", grey((10 + 10 * k) % 250))[1].reshape(1, -1))
    writer.release()
    return path


def transport_stream(path: Path, frames: int) -> bytes:
    """Return a short broadcast recording; the times of two that are joined start twice."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MPG2"), 25.0, (96, 64))
    for k in range(frames):
        writer.write(grey(10 * k % 250, (96, 64)))
    writer.release()
    return path.read_bytes()


def video(path: Path, kind: str, frames: int, fps: float = 25.0) -> Path:
    """Write a moving pattern with the encoder called ``kind``."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*kind), fps, (96, 64))
    wave = np.arange(96)[None, :, None] * np.ones((64, 1, 3))
    for k in range(frames):
        writer.write(((np.sin(wave / 9 + k / 5) + 1) * 100).astype(np.uint8))
    writer.release()
    return path


def encoded(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    codec: str = "libx264",
    rate: int = 25,
    first_tick: int = 0,
    sound_s: float = 0.0,
    filters: Sequence[tuple[str, str]] = (),
    turned: float | None = None,
    **options: Any,
) -> Path:
    """Write BGR frames with one of FFmpeg's encoders.

    Args:
        path: the file; its ending chooses the container.
        frames: the pictures.
        codec: name of the encoder.
        rate: frames per second.
        first_tick: time of the first frame, in frames.
        sound_s: length of a silent sound track, 0 for none.
        filters: FFmpeg filters that the frames pass first, by name and arguments.
        turned: degrees that a player turns the picture counter-clockwise.
        options: attributes of the encoder.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        height, width = frames[0].shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        if turned is not None:
            stream.set_display_rotation(turned)
        sound = container.add_stream("aac", rate=48000, layout="mono") if sound_s else None
        graph = av.filter.Graph()
        source = graph.add_buffer(width=width, height=height, format="yuv420p", time_base=Fraction(1, rate))
        graph.link_nodes(source, *(graph.add(*each) for each in filters), graph.add("buffersink")).configure()
        for k, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = k + first_tick, Fraction(1, rate)
            graph.push(frame)
        graph.push(None)
        while True:
            try:
                frame = graph.vpull()
            except (av.error.EOFError, av.error.BlockingIOError):
                break
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for k in range(int(sound_s * 48000) // 1024):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts, silence.time_base = 48000, 1024 * k, Fraction(1, 48000)
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path

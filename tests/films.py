"""Small recordings made on the spot, and MP4 files looked at without any decoder."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from cameras import grey
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
    """Return a short broadcast recording; two of them glued together start their times anew."""
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

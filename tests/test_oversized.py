"""Pictures that claim to be huge, and files that are: refused without the memory they ask for."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import cv2
import pytest
from datasets import pattern

from mien.data.class_table import read_class_table
from mien.data.decoding import decode_face
from mien.data.reader import read_dataset
from mien.data.tables import read_rows
from mien.errors import DataError
from mien.limits import MAX_PIXELS
from mien.sources.cameras import CameraOptions
from mien.sources.factory import open_source
from mien.training.recipe import read_recipe
from mien.vision.bundles import read_record
from mien.vision.predictor import Predictor

# pictures that claim to be huge


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(side: int) -> bytes:
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packed = zlib.compress(bytes(side // 8 + 1) * side, 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def gif_bomb(side: int) -> bytes:
    head = struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + head + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x44\x01\x00;"


def bmp_bomb(side: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, side, side, 1, 8, 0, 0, 0, 0, 0, 0) + bytes(2000)


def pgm_bomb(side: int) -> bytes:
    return f"P5\n{side} {side}\n255\n".encode() + bytes(5000)


def tiff_bomb(side: int) -> bytes:
    strip = zlib.compress(bytes(side * side), 9)
    entries = [(256, side), (257, side), (258, 8), (259, 8), (262, 1), (273, 200), (277, 1), (278, side), (279, len(strip))]
    body = (
        b"II*\0"
        + struct.pack("<IH", 8, len(entries))
        + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    )
    return body.ljust(200, b"\0") + strip


BOMBS = {"png": png_bomb, "gif": gif_bomb, "bmp": bmp_bomb, "pgm": pgm_bomb, "tiff": tiff_bomb}
SIDE = 12_000
"""144 million pixels: above the limit, and little enough to make."""


MEASURE = """
import resource, sys
from pathlib import Path
from mien.data.decoding import decode_face
from mien.sources.files import read_picture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
path = Path(sys.argv[1])
assert decode_face(path.read_bytes()) is None
assert read_picture(path) is None
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_that_claims_to_be_huge_takes_no_memory(name: str, tmp_path: Path) -> None:
    assert SIDE * SIDE > MAX_PIXELS
    path = tmp_path / f"bomb.{name}"
    path.write_bytes(BOMBS[name](SIDE))
    answer = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) < 40, f"{answer.stdout.strip()} MiB"


def test_a_gif_is_judged_by_its_head_even_where_opencv_came_first() -> None:
    assert decode_face(gif_bomb(30_000)) is None
    small = cv2.imencode(".gif", cv2.cvtColor(pattern(2, 5), cv2.COLOR_GRAY2BGR))
    assert small[0]
    assert decode_face(small[1].tobytes()) is not None


def test_an_entry_that_unpacks_to_more_than_it_says_is_unreadable(fer_zip: Path, tmp_path: Path) -> None:
    large = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = large.compress(bytes(200_000_000)) + large.flush()
    with zipfile.ZipFile(fer_zip, "a") as archive:
        archive.writestr("train/happy/Training_9.png", packed)
    data = bytearray(fer_zip.read_bytes())
    for signature, method_at, size_at in ((b"PK\x03\x04", 8, 22), (b"PK\x01\x02", 10, 24)):
        at = data.rindex(signature)
        while b"Training_9.png" not in data[at : at + 90]:
            at = data.rindex(signature, 0, at)
        data[at + method_at : at + method_at + 2] = struct.pack("<H", zipfile.ZIP_DEFLATED)
        data[at + size_at : at + size_at + 4] = struct.pack("<I", 4000)
    fer_zip.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"1 of 43 images cannot be read, starting with train/happy/Training_9\.png"):
        read_dataset(fer_zip)


# tables, recipes and models that are far too large; the files are sparse and take no disk


def huge(path: Path, size: int) -> Path:
    path.touch()
    os.truncate(path, size)
    return path


def test_files_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    gigabyte = 1 << 30
    cases = {
        "votes.csv": lambda path: read_rows(path, "the votes"),
        "classes.csv": read_class_table,
        "recipe.toml": lambda path: read_recipe(str(path)),
        "model.onnx": Predictor,
        "fer2013.csv": read_dataset,
    }
    for name, read in cases.items():
        path = huge(tmp_path / name, 5 * gigabyte)
        with pytest.raises(DataError, match="Is it the right file"):
            read(path)
    bundle = tmp_path / "mine.onnx"
    huge(tmp_path / "mine.json", gigabyte)
    with pytest.raises(DataError, match=r"the record .* at most"):
        read_record(bundle)


def test_a_device_is_no_table() -> None:
    with pytest.raises(DataError, match="is a device"):
        read_rows(Path("/dev/zero"), "the votes")


def test_a_recording_of_larger_pictures_than_are_read_is_refused_by_name(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.sources.video.MAX_PIXELS", 10_000)
    clip = str(shared / "media" / "no_face.mp4")
    with pytest.raises(DataError, match=r"no_face\.mp4 has pictures of .* at most 10,000"):
        open_source(clip, CameraOptions(None, 0.0), 60.0)

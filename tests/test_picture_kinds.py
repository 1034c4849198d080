"""Pictures of every kind: the same grey, or left out and named."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from folders import NOISE, encoded, fill
from PIL import Image

from mien.data.decoding import decode_face
from mien.data.reader import read_dataset
from mien.errors import DataError


def by_pillow(image: Image.Image, kind: str) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


# --- pictures of every kind
GREY = np.tile(np.arange(48, dtype=np.uint8) * 5, (48, 1))


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (encoded(GREY), 0),
        (encoded(GREY.astype(np.uint16) * 257), 0),
        (encoded(GREY.astype(np.uint16) * 257, ".tiff"), 0),
        (encoded(cv2.merge([GREY.astype(np.uint16) * 257] * 3)), 0),
        (encoded(np.dstack([GREY, GREY, GREY, 255 - GREY])), 0),
        (by_pillow(Image.fromarray(GREY).convert("P"), "PNG"), 0),
        (by_pillow(Image.fromarray(GREY), "GIF"), 0),
        (by_pillow(Image.fromarray(GREY).convert("CMYK"), "JPEG"), 12),
        (encoded(GREY, ".jpg"), 3),
        (encoded(GREY, ".jpg") + b"\0trailing junk of a camera" * 1000, 3),
    ],
    ids=["grey", "16-bit", "16-bit-tiff", "16-bit-colour", "alpha", "palette", "gif", "cmyk", "jpeg", "jpeg-and-more"],
)
def test_a_picture_of_any_kind_becomes_the_same_grey(data: bytes, tolerance: int) -> None:
    read = decode_face(data)
    assert read is not None
    assert read[1] == (48, 48)
    assert np.abs(read[0].astype(int) - GREY).max() <= tolerance


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = width.to_bytes(4) + height.to_bytes(4) + bytes((8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def jpeg_that_claims(width: int, height: int) -> bytes:
    data = encoded(NOISE, ".jpg")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + height.to_bytes(2) + width.to_bytes(2) + data[at + 4 :]


def with_a_broken_byte(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :]


BROKEN = {
    "empty": b"",
    "text": b"not a picture at all\n" * 20,
    "png-byte": with_a_broken_byte(encoded(NOISE)),
    "png-cut": encoded(NOISE)[:1500],
    "jpeg-cut": encoded(NOISE, ".jpg")[:-700],
    "jpeg-no-end": encoded(NOISE, ".jpg")[:-2],
    "jpeg-head": encoded(NOISE, ".jpg")[:30],
    "jpeg-start": b"\xff\xd8",
    "webp-cut": encoded(NOISE, ".webp")[:500],
    "tiff-cut": encoded(NOISE, ".tiff")[:500],
    "png-bomb": png_that_claims(30_000, 30_000),
    "png-bomb-2": png_that_claims(2**31 - 1, 2**31 - 1),
    "jpeg-bomb": jpeg_that_claims(65_000, 16_000),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_whole_picture_is_left_out_and_named(tmp_path: Path, kind: str) -> None:
    root = fill(tmp_path / "set", "happy")
    (root / "happy" / "лицо.jpg").write_bytes(BROKEN[kind])
    result = read_dataset(root)
    assert result.unreadable == ("happy/лицо.jpg",)
    assert (len(result.dataset), result.sizes) == (2, {(48, 48): 2})


def test_a_jpeg_with_a_thumbnail_must_have_an_end_of_its_own() -> None:
    whole = encoded(cv2.resize(NOISE, (200, 200)), ".jpg")
    thumbnail = b"Exif\0\0" + encoded(NOISE, ".jpg")
    whole = whole[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2) + thumbnail + whole[2:]
    assert decode_face(whole) is not None
    assert decode_face(whole[:-1000]) is None


def test_a_jpeg_with_a_broken_byte_ends_well() -> None:
    for at in range(2, 700, 3):
        data = bytearray(encoded(NOISE, ".jpg"))
        data[at] ^= 0xFF
        face = decode_face(bytes(data))
        assert face is None or face[0].shape == (48, 48)


def test_five_unreadable_files_are_borne_in_a_small_set_of_ones_own(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "happy", count=6)
    for k in range(5):
        (root / "happy" / f"{k}.png").write_bytes(b"")
    assert len(read_dataset(root).unreadable) == 5
    (root / "happy" / "5.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"6 of 6 images cannot be read, starting with happy/0\.png\. Repair or remove them"):
        read_dataset(root)
    fill(root, "sad", count=500)
    with pytest.raises(DataError, match="6 of 506 images cannot be read"):
        read_dataset(root)
    fill(root, "sad", count=600)
    assert len(read_dataset(root).unreadable) == 6


@pytest.mark.parametrize(("width", "height"), [(96, 64), (64, 96), (48, 60), (30, 20), (1, 1), (1, 500)])
def test_the_middle_of_an_oblong_picture_is_kept_in_proportion(tmp_path: Path, width: int, height: int) -> None:
    side = min(width, height)
    picture = np.zeros((height, width), np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    picture[top : top + side, left : left + side] = 200
    root = fill(tmp_path / "set", "happy", count=0)
    (root / "happy" / "face.png").write_bytes(encoded(picture))
    result = read_dataset(root)
    assert result.sizes == {(width, height): 1}
    assert (result.dataset.images[0] == 200).all()

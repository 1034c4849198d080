"""Faces with captions as one picture file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.drawing import WHITE, Canvas, Rgb
from mien.files import atomic_path

_INK: Final[Rgb] = (28, 32, 38)
_SOFT: Final[Rgb] = (110, 118, 130)
_HIGH: Final = 96
_GAP: Final = 14
_LINE: Final = 14


def draw_contact_sheet(
    target: Path, title: str, pictures: Sequence[NDArray[np.uint8]], captions: Sequence[Sequence[str]], columns: int
) -> None:
    """Write a PNG of pictures in rows, each with lines of text below; the first line is the darkest.

    Args:
        target: the file.
        title: above the rows.
        pictures: grey (H, W) or BGR (H, W, 3) uint8, all of one size.
        captions: lines of each picture.
        columns: pictures in a row.
    """
    if not pictures:
        return
    wide = max(round(_HIGH * pictures[0].shape[1] / pictures[0].shape[0]), 104)
    lines = max(len(caption) for caption in captions)
    cell_w, cell_h = wide + _GAP, _HIGH + lines * _LINE + _GAP
    rows = -(-len(pictures) // columns)
    width, height = columns * cell_w + _GAP, rows * cell_h + 44
    page = Canvas(2 * width, 2 * height, 2.0, WHITE)
    page.text(_GAP, 12, page.elided(title, 16, width - 2 * _GAP), 16, _INK)
    for k, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x, y = _GAP + k % columns * cell_w, 40 + k // columns * cell_h
        shape = (2 * round(_HIGH * picture.shape[1] / picture.shape[0]), 2 * _HIGH)
        large = cv2.resize(picture, shape, interpolation=cv2.INTER_CUBIC)
        colour = cv2.cvtColor(large, cv2.COLOR_GRAY2RGB if large.ndim == 2 else cv2.COLOR_BGR2RGB)
        page.image[2 * y : 2 * y + shape[1], 2 * x : 2 * x + shape[0]] = colour
        for n, line in enumerate(caption):
            page.text(x, y + _HIGH + 2 + n * _LINE, page.elided(line, 10.5, wide + 8), 10.5, _SOFT if n else _INK)
    with atomic_path(target) as temporary:
        Image.fromarray(page.image).resize((width, height), Image.Resampling.BOX).save(temporary, format="PNG")

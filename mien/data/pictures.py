"""Pictures of ``mien prepare``: class distribution and samples. Drawn with Pillow, so that they need no extra."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.data.dataset import SPLITS, FaceDataset
from mien.emotions import COLOURS, EMOTIONS
from mien.files import atomic_path

_SAMPLES_A_CLASS: Final = 8
_INK: Final = "#1c2733"
_FONT: Final = 26
_ROW: Final = 52
_NAMES_WIDTH: Final = 140
_BAR_WIDTH: Final = 330
_NUMBERS_WIDTH: Final = 210
_FACE: Final = 120


def draw_class_distribution(target: Path, dataset: FaceDataset) -> None:
    """Write bars of the class counts, one panel a split that has images."""
    codes = [code for code in range(len(SPLITS)) if (dataset.splits == code).any()]
    panel = _BAR_WIDTH + _NUMBERS_WIDTH
    picture = Image.new("RGB", (_NAMES_WIDTH + panel * max(1, len(codes)), _ROW * (len(EMOTIONS) + 1) + 20), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_FONT)
    for row, name in enumerate(EMOTIONS, start=1):
        draw.text((_NAMES_WIDTH - 16, _ROW * row + _ROW // 2), name, _INK, font, anchor="rm")
    for number, code in enumerate(codes):
        left = _NAMES_WIDTH + number * panel
        counts = np.bincount(dataset.labels[dataset.splits == code], minlength=len(EMOTIONS))
        draw.text(
            (left, _ROW // 2 + 6), f"{SPLITS[code]}: {counts.sum():,}", _INK, font, anchor="lm", stroke_width=1, stroke_fill=_INK
        )
        for row, (name, count) in enumerate(zip(EMOTIONS, counts, strict=True), start=1):
            top, width = _ROW * row + 6, round(_BAR_WIDTH * count / counts.max())
            if width:
                draw.rectangle((left, top, left + width, top + _ROW - 12), COLOURS[name])
            said = f"{count:,}  {count / counts.sum():.1%}"
            draw.text((left + width + 10, _ROW * row + _ROW // 2), said, _INK, font, anchor="lm")
    _save(picture, target)


def draw_samples(target: Path, dataset: FaceDataset, seed: int = 0) -> None:
    """Write a sheet with a few random images of each class."""
    random = np.random.default_rng(seed)
    cell = _FACE + 8
    picture = Image.new("RGB", (_NAMES_WIDTH + _SAMPLES_A_CLASS * cell, len(EMOTIONS) * cell + 8), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_FONT)
    for row, name in enumerate(EMOTIONS):
        draw.text((_NAMES_WIDTH - 16, row * cell + cell // 2), name, _INK, font, anchor="rm")
        members = random.permutation(np.flatnonzero(dataset.labels == row))[:_SAMPLES_A_CLASS]
        for column, member in enumerate(members):
            face = Image.fromarray(dataset.images[member]).resize((_FACE, _FACE), Image.Resampling.BICUBIC)
            picture.paste(face, (_NAMES_WIDTH + column * cell, row * cell + 8))
    _save(picture, target)


def _save(picture: Image.Image, target: Path) -> None:
    with atomic_path(target) as temporary:
        picture.save(temporary, format="PNG")

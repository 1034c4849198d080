"""How good and how fast are the face detectors? YuNet, ``mien-detect`` and OpenCV's Haar cascade on the same pictures.

    MIEN_MODELS=models python benchmarks/detector.py --data fer2013.zip --votes ferplus_votes.csv --media media --pictures photos

Each section is counted for each detector:

- ``public_test``: PublicTest faces, 200 pixels wide on a grey 640x480 canvas, that are found, and what reading them there
  costs in accuracy against reading the crops directly (over those found).
- ``clips``: frames with exactly one face, for the clips with a face in every frame; frames with a box in ``no_face.mp4``; boxes
  in ``five_faces.jpg``; frames of the demo whose face is found; distance of the landmarks to YuNet's, in eye distances, median.
- ``gallery``: 25 PublicTest faces of 40 to 90 pixels in a 1280x720 picture of tiles, plain as the walls of a video call, and on
  parts of pictures without faces.
- ``hard``: a face of the clips turned by 30 degrees to either side, at 6% of its brightness, and with either half covered.
- ``false_boxes``: boxes in every hundred of ``--crops`` crops of pictures without faces (``--pictures``; pages of text and
  textures where there is none). Name pictures that training never saw.
- ``time``: ms of processor time a picture on one thread: the best of many, which a busy computer disturbs least.

The cascade is left out where OpenCV has none, from version 5 on. Ends in one JSON line.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from crop_convention import LEFT, SIDE, TOP, on_canvas
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.data.fer2013 import has_fer2013_labels
from mien.data.reader import read_dataset
from mien.data.votes import read_votes
from mien.evaluation.truths import labelled, truths_about
from mien.records import Box, Detection
from mien.sources.demo import CYCLE_S, DemoSource
from mien.sources.factory import open_source
from mien.sources.files import read_picture
from mien.training.detector.backgrounds import picture_files, procedural
from mien.vision.aligner import align_faces
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path
from mien.vision.detector import Detector
from mien.vision.own_detector import OWN_SCORE, OwnDetector
from mien.vision.predictor import Predictor
from mien.vision.weights import find_yunet
from mien.vision.yunet import YuNetDetector

Picture = NDArray[np.uint8]
FACE_CLIPS = ("sad_to_happy.mp4", "neutral_smile_neutral.mp4")
TILES = 5
TILE = (256, 144)
FACE_PX = (40, 90)


class HaarDetector(Detector):
    """OpenCV's frontal-face Haar cascade (Viola and Jones 2001), as a yardstick: no landmarks."""

    name = "haar"

    def __init__(self) -> None:
        super().__init__(480, 0.0, 0.0)
        file = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
        self._cascade = cv2.CascadeClassifier(str(file))

    def _read(self, picture: Picture, purpose: str, min_score: float) -> list[Detection]:
        grey = cv2.equalizeHist(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
        boxes = self._cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=6, minSize=(24, 24))
        nowhere = np.zeros((5, 2), np.float32)
        return [Detection(Box(*(float(v) for v in box)), 1.0, nowhere) for box in boxes]


def best_at(found: Sequence[Detection], x: float, y: float) -> Detection | None:
    """Return the surest face whose box holds a point."""
    there = [d for d in found if d.box.x <= x <= d.box.x + d.box.w and d.box.y <= y <= d.box.y + d.box.h]
    return max(there, key=lambda d: d.score, default=None)


def public_test(detector: Detector, predictor: Predictor, data: FaceDataset) -> dict[str, float]:
    """Return the share of faces found on the canvas, and accuracies over those found."""
    hits, direct, found = 0, 0, 0
    for image, label in zip(data.images, data.labels, strict=True):
        canvas = on_canvas(image)
        face = best_at(detector.detect(canvas), LEFT + SIDE / 2, TOP + SIDE / 2)
        if face is None:
            continue
        found += 1
        if detector.name == "haar":
            continue
        answers = predictor.predict(np.concatenate([align_faces(canvas, [face]), image[None, None]])).probabilities.argmax(1)
        hits, direct = hits + int(answers[0] == label), direct + int(answers[1] == label)
    result = {"n": float(len(data)), "found": found / len(data)}
    if detector.name != "haar":
        result |= {
            "direct": direct / max(1, found),
            "in_loop": hits / max(1, found),
            "points": 100 * (hits - direct) / max(1, found),
        }
    return result


def clips(detector: Detector, media: Path, yunet: Detector | None, every: int) -> dict[str, float]:
    """Return counts of frames and boxes in the shared clips and in the demo."""
    result: dict[str, float] = {}
    gaps = []
    for name in (*FACE_CLIPS, "no_face.mp4"):
        counts = []
        for frame in itertools.islice(open_source(str(media / name))[0].frames(), 0, None, every):
            found = detector.detect(frame.image)
            counts.append(len(found))
            if yunet is not None and len(found) == 1 and detector.name != "haar" and name in FACE_CLIPS:
                theirs = yunet.detect(frame.image)
                if len(theirs) == 1:
                    ours, other = (np.asarray(d.landmarks, np.float64) for d in (found[0], theirs[0]))
                    gaps.append(np.linalg.norm(ours - other, axis=1).mean() / np.linalg.norm(other[0] - other[1]))
        wanted = 1 if name in FACE_CLIPS else 0
        result[name] = float(np.mean(np.array(counts) == wanted)) if wanted else float(np.sum(counts))
        if wanted:
            result[f"{name} at least one"] = float(np.mean(np.array(counts) >= 1))
    picture = read_picture(media / "five_faces.jpg")
    result["five_faces.jpg"] = float(len(detector.detect(picture))) if picture is not None else float("nan")
    frames = itertools.islice(DemoSource().frames(), 0, int(CYCLE_S * 25), every)
    result["demo"] = float(np.mean([len(detector.detect(frame.image)) == 1 for frame in frames]))
    if gaps:
        result["landmarks"] = float(np.median(gaps))
    return result


def gallery(detector: Detector, faces: Picture, backgrounds: Sequence[Picture], count: int) -> dict[str, float]:
    """Return the share of faces found in galleries of 25, and boxes elsewhere for each, on plain tiles and on pictures."""
    plain = found_in_galleries(detector, faces, plain_tile, count)
    busy = found_in_galleries(detector, faces, lambda random: crop_of(random, backgrounds, TILE), count)
    return {**plain, **{f"{name} on pictures": value for name, value in busy.items()}}


def plain_tile(random: np.random.Generator) -> Picture:
    """Return a tile (H, W) of a grey that changes evenly from left to right, with a little noise."""
    left, right = random.uniform(30, 220, 2)
    tile = np.tile(np.linspace(left, right, TILE[0]), (TILE[1], 1)) + random.normal(0, 3, (TILE[1], TILE[0]))
    return np.clip(tile, 0, 255).astype(np.uint8)


def found_in_galleries(
    detector: Detector, faces: Picture, tile_of: Callable[[np.random.Generator], Picture], count: int
) -> dict[str, float]:
    """Return the share of faces found, and boxes elsewhere for each gallery."""
    random = np.random.default_rng(3)
    found, extra = 0, 0
    for _ in range(count):
        picture = np.zeros((TILES * TILE[1], TILES * TILE[0]), np.uint8)
        centres = []
        for row, column in itertools.product(range(TILES), range(TILES)):
            tile = tile_of(random)
            side = int(random.integers(FACE_PX[0], FACE_PX[1], endpoint=True))
            x, y = int(random.integers(0, TILE[0] - side)), int(random.integers(0, TILE[1] - side))
            face = faces[int(random.integers(len(faces)))]
            tile[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
            top, left = row * TILE[1], column * TILE[0]
            picture[top : top + TILE[1], left : left + TILE[0]] = tile
            centres.append((left + x + side / 2, top + y + side / 2))
        boxes = detector.detect(np.repeat(picture[..., None], 3, axis=2))
        here = sum(best_at(boxes, *centre) is not None for centre in centres)
        found, extra = found + here, extra + max(0, len(boxes) - here)
    return {"found": found / (count * TILES**2), "extra_boxes": extra / count}


def crop_of(random: np.random.Generator, pictures: Sequence[Picture], size: tuple[int, int]) -> Picture:
    """Return a part of one of the pictures (H, W), at ``size``, width and height."""
    picture = pictures[int(random.integers(len(pictures)))]
    height, width = picture.shape
    share = random.uniform(0.4, 1)
    w, h = max(1, int(width * share)), max(1, int(height * share))
    x, y = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
    return np.ascontiguousarray(cv2.resize(picture[y : y + h, x : x + w], size, interpolation=cv2.INTER_AREA), np.uint8)


def hard(detector: Detector, media: Path, yunet: Detector) -> dict[str, float]:
    """Return the share of frames in which a changed face is found, by change."""
    changes: dict[str, Callable[[Picture, Box], Picture]] = {
        "turned 30 left": lambda image, box: turned(image, box, 30),
        "turned 30 right": lambda image, box: turned(image, box, -30),
        "turned 45 left": lambda image, box: turned(image, box, 45),
        "turned 45 right": lambda image, box: turned(image, box, -45),
        "6% brightness": lambda image, box: (image * 0.06).astype(np.uint8),
        "left half covered": lambda image, box: covered(image, box, slice(0, 1), slice(0, 2)),
        "right half covered": lambda image, box: covered(image, box, slice(1, 2), slice(0, 2)),
        "lower half covered": lambda image, box: covered(image, box, slice(0, 2), slice(1, 2)),
    }
    counts: dict[str, list[bool]] = {name: [] for name in changes}
    for name in FACE_CLIPS:
        for frame in itertools.islice(open_source(str(media / name))[0].frames(), 0, None, 24):
            where = yunet.detect(frame.image)
            if len(where) != 1:
                continue
            box = where[0].box
            for change, apply in changes.items():
                found = detector.detect(apply(frame.image, box))
                counts[change].append(best_at(found, box.x + box.w / 2, box.y + box.h / 2) is not None)
    return {name: float(np.mean(found)) for name, found in counts.items()}


def turned(image: Picture, box: Box, degrees: float) -> Picture:
    matrix = cv2.getRotationMatrix2D((box.x + box.w / 2, box.y + box.h / 2), degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)


def covered(image: Picture, box: Box, across: slice, down: slice) -> Picture:
    """Return the image with halves of the box grey: 0 to 1 is the first half, 1 to 2 the second."""
    image = image.copy()
    x = [round(box.x + box.w * k / 2) for k in (across.start, across.stop)]
    y = [round(box.y + box.h * k / 2) for k in (down.start, down.stop)]
    image[max(0, y[0]) : max(0, y[1]), max(0, x[0]) : max(0, x[1])] = 110
    return image


def false_boxes(detector: Detector, pictures: Sequence[Picture], count: int) -> dict[str, float]:
    """Return boxes in every hundred crops without a face."""
    random = np.random.default_rng(4)
    boxes = [len(detector.detect(np.repeat(crop_of(random, pictures, (640, 480))[..., None], 3, axis=2))) for _ in range(count)]
    return {"crops": float(count), "per_hundred": 100 * sum(boxes) / count}


def times(detector: Detector, media: Path, repeats: int) -> dict[str, float]:
    """Return the best ms of processor time of a search at each size, on one thread."""
    picture = read_picture(media / "five_faces.jpg")
    assert picture is not None
    result = {}
    for size in ((320, 240), (640, 480)):
        image = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        seconds = []
        for _ in range(repeats):
            start = time.thread_time()
            detector.detect(image)
            seconds.append(time.thread_time() - start)
        result[f"{size[0]}x{size[1]}"] = 1000 * min(seconds)
    return result


def faceless(folders: Sequence[Path], yunet: Detector | None) -> list[Picture]:
    """Return grey pictures without faces: those of the folders, else drawn ones."""
    if not folders:
        random = np.random.default_rng(5)
        return [procedural(random, 480) for _ in range(100)]
    found = []
    for path in picture_files(folders):
        if not any(folder in path.parents for folder in folders):
            continue  # scikit-image's, which training uses
        picture = read_picture(path)
        if picture is None or min(picture.shape[:2]) < 160:
            continue
        if yunet is None or not yunet.detect(picture):
            found.append(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--votes", type=Path, help="FER+ votes: what is right is then what most people saw")
    parser.add_argument("--media", type=Path, required=True, help="folder with the shared clips")
    parser.add_argument("--pictures", type=Path, action="append", default=[], help="folder of pictures without faces; repeatable")
    parser.add_argument("--detector", type=Path, help="another file of mien train-detector")
    parser.add_argument("--score", type=float, default=OWN_SCORE, help="least score of a face for mien-detect")
    parser.add_argument("--only", help="sections to run, by commas", default="public_test,clips,gallery,hard,false_boxes,time")
    parser.add_argument("--names", help="detectors to run, by commas", default="yunet,mien-detect,haar")
    parser.add_argument("--limit", type=int, default=0, help="PublicTest images to use (0: all)")
    parser.add_argument("--every", type=int, default=1, help="use every so many frames of the clips")
    parser.add_argument("--galleries", type=int, default=20)
    parser.add_argument("--crops", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=60, help="searches that are timed")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    path = find_yunet()
    if path is None:
        raise SystemExit("YuNet is the yardstick here. Download it with: mien doctor --fetch")
    yunet = YuNetDetector(path)
    detectors: list[Detector] = [yunet, OwnDetector(arguments.detector, min_score=arguments.score)]
    if hasattr(cv2, "CascadeClassifier"):
        detectors.append(HaarDetector())
    predictor = Predictor(bundle_path(DEFAULT_BUNDLE), threads=1)
    data = read_dataset(arguments.data).dataset
    whole = data.split("PublicTest")
    votes = read_votes(arguments.votes, whole) if arguments.votes else None
    test = labelled(whole, truths_about(whole, votes, predictor.card.heads, has_fer2013_labels(data))[0])
    test = test.take(np.arange(min(arguments.limit or len(test), len(test))))
    pictures = faceless(arguments.pictures, yunet)
    sections: dict[str, Callable[[Detector], dict[str, float]]] = {
        "public_test": lambda detector: public_test(detector, predictor, test),
        "clips": lambda detector: clips(detector, arguments.media, yunet, arguments.every),
        "gallery": lambda detector: gallery(detector, test.images, pictures, arguments.galleries),
        "hard": lambda detector: hard(detector, arguments.media, yunet),
        "false_boxes": lambda detector: false_boxes(detector, pictures, arguments.crops),
        "time": lambda detector: times(detector, arguments.media, arguments.repeats),
    }
    report: dict[str, Any] = {"faceless_pictures": len(pictures)}
    for section in arguments.only.split(","):
        report[section] = {}
        for detector in detectors:
            if detector.name not in arguments.names.split(","):
                continue
            report[section][detector.name] = numbers = sections[section](detector)
            text = ", ".join(f"{key} {value:.4g}" for key, value in numbers.items())
            print(f"{section:>12} {detector.name:>12}: {text}", flush=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()

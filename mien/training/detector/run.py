"""A complete training run: preparing faces and backgrounds, training the network and writing the ONNX file.

Prepared data is stored in the run's folder, so that a resumed run starts immediately.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.arrays import BROKEN
from mien.data.dataset import FaceDataset
from mien.errors import DataError, UsageError
from mien.files import atomic_path, file_hash, write_json
from mien.preprocess import INPUT_SIZE
from mien.training.detector.backgrounds import picture_files, read_backgrounds
from mien.training.detector.export import export_detector
from mien.training.detector.faces import TaughtFaces, teach_faces
from mien.training.detector.loop import CHECKPOINT, DetectorTrainer, OnRound, averaged, load_detector_checkpoint
from mien.training.detector.network import count_weights
from mien.training.detector.scenes import SCENE, Composer
from mien.training.detector.settings import DetectorSettings
from mien.training.detector.stock import Stock, delete_rounds
from mien.version import git_revision
from mien.vision.weights import YUNET_SHA256
from mien.vision.yunet import YuNetDetector

DETECTOR_FILE: Final = "mien-detect.onnx"
_TEACHER_SCORE: Final = 0.5
_TEACHER_SCENE_SCORE: Final = 0.3
_TRAINED_ON: Final = (
    "Scenes composed of FER2013's Training faces, in which YuNet found boxes and landmarks, and of backgrounds without faces. "
    "It is no cleaner than FER2013: photographs collected from the web, without their people's consent, of unknown terms."
)
_INTENDED: Final = "Finding faces in the pictures of webcams and in recordings, to align and read them on the user's machine."
_EXCLUDED: Final = "Recognising or counting people without their knowledge, surveillance, or any decision about a person."


@dataclass(frozen=True, slots=True)
class Material:
    """Prepared data for scenes.

    Attributes:
        faces: face crops with the teacher's boxes and landmarks.
        backgrounds: (H, W) uint8 pictures without faces.
    """

    faces: TaughtFaces
    backgrounds: list[NDArray[np.uint8]]


OnProgress = Callable[[str, int, int], None]
"""Called with a description of the current task, the number of finished items and their total."""


def train_detector(
    dataset: FaceDataset,
    folders: Sequence[Path],
    teacher: Path,
    settings: DetectorSettings,
    out: Path,
    command: str,
    resume: bool = False,
    limit: int = 0,
    on_progress: OnProgress = lambda what, done, total: None,
    on_round: OnRound = lambda done, loss: None,
) -> dict[str, Any]:
    """Train the detector and write ``mien-detect.onnx`` with its card; return the card.

    Args:
        dataset: the dataset; only its Training images are used.
        folders: folders of background pictures; scikit-image's pictures are used as well.
        teacher: path of YuNet's file.
        settings: settings of the run.
        out: folder of the run.
        command: command line for the card.
        resume: continue the run in ``out``.
        limit: maximum number of faces; 0 for all.
        on_progress: called during preparation.
        on_round: called after each round.

    Raises:
        UsageError: ``out`` contains a run and ``resume`` is False, or it contains none and ``resume`` is True.
        KeyboardInterrupt: a stop was requested; finished rounds are saved.
    """
    checkpoint = out / CHECKPOINT
    if checkpoint.is_file() and not resume:
        raise UsageError(f"there is a run in {out}. Continue it with --resume, or choose another --out")
    cv2.setNumThreads(1)
    training = dataset.split("Training")
    if limit:
        training = training.take(np.arange(min(limit, len(training))))
    files = picture_files(folders)
    facts = {"dataset_hash": training.content_hash(), "backgrounds": _hash_of(files), "command": command, "limit": limit}
    trainer = DetectorTrainer(settings, out, facts)
    scenes = out / "scenes"
    if resume:
        trainer.resume()
    else:
        delete_rounds(scenes)  # of a run with other settings that was stopped before its first checkpoint
    if settings.rounds <= trainer.rounds_done:
        delete_rounds(scenes)
        return export_run(out)
    material = _prepared(training, files, teacher, out, facts, on_progress)
    facts |= {"faces": len(material.faces), "pictures": len(material.backgrounds)}
    scene_teacher = YuNetDetector(teacher, max_side=SCENE, min_score=_TEACHER_SCENE_SCORE)
    first = max(0, trainer.rounds_done - settings.window)
    stock = Stock(
        scenes,
        _scenes_key(facts, settings),
        range(first, settings.rounds),
        settings.round_scenes,
        settings.window,
        Composer(material.faces, material.backgrounds, settings.seed, scene_teacher),
    )
    try:
        trainer.run(stock, on_round)
    finally:
        stock.close()
    delete_rounds(scenes)
    return export_run(out)


def export_run(out: Path) -> dict[str, Any]:
    """Write ``mien-detect.onnx`` and its card ``mien-detect.json`` from the run in ``out``; return the card.

    Raises:
        UsageError: there is no run.
        BundleError: its checkpoint is broken.
    """
    state = load_detector_checkpoint(out / CHECKPOINT)
    network = averaged(state["average"])
    facts, settings = state["facts"], state["settings"]
    card = {
        "name": "mien-detect",
        "input": "image uint8 (height, width, channels), grey or colour, any size",
        "outputs": "scores (C,); boxes (C, 4) left, top, width, height; landmarks (C, 5, 2); pixels; choose among overlaps",
        "landmarks": ["right eye", "left eye", "nose tip", "right mouth corner", "left mouth corner"],
        "parameters": count_weights(network),
        "trained_on": _TRAINED_ON,
        "faces": facts.get("faces", 0),
        "background_pictures": facts.get("pictures", 0),
        "teacher": f"YuNet, sha256 {YUNET_SHA256}",
        "dataset_hash": facts["dataset_hash"],
        "backgrounds_hash": facts["backgrounds"],
        "command": facts["command"],
        "git_revision": git_revision(),
        "settings": settings,
        "rounds_done": state["rounds_done"],
        "licence": "MIT",
        "intended_use": _INTENDED,
        "excluded_use": _EXCLUDED,
    }
    target = out / DETECTOR_FILE
    export_detector(network, card, target)
    write_json(target.with_suffix(".json"), {"sha256": file_hash(target), "card": card})
    return card


def _prepared(
    training: FaceDataset, files: Sequence[Path], teacher: Path, out: Path, facts: dict[str, Any], on_progress: OnProgress
) -> Material:
    """Prepare the material, or load it from the run's folder if it was prepared from the same data."""
    kept = out / "material.npz"
    key = f"{facts['dataset_hash']} {facts['backgrounds']}"
    if kept.is_file():
        try:
            found = _read_material(kept, key)
        except (OSError, ValueError, AttributeError, *BROKEN) as error:
            raise DataError(f"{kept} is broken ({error}). Delete it; it will be created again") from error
        if found is not None:
            return found
    looking = YuNetDetector(teacher, min_score=_TEACHER_SCORE)
    faces = teach_faces(training.images, looking, lambda done, total: on_progress("finding landmarks", done, total))
    pictures = read_backgrounds(files, looking, lambda done, total: on_progress("reading backgrounds", done, total))
    with atomic_path(kept) as temporary, temporary.open("wb") as handle:
        np.savez(
            handle,
            key=np.array(key),
            images=faces.images,
            boxes=faces.boxes,
            landmarks=faces.landmarks,
            **{f"background{k:05d}": picture for k, picture in enumerate(pictures)},  # type: ignore[arg-type]
        )
    return Material(faces, pictures)


def _read_material(path: Path, key: str) -> Material | None:
    """Return the stored material; None if it was prepared from other data.

    Raises:
        OSError, ValueError, AttributeError: the file is damaged or holds something else; likewise ``BROKEN``.
    """
    with path.open("rb") as handle, np.load(handle) as stored:
        if str(stored["key"]) != key:
            return None
        faces = TaughtFaces(stored["images"], stored["boxes"], stored["landmarks"])
        pictures = [stored[name] for name in stored.files if name.startswith("background")]
    n = len(faces)
    if (faces.images.shape, faces.boxes.shape, faces.landmarks.shape) != ((n, INPUT_SIZE, INPUT_SIZE), (n, 4), (n, 5, 2)):
        raise ValueError("the shapes of faces, boxes and landmarks do not match")
    if any(picture.ndim != 2 or picture.dtype != np.uint8 for picture in (*pictures, *faces.images)):
        raise ValueError("a picture is not grey")
    return Material(faces, pictures)


def _scenes_key(facts: dict[str, Any], settings: DetectorSettings) -> str:
    """Return a short hash of everything that the scenes of a round depend on."""
    text = f"{facts['dataset_hash']} {facts['backgrounds']} {settings.seed} {settings.round_scenes}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _hash_of(files: Sequence[Path]) -> str:
    """Return a hash of the pictures' names and sizes; hashing their content would take minutes."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} {path.stat().st_size}\n".encode(errors="replace"))
    return digest.hexdigest()

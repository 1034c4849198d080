"""The card that travels inside a model bundle: what it is, how it was made, how good it is.

A bundle is one ONNX file; its card is JSON in the file's metadata under ``METADATA_KEY``.
This module reads and checks cards and knows nothing of ONNX.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.preprocess import INPUT_SIZE, PREPROCESS_VERSION

METADATA_KEY: Final = "mien_card"

INTENDED_USE: Final = (
    "Reading the facial expression (not the feeling) of faces in images and video, on the user's own machine, "
    "for research, teaching tools and software development."
)
EXCLUDED_USE: Final = "Grading, discipline, hiring, proctoring, covert observation, or any decision about a person."


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Facts about one bundle.

    Attributes:
        name: the bundle's name.
        labels: class names in the order of the probabilities.
        input_size: width and height of a crop in pixels.
        preprocess_version: the version of ``mien.preprocess`` it was made for.
        dataset_hash: content hash of the whole data set it was trained on.
        git_revision: revision of the code that trained it.
        command: the command that trained it.
        parameters: number of trained parameters.
        multiply_adds: of convolutions and matrices, for one face.
        precision: fp32; fp16 where weights are stored in 16 bits; int8 where it computes in 8-bit integers.
        temperature: calibration temperature that is inside the graph.
        metrics: by split: n, accuracy (0 to 1), accuracy_ci (95 %, Wilson), macro_f1, ece.
        training: the settings of the run, or of each run of a committee.
        export: how the bundle's answers differ from the trained network's: images, max_gap,
            same_answer, accuracy_change.
        data_steps: version and settings of every step from a file to the network (``mien.data.manifest``).
        uncertain_below: confidence, 0 to 1, below which an answer should be shown as uncertain; 0 where unknown
            (``mien.evaluation.selective``).
        licence: SPDX name.
        intended_use: what it is for.
        excluded_use: what it must not be used for.
    """

    name: str
    labels: tuple[str, ...]
    input_size: int
    preprocess_version: str
    dataset_hash: str
    git_revision: str
    command: str
    parameters: int
    temperature: float
    metrics: dict[str, dict[str, Any]]
    multiply_adds: int = 0
    precision: str = "fp32"
    training: list[dict[str, Any]] = field(default_factory=list)
    export: dict[str, Any] = field(default_factory=dict)
    data_steps: dict[str, Any] = field(default_factory=dict)
    uncertain_below: float = 0.0
    licence: str = "MIT"
    intended_use: str = INTENDED_USE
    excluded_use: str = EXCLUDED_USE

    def to_json(self) -> str:
        """Return the card as one JSON document."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)


def read_card(text: str | None, where: str) -> ModelCard:
    """Return the card in ``text``, checked to fit this program.

    Args:
        text: the metadata's value, None where the file has none.
        where: how errors name the bundle.

    Raises:
        BundleError: no card, a broken one, or one for other classes, size or preprocessing.
    """
    if not text:
        raise BundleError(f"{where} is an ONNX file without a card: not a Mien bundle. Make one with: mien export")
    try:
        values: dict[str, Any] = json.loads(text)
        known = {f.name for f in fields(ModelCard)}
        chosen: dict[str, Any] = {k: tuple(v) if k == "labels" else v for k, v in values.items() if k in known}
        card = ModelCard(**chosen)
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise BundleError(f"{where} carries a broken card ({error})") from error
    if card.labels != EMOTIONS:
        raise BundleError(f"{where} was made for the classes {list(card.labels)}, this program reads {list(EMOTIONS)}")
    if card.input_size != INPUT_SIZE:
        raise BundleError(f"{where} takes faces of {card.input_size} pixels, this program makes {INPUT_SIZE}")
    if card.preprocess_version != PREPROCESS_VERSION:
        raise BundleError(
            f"{where} was made for preprocessing {card.preprocess_version}, this program does {PREPROCESS_VERSION}. "
            "Export it anew"
        )
    return card

"""The model card inside a bundle: identity, training, metrics and intended use.

A bundle is one ONNX file; its card is JSON in the file's metadata under ``METADATA_KEY``. This
module parses and validates cards and knows nothing about ONNX.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from mien.card_values import check_card_values
from mien.documents import parse_json, record_from
from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.preprocess import INPUT_SIZE, PREPROCESS_VERSION

METADATA_KEY: Final = "mien_card"

PEOPLE: Final = "people"
"""The people head: predicts what people see; trained on the distribution of ten votes per image."""
FER2013: Final = "fer2013"
"""The label head: predicts FER2013's label."""

FER2013_OUTPUT: Final = "fer2013_probabilities"
"""Name of the graph's output of the label head, in bundles with two heads."""
HEADS: Final = ((PEOPLE, FER2013), (PEOPLE,), (FER2013,))
"""The allowed combinations of heads; the first head is the one used live."""

INTENDED_USE: Final = (
    "Reading the facial expression (not the feeling) of faces in images and video, on the user's own machine, "
    "for research, teaching tools and software development."
)
EXCLUDED_USE: Final = "Grading, discipline, hiring, proctoring, covert observation, or any decision about a person."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Facts about a bundle.

    Attributes:
        name: the bundle's name.
        labels: class names in the order of the probabilities.
        input_size: width and height of a crop in pixels.
        preprocess_version: required version of ``mien.preprocess``.
        dataset_hash: content hash of the whole data set that the model was trained on.
        git_revision: revision of the code that trained the model.
        command: command that trained the model.
        parameters: number of parameters.
        temperature: calibration temperature of ``probabilities``, applied inside the graph.
        metrics: results by split, as printed by ``mien evaluate``, with the metrics by truth under ``truths``.
        multiply_adds: multiply-adds of convolutions and linear layers for one face.
        precision: ``fp32``, ``fp16`` (16-bit weights) or ``int8`` (8-bit arithmetic).
        training: settings and history of the run, or of each run of an ensemble.
        export: differences between the bundle's and the network's outputs: images, max_gap, same_answer,
            accuracy_change.
        data_steps: version and settings of every data processing step (``mien.data.manifest``).
        uncertain_below: by class, the confidence, 0 to 1, below which a prediction is shown as uncertain; 0 if unknown
            (``mien.evaluation.calibration``).
        heads: the heads in the graph; ``probabilities`` belong to the first one.
        fer2013_temperature: calibration temperature of ``fer2013_probabilities``, applied inside the graph; 0 without them.
        logit_adjustment: share of the log prior that is subtracted from the people head's logits inside the graph
            (Menon et al. 2021, arXiv:2007.07314).
        logit_offsets: the subtracted values by class.
        licence: SPDX identifier.
        intended_use: permitted uses.
        excluded_use: prohibited uses.
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
    uncertain_below: dict[str, float] = field(default_factory=lambda: dict.fromkeys(EMOTIONS, 0.0))
    heads: tuple[str, ...] = (FER2013,)
    fer2013_temperature: float = 0.0
    logit_adjustment: float = 0.0
    logit_offsets: dict[str, float] = field(default_factory=lambda: dict.fromkeys(EMOTIONS, 0.0))
    licence: str = "MIT"
    intended_use: str = INTENDED_USE
    excluded_use: str = EXCLUDED_USE

    def to_json(self) -> str:
        """Return the card as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)


def results_by_truth(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of one split by truth; those of version 0.1 are against FER2013's labels."""
    return dict(numbers["truths"]) if "truths" in numbers else {FER2013: numbers}


def read_card(text: str | None, where: str) -> ModelCard:
    """Parse a card and check that it is compatible with this version.

    Args:
        text: value of the metadata, None if missing.
        where: name of the bundle in errors.

    Raises:
        BundleError: the card is missing or broken, or its heads, classes, input size or preprocessing differ.
    """
    if not text:
        raise BundleError(f"{where} is an ONNX file without a model card, not a Mien bundle. Create one with: mien export")
    try:
        values = parse_json(text)
        if isinstance(values, dict) and not isinstance(values.get("uncertain_below", {}), dict):
            values["uncertain_below"] = dict.fromkeys(EMOTIONS, values["uncertain_below"])  # one value in version 0.1
        card = record_from(ModelCard, values, "the card")
        check_card_values(card.metrics, card.training, card.export, card.data_steps)
        _check_numbers(card)
    except ValueError as error:
        raise BundleError(f"{where} has a broken model card ({error}). Export it again") from error
    if card.heads not in HEADS:
        raise BundleError(f"{where} has the heads {list(card.heads)}; supported are {[list(heads) for heads in HEADS]}")
    if card.labels != EMOTIONS:
        raise BundleError(f"{where} has the classes {list(card.labels)}; this version has {list(EMOTIONS)}")
    if card.input_size != INPUT_SIZE:
        raise BundleError(f"{where} takes faces of {card.input_size} pixels; this version uses {INPUT_SIZE}")
    if card.preprocess_version != PREPROCESS_VERSION:
        raise BundleError(
            f"{where} requires version {card.preprocess_version} of preprocessing; this version has {PREPROCESS_VERSION}. "
            "Export it again"
        )
    return card


def _check_numbers(card: ModelCard) -> None:
    """Check the ranges of numbers.

    Raises:
        ValueError: a number is out of range.
    """
    for name in ("uncertain_below", "logit_offsets"):
        if set(getattr(card, name)) != set(EMOTIONS):
            raise ValueError(f"{name} must have the seven classes")
    if wrong := [value for value in card.uncertain_below.values() if not 0 <= value <= 1]:
        raise ValueError(f"uncertain_below holds {wrong[0]}; it must be 0 to 1")
    if card.temperature <= 0 or card.fer2013_temperature < 0:
        raise ValueError(
            f"temperature is {card.temperature}, fer2013_temperature {card.fer2013_temperature}; they must be positive"
        )

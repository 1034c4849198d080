"""Files of a candidate bundle: the bundle, its lineage with the gate results, and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from mien.documents import load_json, record_from
from mien.errors import BundleError, DataError
from mien.evaluation.truths import TRUTHS
from mien.files import file_hash, write_json, write_text
from mien.pages import render
from mien.retraining.gates import Gate
from mien.words import exact_percent

BUNDLE_NAME: Final = "candidate.onnx"
RECORD_NAME: Final = "candidate.lineage.json"
PAGE_NAME: Final = "candidate.html"
FORMAT: Final = "mien-candidate-1"
_IMAGES_OF_GATE: Final = {"new faces better": "the held-out new faces", "PublicTest not worse": "PublicTest"}
"""Images on which the accuracy gates are measured, by the start of the gate's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A bundle that may replace the deployed one.

    Attributes:
        bundle: path of the ONNX file.
        sha256: hash of that file when it was evaluated.
        parent: name of the bundle it was fine-tuned from.
        parent_sha256: hash of the parent's file.
        passed: whether all gates passed.
        failed: sentences of the failed gates.
    """

    bundle: Path
    sha256: str
    parent: str
    parent_sha256: str
    passed: bool
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Gate:
    """A gate result in the lineage file."""

    passed: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class _Parent:
    """The bundle that a candidate was fine-tuned from."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class _Record:
    """The fields of a lineage file that are read."""

    format: Literal["mien-candidate-1"]
    sha256: str
    parent: _Parent
    passed: bool
    gates: list[_Gate]


def write_candidate(folder: Path, lineage: Mapping[str, Any], gates: Sequence[Gate]) -> Candidate:
    """Write the lineage of ``candidate.onnx`` beside it, as a page and as JSON, which makes the candidate complete.

    Args:
        folder: folder of the bundle.
        lineage: origin of the candidate as plain values; must contain ``parent`` (``name``, ``sha256``), ``request``
            and ``data``.
        gates: the gate results.
    """
    passed = all(gate.passed for gate in gates)
    record = {
        "format": FORMAT,
        "sha256": file_hash(folder / BUNDLE_NAME),
        "passed": passed,
        "gates": [gate.as_dict() for gate in gates],
        **lineage,
    }
    write_text(folder / PAGE_NAME, _page(record))
    write_json(folder / RECORD_NAME, record)
    return read_candidate(folder)


def read_candidate(place: Path) -> Candidate:
    """Return a candidate from its folder, or from its lineage file.

    Raises:
        DataError: there is no candidate, or the lineage file is broken.
        BundleError: the bundle is not the one that was evaluated.
    """
    path = place / RECORD_NAME if place.is_dir() else place
    try:
        record = record_from(_Record, load_json(path), "the record")
    except OSError as error:
        raise DataError(f"no candidate at {place}: {error.strerror}. Create one with: mien retrain") from error
    except ValueError as error:
        raise DataError(f"{path} is not the lineage of a candidate ({error}). Create one with: mien retrain") from error
    found = Candidate(
        bundle=path.parent / BUNDLE_NAME,
        sha256=record.sha256,
        parent=record.parent.name,
        parent_sha256=record.parent.sha256,
        passed=record.passed and all(gate.passed for gate in record.gates),
        failed=tuple(gate_text(gate.sentence) for gate in record.gates if not gate.passed),
    )
    if file_hash(found.bundle) != found.sha256:
        raise BundleError(f"{found.bundle} is not the bundle that was evaluated: its SHA-256 differs. Run mien retrain again")
    return found


def gate_text(sentence: str) -> str:
    """Return a gate's sentence without the result; in older records the sentence ends with it.

    >>> gate_text("accuracy: 70.0% before, 50.0% after. Failed")
    'accuracy: 70.0% before, 50.0% after'
    """
    return sentence.removesuffix(". Passed").removesuffix(". Failed")


def _in_words(gate: str) -> str:
    """Return a gate's name with the truth in words.

    >>> _in_words("PublicTest not worse, fer2013"), _in_words("new faces better")
    ('PublicTest not worse, FER2013 labels', 'new faces better')
    """
    name, comma, truth = gate.rpartition(", ")
    return name + comma + TRUTHS.get(truth, truth)


def _page(record: Mapping[str, Any]) -> str:
    """Return the candidate's page."""
    gates = [
        (
            _in_words(gate["name"]),
            "passed" if gate["passed"] else "FAILED",
            *(f"{gate[part]:.3f}" for part in ("before", "after", "noise")),
        )
        for gate in record["gates"]
    ]
    numbers = [
        (
            f"{exact_percent(gate['before'])} → {exact_percent(gate['after'])}",
            f"accuracy on {_in_words(gate['name']).replace(what, images)}",
        )
        for gate in record["gates"]
        for what, images in _IMAGES_OF_GATE.items()
        if gate["name"].startswith(what)
    ]
    failed = sum(not gate["passed"] for gate in record["gates"])
    return render(
        "candidate.html", record=record, data=record["data"], gates=gates, numbers=numbers, failed=failed, record_name=RECORD_NAME
    )

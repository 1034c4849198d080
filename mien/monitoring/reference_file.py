"""Reference files: an archive of arrays beside the bundle, validated when read.

The archive is NumPy's ``.npz``, read without pickle. It identifies the bundle by hash, since embeddings
of different bundles are not comparable.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.arrays import read_arrays
from mien.documents import conform, parse_json, record_from
from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.files import atomic_path
from mien.monitoring.accuracy_estimate import AccuracyModel
from mien.monitoring.baseline import Baseline
from mien.monitoring.calibration import DriftCalibration
from mien.monitoring.detectors import DETECTORS_OF
from mien.monitoring.features import COLUMNS, COMPONENTS, FEATURES, FREQUENCIES, LEVELS, FeatureMap
from mien.monitoring.reference import Reference

VERSION: Final = 2
"""Format version, incremented when the meaning of the arrays changes."""
MAX_BYTES: Final = 500_000
_MAX_UNPACKED_BYTES: Final = 4 << 20
_MAX_VALUE: Final = 1e6
"""Largest absolute value accepted; distances, quantiles, scores and features are far below."""
_MAX_DEPTH: Final = 65536
"""Largest dimension of an embedding."""
_TEXTS: Final = ("bundle", "bundle_sha256", "source", "dataset_hash")
_DETECTORS: Final = {scope: list(names) for scope, names in DETECTORS_OF.items()}
_ADVICE: Final = "Make it again with: mien monitor reference"


def reference_path(bundle: Path) -> Path:
    """Return the path of a bundle's reference, beside the bundle."""
    return bundle.with_suffix(".reference.npz")


def write_reference(target: Path, reference: Reference) -> None:
    """Write a reference atomically; equal references give equal bytes.

    Raises:
        DataError: the file would exceed ``MAX_BYTES``.
    """
    features, accuracy = reference.features, reference.accuracy
    facts: dict[str, Any] = {
        "version": VERSION,
        **{name: getattr(reference, name) for name in _TEXTS},
        "faces": reference.faces,
        "repeat_s": reference.repeat_s,
        "seed": features.seed,
        "width": features.width,
        "columns": list(COLUMNS),
        "detectors": _DETECTORS,
        "labels": list(EMOTIONS),
        "accuracy_errors": dict(accuracy.errors) if accuracy else None,
    }
    arrays: dict[str, NDArray[Any]] = {
        "facts": np.frombuffer(json.dumps(facts, ensure_ascii=False, allow_nan=False).encode(), np.uint8),
        "centre": features.centre.astype(np.float32),
        "components": features.components.astype(np.float32),
        "grid": features.grid.astype(np.float32),
        "known": features.known,
        "means": reference.baseline.means.astype(np.float32),
        "shares": reference.baseline.shares.astype(np.float64),
        "label_shares": reference.label_shares if reference.knows_labels else np.empty(0),
        **{f"scores_{scope}": found.scores.astype(np.float16) for scope, found in reference.calibrations.items()},
        "accuracy": accuracy.weights if accuracy else np.empty(0),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    if buffer.tell() > MAX_BYTES:
        raise DataError(
            f"the reference for {target} would be {buffer.tell():,} bytes; the limit is {MAX_BYTES:,}. Use fewer runs or steps"
        )
    with atomic_path(target) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_reference(path: Path, bundle_sha256: str) -> Reference:
    """Return the validated reference in ``path``.

    Args:
        path: the file.
        bundle_sha256: hash of the bundle in use.

    Raises:
        DataError: the file is missing, incomplete or invalid, or belongs to another version or bundle.
    """
    arrays = _arrays(path)
    try:
        facts: dict[str, Any] = conform(parse_json(arrays.pop("facts").tobytes()), dict[str, Any], "facts")
        version, owner = facts["version"], facts["bundle_sha256"]
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is not a drift reference ({error}). {_ADVICE}") from error
    if version != VERSION:
        raise DataError(f"{path} is a reference of version {version!r}; this version of Mien reads {VERSION}. {_ADVICE}")
    if owner != bundle_sha256:
        raise DataError(
            f"{path} is the reference of another bundle ({facts.get('bundle')!r}, SHA-256 {str(owner)[:12]}…; in use: "
            f"{bundle_sha256[:12]}…). {_ADVICE}"
        )
    _check(path, facts, arrays)
    known = arrays["known"] != 0
    features = FeatureMap(facts["seed"], facts["width"], arrays["centre"], arrays["components"], arrays["grid"], known)
    has_labels, has_accuracy = len(arrays["label_shares"]) > 0, len(arrays["accuracy"]) > 0
    return Reference(
        **{name: facts[name] for name in _TEXTS},
        faces=facts["faces"],
        repeat_s=facts["repeat_s"],
        features=features,
        baseline=Baseline(arrays["means"].astype(np.float64), arrays["shares"]),
        label_shares=arrays["label_shares"] if has_labels else np.full(len(EMOTIONS), np.nan),
        calibrations={
            scope: DriftCalibration(arrays[f"scores_{scope}"].astype(np.float32))
            for scope in DETECTORS_OF
            if f"scores_{scope}" in arrays
        },
        accuracy=AccuracyModel(arrays["accuracy"], facts["accuracy_errors"] or {}) if has_accuracy else None,
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return all arrays of a complete archive of numbers."""
    try:
        return read_arrays(path, MAX_BYTES, _MAX_UNPACKED_BYTES)
    except OSError as error:
        raise DataError(f"cannot read the drift reference {path} ({error.strerror or error}). {_ADVICE}") from error
    except ValueError as error:
        raise DataError(f"{path} is not a complete drift reference ({error}). {_ADVICE}") from error


@dataclass(frozen=True, slots=True)
class _Facts:
    """The scalars of a reference file."""

    bundle: str
    bundle_sha256: str
    source: str
    dataset_hash: str
    faces: int
    seed: int
    width: float
    repeat_s: float | None
    accuracy_errors: dict[str, float] | None

    def __post_init__(self) -> None:
        least = {"faces": 0, "seed": 0, "width": 1e-6, "repeat_s": 1e-6}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= 1e9:
                raise ValueError(f"{name} is {value}")


def _check(path: Path, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Check facts and arrays for consistency, shape and range."""

    def refuse(what: str) -> DataError:
        return DataError(f"{path} cannot be used as a drift reference: {what}. {_ADVICE}")

    if (facts.get("columns"), facts.get("detectors"), facts.get("labels")) != (list(COLUMNS), _DETECTORS, list(EMOTIONS)):
        raise refuse("it has other columns, detectors or classes than this version of Mien")
    try:
        record_from(_Facts, facts, "facts")
    except ValueError as error:
        raise refuse(str(error)) from error
    depth = arrays["centre"].size if "centre" in arrays else 0
    classes, columns = len(EMOTIONS), len(COLUMNS)
    shapes: dict[str, set[tuple[int, ...]]] = {
        "centre": {(depth,)},
        "components": {(COMPONENTS, depth)},
        "grid": {(columns, LEVELS)},
        "known": {(columns,)},
        "means": {(classes, FEATURES)},
        "shares": {(classes,)},
        "label_shares": {(classes,), (0,)},
        "accuracy": {(2 * FREQUENCIES + 1,), (0,)},
    }
    for name, allowed in shapes.items():
        if name not in arrays or arrays[name].shape not in allowed:
            found = arrays[name].shape if name in arrays else "missing"
            raise refuse(f"the array {name} is {found}, expected {max(allowed)}")
    sizes = {name: values.shape for name, values in arrays.items() if name.startswith("scores_")}
    known = {f"scores_{scope}": len(names) for scope, names in DETECTORS_OF.items()}
    if not sizes or any(len(shape) != 3 or not all(shape) or known.get(name) != shape[2] for name, shape in sizes.items()):
        raise refuse(f"its calibration is missing or does not fit ({sizes})")
    for name, values in arrays.items():
        if not (abs(values.astype(np.float64)) <= _MAX_VALUE).all():
            raise refuse(f"the array {name} has values that are too large or not finite")
    if not 0 < depth <= _MAX_DEPTH or (arrays["shares"] < 0).any() or abs(float(arrays["shares"].sum()) - 1) > 1e-3:
        raise refuse("its shares of expressions do not sum to 1")

"""References as files: one archive of plain arrays beside its bundle, written once, never trusted when read.

The archive is numpy's (``.npz``), read without pickle, so a file can hold numbers and nothing
else. It names the bundle by hash: distances between embeddings of two models mean nothing.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.files import atomic_path
from mien.monitoring.accuracy_estimate import AccuracyModel
from mien.monitoring.baseline import Baseline
from mien.monitoring.calibration import Calibration
from mien.monitoring.features import COLUMNS, COMPONENTS, FEATURES, FREQUENCIES, LEVELS, FeatureMap
from mien.monitoring.reference import Reference
from mien.monitoring.sight import DETECTORS_OF

VERSION: Final = 2
"""Changes with any change of what the arrays mean."""
MAX_BYTES: Final = 500_000
_TEXTS: Final = ("bundle", "bundle_sha256", "source", "dataset_hash")
_DETECTORS: Final = {sight: list(names) for sight, names in DETECTORS_OF.items()}
_ADVICE: Final = "Make it anew with: mien monitor reference"


def reference_path(bundle: Path) -> Path:
    """Return where the reference of a bundle stands: beside it."""
    return bundle.with_suffix(".reference.npz")


def write_reference(target: Path, reference: Reference) -> None:
    """Write a reference, atomically; the same reference gives the same bytes."""
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
    known_labels = np.isfinite(reference.label_shares).all()
    arrays: dict[str, NDArray[Any]] = {
        "facts": np.frombuffer(json.dumps(facts, ensure_ascii=False, allow_nan=False).encode(), np.uint8),
        "centre": features.centre.astype(np.float32),
        "components": features.components.astype(np.float32),
        "grid": features.grid.astype(np.float32),
        "known": features.known,
        "means": reference.baseline.means.astype(np.float32),
        "shares": reference.baseline.shares.astype(np.float64),
        "label_shares": reference.label_shares if known_labels else np.empty(0),
        **{f"scores_{sight}": found.scores.astype(np.float16) for sight, found in reference.calibrations.items()},
        "accuracy": accuracy.weights if accuracy else np.empty(0),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    if buffer.tell() > MAX_BYTES:
        raise DataError(f"the reference for {target} would be {buffer.tell():,} bytes; {MAX_BYTES:,} is the most. Simulate less")
    with atomic_path(target) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_reference(path: Path, bundle_sha256: str) -> Reference:
    """Return the reference in ``path``, checked to be whole and to belong to a bundle.

    Args:
        path: the file.
        bundle_sha256: of the bundle that is running.

    Raises:
        DataError: no such file, cut short, values that are not numbers, another version, or another bundle's.
    """
    arrays = _arrays(path)
    try:
        facts: dict[str, Any] = json.loads(arrays["facts"].tobytes())
        version, owner = facts["version"], facts["bundle_sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a drift reference ({type(error).__name__}). {_ADVICE}") from error
    if version != VERSION:
        raise DataError(f"{path} is a reference of version {version!r}, this program reads {VERSION}. {_ADVICE}")
    if owner != bundle_sha256:
        raise DataError(
            f"{path} is the reference of another model ({facts.get('bundle')!r}, SHA-256 {str(owner)[:12]}…; running is "
            f"{bundle_sha256[:12]}…). {_ADVICE}"
        )
    _check(path, facts, arrays)
    features = FeatureMap(facts["seed"], facts["width"], arrays["centre"], arrays["components"], arrays["grid"], arrays["known"])
    has_labels, has_accuracy = len(arrays["label_shares"]) > 0, len(arrays["accuracy"]) > 0
    return Reference(
        **{name: facts[name] for name in _TEXTS},
        faces=facts["faces"],
        repeat_s=facts["repeat_s"],
        features=features,
        baseline=Baseline(arrays["means"].astype(np.float64), arrays["shares"]),
        label_shares=arrays["label_shares"] if has_labels else np.full(len(EMOTIONS), np.nan),
        calibrations={
            sight: Calibration(arrays[f"scores_{sight}"].astype(np.float32))
            for sight in DETECTORS_OF
            if f"scores_{sight}" in arrays
        },
        accuracy=AccuracyModel(arrays["accuracy"], facts["accuracy_errors"] or {}) if has_accuracy else None,
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return all arrays of a file that is a whole archive of numbers."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{path} has {size:,} bytes; a reference has at most {MAX_BYTES:,}. {_ADVICE}")
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise DataError(f"cannot read the drift reference {path} ({error.strerror or error}). {_ADVICE}") from error
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, AttributeError, NotImplementedError, RuntimeError) as error:
        reason = type(error).__name__
        raise DataError(f"{path} is not a whole drift reference ({reason}): cut short or damaged. {_ADVICE}") from error
    return arrays


def _check(path: Path, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse facts and arrays that do not fit one another, this program, or arithmetic."""

    def refuse(what: str) -> DataError:
        return DataError(f"{path} cannot be used as a drift reference: {what}. {_ADVICE}")

    if (facts.get("columns"), facts.get("detectors"), facts.get("labels")) != (list(COLUMNS), _DETECTORS, list(EMOTIONS)):
        raise refuse("it was made for other columns, detectors or classes than this program has")
    numbers = {"seed": int, "width": float, "faces": int}
    for name, kind in numbers.items():
        if not isinstance(facts.get(name), kind) or isinstance(facts[name], bool) or not facts[name] >= 0:
            raise refuse(f"{name} is {facts.get(name)!r}")
    if not facts["width"] > 0 or not all(isinstance(facts.get(name), str) for name in _TEXTS):
        raise refuse("its facts are incomplete")
    if facts.get("repeat_s") is not None and not (isinstance(facts["repeat_s"], int | float) and facts["repeat_s"] > 0):
        raise refuse(f"repeat_s is {facts['repeat_s']!r}")
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
    known = {f"scores_{sight}": len(names) for sight, names in DETECTORS_OF.items()}
    if not sizes or any(len(shape) != 3 or not all(shape) or known.get(name) != shape[2] for name, shape in sizes.items()):
        raise refuse(f"its calibration is missing or does not fit ({sizes})")
    for name, values in arrays.items():
        if not (np.issubdtype(values.dtype, np.number) or values.dtype == np.bool_) or not np.isfinite(values).all():
            raise refuse(f"the array {name} holds values that are not numbers")
    if not depth or (arrays["shares"] < 0).any() or abs(float(arrays["shares"].sum()) - 1) > 1e-3:
        raise refuse("its shares of expressions do not add up to 1")

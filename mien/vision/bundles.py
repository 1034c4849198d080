"""Model bundles as files: where they are, what stands beside them, whether they are whole.

A bundle is one ONNX file. Beside it stands a JSON file of the same name with its SHA-256,
its card, and the evaluations that were made of it afterwards; those cannot stand inside
without changing the file that was evaluated.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, Final

from mien.errors import BundleError, DataError
from mien.files import file_hash, refuse_large, write_json
from mien.modelcard import ModelCard
from mien.vision.promoted import promoted_bundle

DEFAULT_BUNDLE: Final = "mien-s"
_MAX_RECORD_BYTES: Final = 16 * 1024 * 1024


def bundle_names() -> list[str]:
    """Return the names of the bundles in the package, the default one first."""
    found = sorted(Path(entry.name).stem for entry in _packaged().iterdir() if entry.name.endswith(".onnx"))
    return sorted(found, key=lambda name: name != DEFAULT_BUNDLE)


def bundle_path(name_or_path: str) -> Path:
    """Return the file of a bundle: by name the one that was promoted to it, or the packaged one; else the path itself.

    Raises:
        DataError: there is no such name and no such file.
        BundleError: what was promoted is gone.
    """
    packaged = packaged_bundle(name_or_path)
    if packaged.is_file():
        return promoted_bundle(name_or_path) or packaged
    path = Path(name_or_path)
    if not path.is_file():
        raise DataError(
            f"no model bundle at {path}, and none called {name_or_path!r} in the package ({', '.join(bundle_names())})"
        )
    return path


def packaged_bundle(name: str) -> Path:
    """Return where the package has, or would have, the bundle of that name, whatever was promoted."""
    return _packaged() / f"{name}.onnx"


def write_record(bundle: Path, card: ModelCard) -> None:
    """Write the JSON file beside a new bundle."""
    write_json(_record_path(bundle), {"sha256": file_hash(bundle), "card": asdict(card), "evaluations": {}})


def read_record(bundle: Path) -> dict[str, Any] | None:
    """Return what stands beside a bundle: ``sha256``, ``card``, ``evaluations`` by split; None without such a file.

    Raises:
        BundleError: the file is broken, or belongs to another bundle than this one.
    """
    path = _record_path(bundle)
    if not path.is_file():
        return None
    refuse_large(path, _MAX_RECORD_BYTES, "the record")
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sha256, _, _ = record["sha256"], record["card"], record["evaluations"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BundleError(f"{path} is not the record of a bundle ({type(error).__name__}). Export the bundle again") from error
    found = file_hash(bundle)
    if sha256 != found:
        raise BundleError(
            f"{bundle} is not the file that {path.name} describes: its SHA-256 is {found}, recorded is {sha256}. "
            "Copy both again, or export the bundle anew"
        )
    return record


def record_evaluation(bundle: Path, split: str, numbers: dict[str, Any]) -> None:
    """Add the numbers of an evaluation to what stands beside a bundle.

    Raises:
        BundleError: there is no such file, or it belongs to another bundle.
    """
    record = read_record(bundle)
    if record is None:
        raise BundleError(f"there is no {_record_path(bundle)} to add the evaluation to. Make the bundle with: mien export")
    record["evaluations"][split] = numbers
    write_json(_record_path(bundle), record)


def _record_path(bundle: Path) -> Path:
    return bundle.with_suffix(".json")


def _packaged() -> Path:
    return Path(str(resources.files("mien") / "bundles"))

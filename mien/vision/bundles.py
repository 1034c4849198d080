"""Model bundle files: lookup, records beside them, and integrity checks.

A bundle is one ONNX file. A JSON file of the same name beside it contains its SHA-256, its card
and later evaluations. Storing evaluations inside the bundle would change the evaluated file.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from mien.card_values import check_evaluations
from mien.documents import load_json, record_from
from mien.errors import BundleError, DataError, UsageError, write_error
from mien.files import file_hash, write_json
from mien.modelcard import ModelCard, results_by_truth
from mien.vision.promoted import promoted_bundle

DEFAULT_BUNDLE: Final = "mien-s"
PACKAGED_DETECTOR: Final = "mien-detect"
"""Name of the packaged face detector; see ``mien.vision.own_detector``."""
MODELS: Final = Path("models")
"""Folder of the user's own models, relative to the working folder."""
CHECKPOINT_ENDINGS: Final = (".pt", ".pth")


@dataclass(frozen=True, slots=True)
class _Record:
    """The JSON record beside a bundle."""

    sha256: str
    card: dict[str, Any]
    evaluations: dict[str, dict[str, Any]]

    def __post_init__(self) -> None:
        check_evaluations(self.evaluations, "evaluations")
        check_evaluations(self.card.get("metrics", {}), "card.metrics")


def bundle_names() -> list[str]:
    """Return the names of the bundles in the package, the default one first."""
    found = sorted(Path(entry.name).stem for entry in _packaged().iterdir() if entry.name.endswith(".onnx"))
    return sorted((name for name in found if name != PACKAGED_DETECTOR), key=lambda name: name != DEFAULT_BUNDLE)


def bundle_path(name_or_path: str) -> Path:
    """Return the file of a bundle: for a name, the promoted or packaged bundle; otherwise the path itself.

    Raises:
        DataError: there is no such bundle or file.
        BundleError: the promoted bundle is missing or was changed.
    """
    packaged = packaged_bundle(name_or_path)
    if packaged.is_file():
        return promoted_bundle(name_or_path) or packaged
    path = Path(name_or_path)
    if path.suffix.lower() in CHECKPOINT_ENDINGS:
        raise DataError(
            f"{path} is a checkpoint of mien train, not a bundle. Export it: "
            f"mien export {path} --out {path.with_suffix('.onnx')}, and pass that file to --model"
        )
    if path.is_dir():
        held = sorted(path.glob("*.onnx"))
        raise DataError(
            f"{path} is a folder. Name a bundle" + (f", such as {held[0]}" if held else ": a file that ends in .onnx")
        )
    if not path.is_file():
        raise DataError(
            f"no model bundle at {path}, and none called {name_or_path!r} in the package ({', '.join(bundle_names())})"
        )
    return path


def newest_own_bundle(folder: Path = MODELS) -> Path | None:
    """Return the newest finished bundle in a folder or its direct subfolders; None if there is none. Detectors are ignored.

    A bundle is finished once its record exists, which is written last.
    """
    finished = []
    with suppress(OSError):  # the folder cannot be listed
        for path in (*folder.glob("*.onnx"), *folder.glob("*/*.onnx")):
            with suppress(OSError):  # a dangling link, or a file that was removed meanwhile
                if path.stem != PACKAGED_DETECTOR and is_finished(path):
                    finished.append((path.stat().st_mtime, path))
    return max(finished)[1] if finished else None


def is_finished(bundle: Path) -> bool:
    """Return whether a bundle and its record exist."""
    return bundle.is_file() and _record_path(bundle).is_file()


def default_bundle() -> str:
    """Return the bundle that is used by default: the user's newest one, else the packaged one."""
    return str(newest_own_bundle() or DEFAULT_BUNDLE)


def accuracies(bundle: Path) -> dict[str, float]:
    """Return a bundle's accuracy on PublicTest, 0 to 1, by truth, starting with that of its first head; empty without a record.

    Raises:
        BundleError: the record is broken or belongs to another bundle.
    """
    record = read_record(bundle)
    if record is None:
        return {}
    splits = {**record["card"].get("metrics", {}), **record["evaluations"]}
    return {truth: numbers["accuracy"] for truth, numbers in results_by_truth(splits.get("PublicTest", {"truths": {}})).items()}


def packaged_bundle(name: str) -> Path:
    """Return the path of a packaged bundle, ignoring promotions."""
    return _packaged() / f"{name}.onnx"


def write_record(bundle: Path, card: ModelCard) -> None:
    """Write the JSON file beside a new bundle."""
    write_json(_record_path(bundle), {"sha256": file_hash(bundle), "card": asdict(card), "evaluations": {}})


def delete_record(bundle: Path) -> None:
    """Delete the JSON file beside a bundle that is about to be replaced.

    Raises:
        UsageError: a file of that name is not the record of a bundle.
        DeviceError: it cannot be deleted.
    """
    path = _record_path(bundle)
    try:
        if path.is_file():
            record_from(_Record, load_json(path), "the record")
            path.unlink()
    except ValueError as error:
        raise UsageError(f"{path} would be replaced, and is not the record of a bundle. Choose another --out") from error
    except OSError as error:
        raise write_error(f"cannot write {path}: {error.strerror}", error) from error


def read_record(bundle: Path) -> dict[str, Any] | None:
    """Return the record of a bundle (``sha256``, ``card``, ``evaluations`` by split), or None if there is none.

    Raises:
        BundleError: the file is broken, or belongs to a different bundle.
    """
    path = _record_path(bundle)
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = load_json(path)
        sha256 = record_from(_Record, record, "the record").sha256
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} is not the record of a bundle ({error}). Export the bundle again") from error
    found = file_hash(bundle)
    if sha256 != found:
        raise BundleError(
            f"{bundle} is not the file that {path.name} describes: its SHA-256 is {found}, recorded is {sha256}. "
            "Copy both again, or export the bundle again"
        )
    return record


def record_evaluation(bundle: Path, split: str, numbers: dict[str, Any]) -> None:
    """Add the scores of an evaluation to the record of a bundle.

    Raises:
        BundleError: there is no record, it is broken, or it belongs to a different bundle.
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

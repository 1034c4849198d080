"""Reading and validation of retraining requests, which ``mien monitor`` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.documents import load_json, record_from
from mien.errors import DataError
from mien.files import file_hash


@dataclass(frozen=True, slots=True)
class _Model:
    """The bundle that drifted."""

    sha256: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Request:
    """Required fields of a request."""

    what: str
    in_words: str
    model: _Model
    drifted: Any


def read_request(path: Path, bundle: Path) -> dict[str, Any]:
    """Return the request in a file, as plain values.

    Args:
        path: ``retrain_request.json``.
        bundle: the bundle to retrain; it must be the one that the request is about.

    Raises:
        DataError: the file cannot be read, is not a retraining request, or is about a different bundle.
    """
    try:
        request: dict[str, Any] = load_json(path)
        model = record_from(_Request, request, "the request").model
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path} is not a retraining request: {error}. mien monitor writes one") from error
    if model.sha256 != file_hash(bundle):
        raise DataError(
            f"{path} is about the bundle {model.name} ({model.sha256[:12]}), but {bundle} is a different one. Pass the bundle "
            "that drifted with --model"
        )
    return request

"""A request for retraining, as a monitor wrote it: read, and refused where it is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError
from mien.files import file_hash, refuse_large

_MAX_BYTES: Final = 4 << 20
_NEEDED: Final = ("what", "in_words", "model", "drifted")


def read_request(path: Path, bundle: Path) -> dict[str, Any]:
    """Return a request.

    Args:
        path: ``retrain_request.json``.
        bundle: what is to be retrained; the request must speak of it.

    Raises:
        DataError: it cannot be read, is no request, or speaks of another bundle.
    """
    refuse_large(path, _MAX_BYTES, "the request")
    try:
        request: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in _NEEDED if key not in request]
        owner = "" if missing else request["model"]["sha256"]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is no request for retraining ({type(error).__name__}). mien monitor writes one") from error
    if missing:
        raise DataError(f"{path} is no request for retraining: {', '.join(missing)} is missing. mien monitor writes one")
    if owner != file_hash(bundle):
        raise DataError(
            f"{path} speaks of the bundle {request['model'].get('name', '')} ({owner[:12]}), and {bundle} is another. Name the "
            "bundle that drifted with --from"
        )
    return request

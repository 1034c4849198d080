"""Where sessions stand."""

from __future__ import annotations

from pathlib import Path
from typing import Final

STATE_NAME: Final = "privacy"


def state_folder(root: Path) -> Path:
    """Return the folder below the sessions' root that holds consents and the audit log."""
    return root / STATE_NAME

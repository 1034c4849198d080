"""Where a user's own files stand on this system. Names places; makes nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def data_folder() -> Path:
    """Return the user's data folder for Mien (not made)."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "mien"
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/mien"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "mien"

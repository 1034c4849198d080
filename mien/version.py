"""The version of this package, and the git revision of the running code."""

from __future__ import annotations

import subprocess
from pathlib import Path

VERSION = "0.1.0"


def git_revision() -> str:
    """Return the git revision of the running code, with "+" if it has uncommitted changes; "" outside a clone."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=5, check=True)
        dirty = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "."], cwd=here, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.stdout.strip() + ("+" if dirty.returncode else "")

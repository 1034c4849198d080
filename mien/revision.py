"""Which revision of the code is running."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_revision() -> str:
    """Return the revision of the code that runs, "+" behind it where it has changes; "" outside a clone."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, timeout=5, check=True)
        dirty = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "."], cwd=here, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.stdout.strip() + ("+" if dirty.returncode else "")

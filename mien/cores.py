"""How many threads are worth starting on this machine."""

from __future__ import annotations

import os


def worker_count() -> int:
    """Return the number of cores this process may use, at least 1 (a container may have fewer than the machine)."""
    affinity = getattr(os, "sched_getaffinity", None)
    return max(1, len(affinity(0)) if affinity is not None else (os.cpu_count() or 1))

"""Opens drift detection for a session, within its policy."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError, install_command
from mien.files import file_hash
from mien.monitoring.live_drift import LiveDrift, LiveDriftSettings, Status
from mien.monitoring.reference_file import read_reference, reference_path
from mien.monitoring.trigger import DriftEvent
from mien.privacy.level import Level


class NoDrift:
    """Replaces drift detection where it is unavailable.

    Args:
        reason: what is missing, and how to fix it.
    """

    status: Final[Status] = "unavailable"

    def __init__(self, reason: str) -> None:
        self.sentence = f"drift detection is off: {reason}"

    def new_events(self) -> tuple[DriftEvent, ...]:
        """Return no events."""
        return ()

    def observe(self, *_: object) -> None:
        """Ignore the faces of a frame."""

    def facts(self) -> dict[str, Any]:
        """Return the drift section of the session summary as a JSON-compatible dict."""
        return {"status": self.status, "in_words": self.sentence}

    def write(self, folder: Path, name: str) -> tuple[str, ...]:
        """Write no files."""
        return ()


def open_live_drift(
    bundle: Path, level: Level, settings: LiveDriftSettings | None = None, start: Path | None = None
) -> LiveDrift | NoDrift:
    """Return drift detection for a session, or ``NoDrift`` if it is unavailable. Raises no MienError.

    Args:
        bundle: the bundle file; its reference is beside it.
        level: what the policy permits. Without expressions only image quality is monitored and no model runs.
        settings: alarm settings; None for the defaults.
        start: reference file with the baseline of an earlier session; None learns it from the start of this session.
    """
    if level is Level.REFUSED:
        return NoDrift("the policy does not permit faces to be read")
    if find_spec("scipy") is None:
        return NoDrift(f"scipy is not installed. Install it with: {install_command('monitor')}")
    path = reference_path(bundle)
    if not path.is_file():
        return NoDrift(f"{bundle.name} has no reference. Make one with: mien monitor reference --model {bundle}")
    try:
        owner = file_hash(bundle)
        reference = read_reference(path, owner)
        baseline = read_reference(start, owner) if start is not None else None
        return LiveDrift(reference, "all" if level is Level.FULL else "picture", settings, baseline)
    except DataError as error:
        return NoDrift(str(error))

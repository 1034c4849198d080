"""A candidate put into use, and the way back: by a person's command, with a line in the audit log."""

from __future__ import annotations

from pathlib import Path

from mien.errors import UsageError
from mien.files import file_hash
from mien.privacy.audit_log import AuditLog
from mien.privacy.sessions import state_folder
from mien.retraining.candidate import read_candidate
from mien.vision import promoted
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_names, packaged_bundle
from mien.vision.predictor import Predictor


def promote_candidate(place: Path, root: Path) -> promoted.Change:
    """Put a candidate into use.

    Args:
        place: its folder, or its lineage file.
        root: the folder with the sessions, whose audit log is meant.

    Raises:
        UsageError: it does not pass its gates, or was held against another bundle than the one in use.
        BundleError: it is not the bundle that was judged, or broken.
        DataError: there is no candidate.
    """
    candidate = read_candidate(place)
    if not candidate.passed:
        raise UsageError(f"{candidate.bundle} does not pass its gates and is not put into use: {'; '.join(candidate.failed)}")
    if candidate.parent not in bundle_names():
        raise UsageError(
            f"{candidate.bundle} comes from {candidate.parent}, which is not a bundle of the package. Name it as --model"
        )
    Predictor(candidate.bundle)  # whole, with our classes, and it runs
    change = promoted.promote(candidate.parent, candidate.bundle, candidate.parent_sha256, _packaged(candidate.parent))
    AuditLog(state_folder(root)).record("model-promoted", model=change.sha256, before=candidate.parent_sha256)
    return change


def roll_back(name: str, root: Path) -> promoted.Change:
    """Go back to the bundle that was in use before the last promotion; see ``promoted.roll_back``."""
    change = promoted.roll_back(name or DEFAULT_BUNDLE)
    now = change.sha256 or _packaged(change.name)
    AuditLog(state_folder(root)).record("model-rolled-back", model=now, before=change.before)
    return change


def _packaged(name: str) -> str:
    return file_hash(packaged_bundle(name))

"""Promotion of a candidate and rollback, both recorded in the audit log before they take effect.

If a change then does not take effect, another line in the log says which bundle is still deployed.
"""

from __future__ import annotations

from pathlib import Path

from mien.errors import UsageError
from mien.files import file_hash
from mien.monitoring.reference_file import read_reference, reference_path
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import state_folder
from mien.retraining.candidate import read_candidate
from mien.vision import promoted
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_names, packaged_bundle, read_record
from mien.vision.predictor import Predictor


def promote_candidate(place: Path, root: Path) -> promoted.Change:
    """Deploy a candidate.

    Args:
        place: the candidate's folder or lineage file.
        root: folder of the sessions, which contains the audit log.

    Raises:
        UsageError: a gate failed, or the candidate was compared with another bundle than the deployed one.
        BundleError: the bundle or its record is broken, or not the one that was evaluated.
        DataError: there is no candidate, or its drift reference or the audit log is broken.
        DeviceError: the bundle or the audit log cannot be written.
    """
    candidate = read_candidate(place)
    if not candidate.passed:
        raise UsageError(f"{candidate.bundle} fails these gates and cannot be deployed: {'; '.join(candidate.failed)}")
    if candidate.parent not in bundle_names():
        raise UsageError(
            f"{candidate.bundle} was fine-tuned from {candidate.parent}, which is not a packaged bundle, so it cannot be "
            "promoted. Use it with --model"
        )
    Predictor(candidate.bundle)  # raises if the bundle is broken or incompatible
    read_record(candidate.bundle)  # raises if the record is broken, as read_reference does below
    reference = reference_path(candidate.bundle)
    if reference.is_file():
        read_reference(reference, candidate.sha256)
    packaged = _packaged(candidate.parent)
    return promoted.promote(candidate.parent, candidate.bundle, candidate.parent_sha256, packaged, _ChangeLog(root))


def roll_back(name: str, root: Path) -> promoted.Change:
    """Undo the last promotion of ``name`` (the default bundle if empty); see ``promoted.roll_back``.

    Raises:
        UsageError: no packaged bundle has this name.
        DataError: the audit log is broken.
        DeviceError: the audit log cannot be written.
    """
    name = name or DEFAULT_BUNDLE
    if name not in bundle_names():
        raise UsageError(
            f"there is no packaged bundle {name}. Only packaged bundles can be rolled back: {', '.join(bundle_names())}"
        )
    return promoted.roll_back(name, _ChangeLog(root))


class _ChangeLog:
    """The audit log beside a sessions folder, as a log of changes."""

    def __init__(self, root: Path) -> None:
        self.place = str(state_folder(root).resolve())

    def record(self, change: promoted.Change) -> None:
        event = "model-promoted" if change.action == promoted.PROMOTE else "model-rolled-back"
        packaged = _packaged(change.name)
        AuditLog(Path(self.place)).record(event, model=change.sha256 or packaged, before=change.before or packaged)

    def record_failure(self, name: str, sha256: str, place: str) -> None:
        log = AuditLog(Path(place if Path(place).is_dir() else self.place))
        log.record("model-unchanged", model=sha256 or _packaged(name))


def _packaged(name: str) -> str:
    return file_hash(packaged_bundle(name))

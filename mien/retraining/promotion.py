"""Promotion of a candidate and rollback, both recorded in the audit log before they take effect.

If one then fails, the log gets another line, which says which bundle is still deployed.
"""

from __future__ import annotations

from pathlib import Path

from mien.errors import UsageError
from mien.files import file_hash
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import state_folder
from mien.retraining.candidate import read_candidate
from mien.vision import promoted
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_names, packaged_bundle
from mien.vision.predictor import Predictor


def promote_candidate(place: Path, root: Path) -> promoted.Change:
    """Deploy a candidate.

    Args:
        place: the candidate's folder or lineage file.
        root: folder of the sessions, which contains the audit log.

    Raises:
        UsageError: a gate failed, or the candidate was compared with another bundle than the deployed one.
        BundleError: the bundle is broken, or not the one that was evaluated.
        DataError: there is no candidate, or the audit log is broken.
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
    log, packaged = AuditLog(state_folder(root)), _packaged(candidate.parent)

    def record(change: promoted.Change) -> None:
        log.record("model-promoted", model=change.sha256, before=candidate.parent_sha256)

    def failed(change: promoted.Change) -> None:
        log.try_record("model-unchanged", model=change.before or packaged)

    return promoted.promote(candidate.parent, candidate.bundle, candidate.parent_sha256, packaged, record, failed)


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
            f"no packaged bundle is called {name}, and only packaged bundles ({', '.join(bundle_names())}) can be promoted and "
            "rolled back"
        )
    log = AuditLog(state_folder(root))

    def record(change: promoted.Change) -> None:
        log.record("model-rolled-back", model=change.sha256 or _packaged(change.name), before=change.before)

    def failed(change: promoted.Change) -> None:
        log.try_record("model-unchanged", model=change.before)

    return promoted.roll_back(name, record, failed)


def _packaged(name: str) -> str:
    return file_hash(packaged_bundle(name))

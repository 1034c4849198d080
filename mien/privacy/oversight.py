"""Policy, consent and audit log of one session.

A session queries this object before it starts and while it runs. It knows neither the camera nor
the session's files; the session itself erases them after a withdrawal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mien.errors import MienError, NotPermittedError
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import state_folder
from mien.privacy.consent import ConsentLedger
from mien.privacy.deployment import CONTEXTS_WITHOUT_OTHERS
from mien.privacy.level import Level
from mien.privacy.notice import notice_for
from mien.privacy.policy import policy_here

SHOW: Final = "show"
KEEP: Final = "keep"


class Oversight:
    """Checks and logs what a session may do.

    Args:
        declaration: file of the deployment declaration; None for the one that applies here (``policy_here``).
        root: folder of the sessions, which contains the consent ledger and the audit log.
        person: participant ID in the consent ledger; "" if no participant is named.

    Attributes:
        policy: the policy that applies.
        notice: the current privacy notice.
        person: the participant's random name in the consent ledger, or "".
        keeps: whether the session may be stored.
        state: folder of the consent ledger and the audit log.

    Raises:
        NotPermittedError: the policy permits nothing, or required consent is missing.
        DataError: the declaration or the consent ledger is broken.
    """

    def __init__(self, declaration: Path | None, root: Path, person: str = "") -> None:
        self.policy, self._declared = policy_here(declaration)
        self.policy.require(Level.OBSERVABLES)
        self.notice = notice_for(self.policy)
        deployment = self.policy.deployment
        self._with_others = deployment.context not in CONTEXTS_WITHOUT_OTHERS
        self._by_consent = deployment.legal_basis == "consent" or bool(person)
        self.state = state_folder(root)
        self._ledger = ConsentLedger(self.state)
        self._log = AuditLog(self.state) if deployment.declared else None
        self._participant = person
        if self._by_consent and not person:
            raise NotPermittedError(
                "the declared legal basis is consent, and no participant is named. Show the notice (mien privacy notice), record "
                "the answer (mien privacy consent ID show granted), then pass --person ID"
            )
        if self._by_consent and not self._agreed(SHOW):
            raise NotPermittedError(
                f"{person} has not consented to the current notice, {self.notice.version}. Show it to them "
                f"(mien privacy notice), then record their decision: mien privacy consent {person!r} show granted"
            )
        self.person = self._ledger.random_name(person) if person else ""
        self.keeps = not self._by_consent or self._agreed(KEEP)

    @property
    def sentences(self) -> list[str]:
        """Notices for the person who starts the session."""
        rule, notices = self.policy.rule, [self._declared] if self._declared else []
        if self.policy.level is Level.OBSERVABLES:
            notices.append(f"Observables only, no expressions: {rule.reason} ({'; '.join(rule.articles)})")
        if self._with_others:
            notices.append(f"Inform everyone before recording: mien privacy notice ({self.notice.version})")
        if not self.keeps:
            notices.append(f"{self._participant} has not consented to storage; this session is not stored")
        return notices

    def begin(self, model_hash: str) -> None:
        """Log the policy and the start of the session; nothing is logged without a declaration.

        Args:
            model_hash: SHA-256 of the model bundle.

        Raises:
            DataError: the log is broken.
            DeviceError: the log cannot be written; the session must not start.
        """
        if self._log is None:
            return
        deployment, level = self.policy.deployment, self.policy.level.value
        self._log.record(
            "policy-decided",
            level=level,
            rule=self.policy.rule.name,
            context=deployment.context,
            jurisdiction=deployment.jurisdiction,
            purpose=deployment.purpose,
        )
        if self._with_others:
            self._log.record("notice-shown", notice=self.notice.hash)
        self._log.record("session-started", level=level, model=model_hash)

    def withdrawn(self) -> str:
        """Return the purpose for which consent was withdrawn since the session started: ``show``, ``keep``, or ""."""
        if not self._by_consent:
            return ""
        if not self._agreed(SHOW):
            return SHOW
        return KEEP if self.keeps and not self._agreed(KEEP) else ""

    def withdraw(self) -> list[str]:
        """Record that the participant withdraws all consent during the session, which must have been erased before.

        Returns:
            why ledger or log could not be written; empty if both were.
        """
        faults = []
        if self._participant:
            try:
                self._ledger.record(self._participant, SHOW, "withdrawn", self.notice)
            except MienError as error:
                faults.append(f"the withdrawal was not recorded: {error}")
        if self._log is not None:
            said = self._log.try_record("consent", purpose=SHOW, state="withdrawn", notice=self.notice.hash)
            faults += [said] if said else []
        return faults

    def erased(self, files: int, sessions: int = 1) -> str:
        """Log that sessions were erased after a withdrawal; this is logged without a declaration as well.

        Returns:
            why the log could not be written, or "".
        """
        return AuditLog(self.state).try_record("erased", sessions=sessions, files=files, cause="withdrawn")

    def end(self, seconds: float, frames: int) -> None:
        """Log the end of the session."""
        if self._log is not None:
            self._log.record("session-ended", seconds=round(seconds), frames=frames)

    def _agreed(self, purpose: str) -> bool:
        return self._ledger.allows(self._participant, purpose, self.notice)

"""A session under its rules: what was decided, what people were told, who agreed, and what the log says of it.

One object that a session asks before it begins and while it runs. It knows no camera and no
file of a session; who it says must be erased is the session's to erase.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mien.errors import NotPermittedError
from mien.privacy.audit_log import AuditLog
from mien.privacy.consent import ConsentLedger
from mien.privacy.deployment import ALONE, read_deployment
from mien.privacy.level import Level
from mien.privacy.notice import notice_for
from mien.privacy.policy import decide
from mien.privacy.sessions import state_folder

SHOW: Final = "show"
KEEP: Final = "keep"


class Oversight:
    """What governs one session.

    Args:
        declaration: the deployment's file; None for own use on this machine.
        root: the folder with the sessions, whose ledger and log are meant.
        person: who sits there, as the consent ledger calls them; "" where nobody is named.

    Attributes:
        policy: the decision.
        notice: what people were to read before.
        person: the ledger's random name of the person, or "".
        keeps: whether the session may be kept.

    Raises:
        NotPermittedError: the declaration permits nothing, or rests on a consent that nobody gave.
        DataError: the declaration or the ledger is broken.
    """

    def __init__(self, declaration: Path | None, root: Path, person: str = "") -> None:
        self.policy = decide(read_deployment(declaration) if declaration else None)
        self.policy.require(Level.OBSERVABLES)
        self.notice = notice_for(self.policy)
        deployment = self.policy.deployment
        self._with_others = deployment.context not in ALONE
        self._by_consent = deployment.legal_basis == "consent" or bool(person)
        self._ledger = ConsentLedger(state_folder(root))
        self._log = AuditLog(state_folder(root)) if declaration else None
        self._called = person
        if self._by_consent and not person:
            raise NotPermittedError(
                "this declaration rests on consent, and nobody is named. Say who sits there with --person NAME, as in: "
                "mien privacy consent NAME show granted"
            )
        if self._by_consent and not self._agreed(SHOW):
            raise NotPermittedError(
                f"{person} has not agreed to being read, having seen notice {self.notice.version}. Let them read it "
                f"(mien privacy notice), and note what they say: mien privacy consent {person!r} show granted"
            )
        self.person = self._ledger.random_name(person) if person else ""
        self.keeps = not self._by_consent or self._agreed(KEEP)

    @property
    def sentences(self) -> list[str]:
        """What whoever starts the session should read."""
        rule, said = self.policy.rule, []
        if self.policy.level is Level.OBSERVABLES:
            said.append(f"Observables only, no expressions: {rule.reason} ({'; '.join(rule.articles)})")
        if self._with_others:
            said.append(f"Tell everybody in the picture before they are in it: mien privacy notice ({self.notice.version})")
        if not self.keeps:
            said.append(f"{self._called} has not agreed to being kept: no file of this session is made")
        return said

    def begin(self, model_hash: str) -> None:
        """Write into the log what was decided and what begins; without a declaration there is no log.

        Args:
            model_hash: SHA-256 of the bundle that reads.

        Raises:
            DeviceError: the log cannot be written, so nothing may begin.
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
        """Return what the person has taken back since the session began: ``show``, ``keep``, or "" for nothing."""
        if not self._by_consent:
            return ""
        if not self._agreed(SHOW):
            return SHOW
        return KEEP if self.keeps and not self._agreed(KEEP) else ""

    def withdraw(self) -> None:
        """Note that the person takes everything back, at the session itself."""
        if self._called:
            self._ledger.record(self._called, SHOW, "withdrawn", self.notice)
        if self._log is not None:
            self._log.record("consent", purpose=SHOW, state="withdrawn", notice=self.notice.hash)

    def erased(self, files: int) -> None:
        """Write into the log that the session was erased because somebody took their consent back."""
        if self._log is not None:
            self._log.record("erased", sessions=1, files=files, cause="withdrawn")

    def end(self, seconds: float, frames: int) -> None:
        """Write into the log that the session is over."""
        if self._log is not None:
            self._log.record("session-ended", seconds=round(seconds), frames=frames)

    def _agreed(self, purpose: str) -> bool:
        return self._ledger.allows(self._called, purpose, self.notice)

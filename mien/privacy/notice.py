"""The privacy notice: a versioned text that people must read before they are recorded.

The text is generated from the declaration and the policy. Its hash is its version, and consent
refers to it: any change of wording invalidates earlier consent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from mien.privacy.deployment import PURPOSES
from mien.privacy.level import Level
from mien.privacy.policy import Policy

OPEN: Final = "[[OPERATOR: {}]]"
"""Mark for something that only the operator can fill in."""

_READ: Final = {
    Level.FULL: (
        "While the session runs, a program analyses camera pictures of your face. It estimates which of seven expressions it "
        "shows: angry, disgust, fear, happy, neutral, sad or surprise, and where your head points.",
        "An expression is not a feeling: a frown can be concentration, or the sun. And the program is often wrong: the bundled "
        "model agrees with most people on about nine of ten test photographs, and on fewer pictures of a webcam.",
    ),
    Level.OBSERVABLES: (
        "While the session runs, a program analyses camera pictures of your face. It notes that a face is there, whether the "
        "head points at the screen, and whether the picture is good enough.",
        "It does not read your expression, and it draws no conclusion about what you feel, think or attend to.",
    ),
    Level.REFUSED: ("Nothing: this use is not permitted.", "If you are told otherwise, complain to the address above."),
}

_CHOICE: Final = {
    "none": "You may stop at any time.",
    "consent": "You may say no, and nobody may treat you worse for it. You may withdraw your consent at any time, as easily as "
    "you gave it; your stored data is then erased.",
}
UNDER_18: Final = "If you are under 18, ask a parent or guardian to read this with you."


@dataclass(frozen=True, slots=True)
class Notice:
    """A privacy notice.

    Attributes:
        text: plain text, one paragraph per line.
    """

    text: str

    @property
    def hash(self) -> str:
        """SHA-256 of the text in hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def version(self) -> str:
        """First 12 digits of the hash, for display."""
        return self.hash[:12]


def notice_for(policy: Policy) -> Notice:
    """Return the notice for a policy; what the declaration leaves open is marked for the operator."""
    deployment = policy.deployment
    operator = deployment.operator or OPEN.format("who decides about this and answers for it")
    contact = deployment.contact or OPEN.format("how to reach them")
    what, limits = _READ[policy.level]
    lines = [
        "What happens with your face here",
        "",
        f"Who: {operator}. Ask, complain or change your mind: {contact}.",
        f"What for: {PURPOSES.get(deployment.purpose, 'a use that is refused')}.",
        f"What: {what}",
        f"What it means: {limits}",
    ]
    if policy.level is Level.REFUSED:
        return Notice("\n".join(lines) + "\n")
    lines += [
        "Who you are: nobody is recognised. Faces get a random name that ends with the session.",
        "Pictures: none is kept, unless somebody takes a screenshot. Faces in it are blurred, unless that was switched off.",
        "Kept: what was read, moment by moment, and a summary, in files of the session. They are erased after "
        f"{deployment.retention_days} days at the latest.",
        "Sent: nothing leaves the machine."
        if not policy.leaves_machine
        else f"Sent: {OPEN.format('who receives what; or write: nothing leaves the machine')}",
        _CHOICE.get(deployment.legal_basis, "You may object, at the address above, and be heard."),
        "You may see the data stored about you, get a copy of it, and have it erased.",
    ]
    if deployment.minors:
        lines.append(UNDER_18)
    return Notice("\n".join(lines) + "\n")

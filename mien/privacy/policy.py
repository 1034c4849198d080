"""From a declaration to a decision, and from the decision to what may be done.

A ``Policy`` is made by ``decide`` and by nothing else, so whoever holds one holds a decision
that a rule made. It is the only thing that makes the types which other parts ask for.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import Final

from mien.errors import NotPermittedError
from mien.privacy.deployment import ALONE, UNDECLARED, Deployment
from mien.privacy.level import Level
from mien.privacy.rules import RULES, Rule


class _Seal:
    """What only this module holds."""


_SEAL: Final = _Seal()


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be done under a declaration.

    Attributes:
        deployment: the declaration.
        rule: the rule that decided.

    Raises:
        TypeError: made by something else than ``decide``.
    """

    deployment: Deployment
    rule: Rule
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("a policy is made by mien.privacy.policy.decide, from a declaration")

    @property
    def level(self) -> Level:
        """How much of a face may be read."""
        return self.rule.level

    @property
    def leaves_machine(self) -> bool:
        """Whether anything may be sent to another machine: never for own use, declared or not."""
        return self.level is not Level.REFUSED and self.deployment.context not in ALONE

    def require(self, level: Level) -> None:
        """Go on where ``level`` is permitted.

        Raises:
            NotPermittedError: it is not; the message says why and what to do.
        """
        order = (Level.REFUSED, Level.OBSERVABLES, Level.FULL)
        if self.level is Level.REFUSED or order.index(level) > order.index(self.level):
            what = "nothing may be read" if self.level is Level.REFUSED else f"{level} is asked for, {self.level} is permitted"
            raise NotPermittedError(
                f"{what}: {self.rule.reason} ({'; '.join(self.rule.articles)}; rule {self.rule.name}). "
                "Declare what is really done with: mien deploy init"
            )


def decide(deployment: Deployment | None = None) -> Policy:
    """Return the policy for a declaration; for None, the one for own use on this machine.

    >>> decide().level
    <Level.FULL: 'full'>
    """
    declared = deployment or UNDECLARED
    return Policy(declared, next(rule for rule in RULES if rule.matches(declared)), _SEAL)


_KEPT: Final = {
    True: "in the session's folder, and where the operator says",
    False: "in the session's folder; on this computer elsewhere too where it is named (--db)",
}


def policy_text(policy: Policy) -> str:
    """Return the decision for a terminal."""
    rule, deployment = policy.rule, policy.deployment
    read = {
        Level.FULL: "expressions, and what is computed from them",
        Level.OBSERVABLES: "a face is there, it faces the screen, how good the picture is; no expression, no learning state",
        Level.REFUSED: "nothing",
    }
    lines = [
        f"decision            {rule.level}",
        f"may be read         {read[rule.level]}",
        f"because             {rule.reason}",
        f"rests on            {'; '.join(rule.articles)}",
        f"rule                {rule.name}",
        f"leaves the machine  {'may be sent on' if policy.leaves_machine else 'nothing'}",
        f"kept                {_KEPT[policy.leaves_machine]}",
        f"declared            {deployment.context}, {deployment.jurisdiction}, {deployment.purpose}",
    ]
    lines += [f"the operator owes   {duty}" for duty in rule.duties]
    return "\n".join([*lines, "", "This is engineering, not legal advice."])

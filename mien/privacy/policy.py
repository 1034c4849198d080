"""The policy that follows from a declaration, and the permit to compute expressions.

Only ``decide`` creates a ``Policy``, so every policy was decided by a rule. Code that computes
expressions needs an ``ExpressionPermit``, which only ``permit_expressions`` creates. Under
*observables* there is no permit, so such objects cannot be constructed: expressions and learning
states are not computed at all, instead of being computed and hidden.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Final

from mien.errors import NotPermittedError
from mien.privacy.deployment import CONTEXTS_WITHOUT_OTHERS, UNDECLARED, Deployment, find_deployment, read_deployment
from mien.privacy.level import Level
from mien.privacy.rules import RULES, PolicyRule

NOT_PERMITTED: Final = "expressions off"
"""Value of ``FaceReading.unread`` if the policy permits no expressions."""


class _Seal:
    """A token that only this module has."""


_SEAL: Final = _Seal()


@dataclass(frozen=True, slots=True)
class Policy:
    """What a declaration permits.

    Attributes:
        deployment: the declaration.
        rule: the rule that applies.

    Raises:
        TypeError: not created by ``decide``.
    """

    deployment: Deployment
    rule: PolicyRule
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("a Policy is created by mien.privacy.policy.decide")

    @property
    def level(self) -> Level:
        """What may be read from a face."""
        return self.rule.level

    @property
    def leaves_machine(self) -> bool:
        """Whether data may be sent to another machine; never for own use and software tests."""
        return self.level is not Level.REFUSED and self.deployment.context not in CONTEXTS_WITHOUT_OTHERS

    def require(self, level: Level) -> None:
        """Check that ``level`` is permitted.

        Raises:
            NotPermittedError: it is not.
        """
        order = (Level.REFUSED, Level.OBSERVABLES, Level.FULL)
        if self.level is Level.REFUSED or order.index(level) > order.index(self.level):
            what = "nothing may be read" if self.level is Level.REFUSED else f"{level} is required, but {self.level} is permitted"
            raise NotPermittedError(
                f"{what}: {self.rule.reason} ({'; '.join(self.rule.articles)}; rule {self.rule.name}). "
                "Declare the actual use with: mien policy init"
            )


@dataclass(frozen=True, slots=True)
class ExpressionPermit:
    """Permission to compute expressions and everything derived from them.

    Attributes:
        rule: name of the rule that permits it.

    Raises:
        TypeError: not created by ``permit_expressions``.
    """

    rule: str
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("an ExpressionPermit is created by mien.privacy.policy.permit_expressions")


def permit_expressions(policy: Policy) -> ExpressionPermit | None:
    """Return a permit if the policy's level is *full*, None if it is *observables*.

    Raises:
        NotPermittedError: the policy permits nothing at all.
    """
    policy.require(Level.OBSERVABLES)
    return ExpressionPermit(policy.rule.name, _SEAL) if policy.level is Level.FULL else None


def decide(deployment: Deployment | None = None) -> Policy:
    """Return the policy for a declaration; None stands for own use on this machine.

    >>> decide().level
    <Level.FULL: 'full'>
    """
    declared = deployment or UNDECLARED
    return Policy(declared, next(rule for rule in RULES if rule.matches(declared)), _SEAL)


def policy_here(named: str | Path | None = None) -> tuple[Policy, str]:
    """Return the policy that applies here, and a notice that names its declaration, "" without a declaration.

    All entry points that process faces call this function, so that one declaration applies to all of them.

    Args:
        named: file of the declaration, if given by the user; see ``find_deployment``.

    Raises:
        DataError: the declaration is missing or cannot be read. It is never ignored.
        UsageError: the declaration is invalid.
    """
    path = find_deployment(named)
    if path is None:
        return decide(), ""
    policy = decide(read_deployment(path))
    return policy, f"Under the declaration {path}: {policy.level}, by the rule {policy.rule.name}"


_STORAGE: Final = {
    True: "in the session's folder, and where the operator decides",
    False: "in the session's folder, and on this computer in a database (--db)",
}


def policy_text(policy: Policy) -> str:
    """Return the policy as text for a terminal."""
    rule, deployment = policy.rule, policy.deployment
    read = {
        Level.FULL: "expressions and everything computed from them",
        Level.OBSERVABLES: "presence, facing the screen, image quality; no expressions, no learning states",
        Level.REFUSED: "nothing",
    }
    lines = [
        f"decision            {rule.level}",
        f"permitted           {read[rule.level]}",
        f"reason              {rule.reason}",
        f"legal basis         {'; '.join(rule.articles)}",
        f"rule                {rule.name}",
        f"sending data        {'permitted' if policy.leaves_machine else 'not permitted'}",
        f"storage             {_STORAGE[policy.leaves_machine]}",
        f"declared            {deployment.context}, {deployment.jurisdiction}, {deployment.purpose}",
    ]
    lines += [f"operator's duties   {duty}" for duty in rule.duties]
    return "\n".join([*lines, "", "This is not legal advice."])

"""The permit to read expressions, as a type: who computes one must be handed a permit.

Under *observables* there is no permit, so a part whose constructor takes one cannot be made,
and no expression and no learning state is computed at all, rather than computed and hidden.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import Final

from mien.privacy.level import Level
from mien.privacy.policy import Policy

NOT_PERMITTED: Final = "expressions off"
"""Why a face is not read where a deployment permits no expressions."""


class _Seal:
    """What only this module holds."""


_SEAL: Final = _Seal()


@dataclass(frozen=True, slots=True)
class ExpressionPermit:
    """Leave to compute expressions, and what follows from them.

    Attributes:
        rule: the rule that gave it.

    Raises:
        TypeError: made by something else than ``permit_expressions``.
    """

    rule: str
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("a permit is made by mien.privacy.permit.permit_expressions, from a policy")


def permit_expressions(policy: Policy) -> ExpressionPermit | None:
    """Return the permit where the policy is *full*, None where it is *observables*.

    Raises:
        NotPermittedError: the policy permits nothing at all.
    """
    policy.require(Level.OBSERVABLES)
    return ExpressionPermit(policy.rule.name, _SEAL) if policy.level is Level.FULL else None

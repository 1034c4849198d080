"""All that a session learns from what was read: sums for the screen and the summary, signs, suggestions."""

from __future__ import annotations

from typing import Any

from mien.analytics.everything import Analytics
from mien.privacy.permit import ExpressionPermit
from mien.privacy.release import ReleasedResult
from mien.records import FrameResult
from mien.states.answers import Answer
from mien.states.engine import StateEngine
from mien.states.interventions import EVENT_KIND
from mien.states.rules import RuleSet
from mien.store.session_records import EventRecord


class Insight:
    """Takes in a session's results.

    Args:
        rules: what to look for.
        permit: leave to read expressions; None where they may not be.

    Attributes:
        analytics: sums over the session.
    """

    def __init__(self, rules: RuleSet, permit: ExpressionPermit | None) -> None:
        self.analytics = Analytics()
        self._states = StateEngine(rules, permit)

    def update(self, result: FrameResult, released: ReleasedResult) -> list[EventRecord]:
        """Take in the next frame's faces; return what it makes happen, mostly nothing."""
        self.analytics.update(result)
        return [EventRecord(each.t_s, EVENT_KIND, each.track_id, each.details) for each in self._states.update(released)]

    def now(self, silent: bool) -> dict[str, Any]:
        """Return the fields of a :class:`mien.records.Snapshot` that are computed here.

        Args:
            silent: nothing comes from the source: what is true of this very moment is unknown.
        """
        signs = [] if silent else [answer.text if answer.kind == "observable" else answer.words for answer in self._held]
        return {**self.analytics.now(silent), "signs": tuple(dict.fromkeys(signs))}

    def facts(self) -> dict[str, Any]:
        """Return what a summary keeps beyond counts and shares, as plain values."""
        return {**self.analytics.facts(), "states": self._states.facts()}

    @property
    def _held(self) -> list[Answer]:
        return [answer for answer in self._states.now if answer.holds]


def suggestion(event: EventRecord) -> str:
    """Return an intervention as the person in front of the screen reads it."""
    return f"{event.details['wording']}. {event.details['message']}"

"""All that a session learns from what was read: sums for the screen and the summary, signs, suggestions, drift."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from mien.analytics.everything import Analytics
from mien.monitoring.live_drift import event_details
from mien.monitoring.open_live import NoDrift, open_live_drift
from mien.monitoring.verdict import ADVICE
from mien.privacy.permit import permit_expressions
from mien.privacy.policy import Policy
from mien.privacy.release import ReleasedResult
from mien.records import FrameResult
from mien.states.answers import Answer
from mien.states.engine import StateEngine
from mien.states.interventions import EVENT_KIND
from mien.states.rules_file import read_rules
from mien.store.session_records import EventRecord

_NO_STATES: Final = "learning states are not computed: they rest on expressions, which may not be read here"

_ROWS_ALONE: Final = "only what was read is at hand, no faces"


class Insight:
    """Takes in a session's results.

    Args:
        rules: a file of rules; None for those that come with Mien.
        states: ask them for learning states too.
        policy: what may be read.
        bundle: the model's file, beside which its reference stands; None where there are rows alone and no faces to look at.

    Attributes:
        analytics: sums over the session.
        drift: the watch for drift, to look on at the pipeline.
        notices: sentences the user should read before the run.

    Raises:
        RulesError: the rules are wrong; all their faults are named.
    """

    def __init__(self, rules: Path | None, states: bool, policy: Policy, bundle: Path | None) -> None:
        permit, all_rules = permit_expressions(policy), read_rules(rules)
        self.notices = [] if permit is not None or not states else [_NO_STATES]
        self.analytics = Analytics()
        self._states = StateEngine(all_rules if states and permit is not None else all_rules.observables(), permit)
        self.drift = NoDrift(_ROWS_ALONE) if bundle is None else open_live_drift(bundle, policy.level)

    def update(self, result: FrameResult, released: ReleasedResult) -> list[EventRecord]:
        """Take in the next frame's faces; return what it makes happen, mostly nothing."""
        self.analytics.update(result)
        due = [EventRecord(each.t_s, EVENT_KIND, each.track_id, each.details) for each in self._states.update(released)]
        for drift in self.drift.new_events():
            told = event_details(drift)
            words = {"rule": "drift", "kind": "drift", "wording": told["in_words"], "message": ADVICE[drift.looks_like]}
            due.append(EventRecord(result.t_s, EVENT_KIND, "", {**words, **told}))
        return due

    def now(self, silent: bool) -> dict[str, Any]:
        """Return the fields of a :class:`mien.records.Snapshot` that are computed here.

        Args:
            silent: nothing comes from the source: what is true of this very moment is unknown.
        """
        signs = [] if silent else [answer.text if answer.kind == "observable" else answer.words for answer in self._held]
        return {**self.analytics.now(silent), "signs": tuple(dict.fromkeys(signs)), "drift": self.drift.status}

    def facts(self) -> dict[str, Any]:
        """Return what a summary keeps beyond counts and shares, as plain values."""
        return {**self.analytics.facts(), "states": self._states.facts(), "drift": self.drift.facts()}

    def write(self, folder: Path, name: str) -> tuple[str, ...]:
        """Write what there is to say of drift into a session's folder, and return the files' names.

        Raises:
            DeviceError: the disk refuses.
        """
        return self.drift.write(folder, name)

    @property
    def _held(self) -> list[Answer]:
        return [answer for answer in self._states.now if answer.holds]


def suggestion(event: EventRecord) -> str:
    """Return an intervention as the person in front of the screen reads it."""
    wording = str(event.details["wording"])
    return f"{wording[:1].upper()}{wording[1:]}. {event.details['message']}"

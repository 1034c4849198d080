"""Live analysis of a session's readings beyond counts: affect, trend, rules, suggestions and drift."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from mien.analytics import Affect, Trend
from mien.monitoring.live_drift import event_details
from mien.monitoring.open_live import NoDrift, open_live_drift
from mien.monitoring.verdict import ADVICE
from mien.privacy.policy import Policy, permit_expressions
from mien.privacy.release import ReleasedResult
from mien.records import FrameResult
from mien.sessions.records import EventRecord
from mien.states.answers import RuleAnswer
from mien.states.engine import StateEngine
from mien.states.interventions import EVENT_KIND
from mien.states.rules_file import read_rules

_NO_STATES: Final = "learning states are off: they require expressions, which the policy does not permit"

_ROWS_ONLY: Final = "not checked in recordings"


class Insight:
    """Analyses the results of a session.

    Args:
        rules: a rules file; None for the default rules.
        states: whether to evaluate rules about learning states as well.
        policy: the policy that applies.
        bundle: the model's file, which has its drift reference beside it; None if there are only stored rows.

    Attributes:
        drift: the drift monitor, to be attached to the pipeline.
        notices: notices for the user before the run.

    Raises:
        FaultsError: the rules are invalid; all faults are reported.
    """

    def __init__(self, rules: Path | None, states: bool, policy: Policy, bundle: Path | None) -> None:
        permit, all_rules = permit_expressions(policy), read_rules(rules)
        self.notices = [] if permit is not None or not states else [_NO_STATES]
        self._affect, self._trend = Affect(), Trend()
        self._states = StateEngine(all_rules if states and permit is not None else all_rules.observables(), permit)
        self.drift = NoDrift(_ROWS_ONLY) if bundle is None else open_live_drift(bundle, policy.level)

    def update(self, result: FrameResult, released: ReleasedResult) -> list[EventRecord]:
        """Add the next frame; return the events that it triggers, usually none."""
        self._affect.update(result)
        self._trend.update(result)
        due = [EventRecord(each.t_s, EVENT_KIND, each.track_id, each.details) for each in self._states.update(released)]
        for drift in self.drift.new_events():
            details = event_details(drift)
            words = {"rule": "drift", "kind": "drift", "wording": details["in_words"], "message": ADVICE[drift.cause]}
            due.append(EventRecord(result.t_s, EVENT_KIND, "", {**words, **details}))
        return due

    def now(self, silent: bool) -> dict[str, Any]:
        """Return the fields of a :class:`mien.records.Snapshot` that are computed here.

        Args:
            silent: whether the source delivers no frames, so that current values are unknown.
        """
        signs = [] if silent else [answer.text if answer.kind == "observable" else answer.words for answer in self._held]
        valence, arousal, entropy = (math.nan, math.nan, math.nan) if silent else self._affect.now
        return {
            "trend_t_s": self._trend.t_s,
            "trend": self._trend.values,
            "trend_window_s": self._trend.window_s,
            "valence": valence,
            "arousal": arousal,
            "entropy": entropy,
            "signs": tuple(dict.fromkeys(signs)),
            "drift": self.drift.status,
        }

    def reset_screen(self) -> None:
        """Restart the trend shown on screen."""
        self._trend = Trend()

    def facts(self) -> dict[str, Any]:
        """Return the results for the summary as plain values; affect is None if there was no face."""
        mean = self._affect.mean
        means = (None,) * 3 if mean is None else tuple(round(value, 4) for value in mean)
        affect = dict(zip(("valence", "arousal", "entropy_bits"), means, strict=True))
        return {**affect, "states": self._states.facts(), "drift": self.drift.facts()}

    def write(self, folder: Path, name: str) -> tuple[str, ...]:
        """Write the drift report into a session's folder and return the names of the files.

        Raises:
            DeviceError: a file cannot be written.
        """
        return self.drift.write(folder, name)

    @property
    def _held(self) -> list[RuleAnswer]:
        return [answer for answer in self._states.now if answer.holds]


def suggestion(event: EventRecord) -> str:
    """Return the text of an intervention for the learner."""
    wording = str(event.details["wording"])
    return f"{wording[:1].upper()}{wording[1:]}. {event.details['message']}"

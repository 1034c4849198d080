"""``drift.html``: the drift report, without any image of a face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mien.emotions import COLOURS
from mien.files import write_text
from mien.monitoring.observation import MEASURES
from mien.monitoring.timeline import LineChart, timeline
from mien.pages import render

_CHARTS_SHOWN: Final = 4
_SESSIONS: Final = 30
_TOP_SURPRISE: Final = 8.0
"""Upper end of the timelines, in units of surprise."""
_SCOPES: Final[dict[str, str]] = {
    "all": "",
    "answers": "Only predictions were compared: stored sessions contain no pictures and no embeddings, by design. A change of "
    "the camera is visible here only through predictions and confidence.",
    "picture": "Only image quality was compared: the policy permits no expressions, so these and accuracy are not monitored.",
}
_TITLES: Final[dict[str, str]] = {
    "embedding": "Embedding: distance from the nearest mix of expressions",
    "components": "Embedding: principal components",
    "quality": "Picture: brightness, contrast, sharpness, size, pose",
    "confidence": "Confidence and entropy of the predictions",
    "expressions": "Mix of expressions",
}


def write_page(target: Path, facts: Mapping[str, Any]) -> None:
    """Write the page for the result of ``summary.summarise``, atomically."""
    write_text(target, drift_page(facts), private=True)


def drift_page(facts: Mapping[str, Any]) -> str:
    """Return the page as self-contained HTML."""
    windows = facts["windows"]
    newest = windows[-1] if windows else None
    has_predictions = newest is not None and facts["sight"] != "picture"
    numbers = [(f"{facts['counts']['faces']:,}", "faces"), (f"{facts['counts']['windows']:,}", "windows")]
    if newest is not None and newest["estimated_accuracy"] is not None:
        numbers.append(
            (f"{newest['estimated_accuracy']:.0%}", f"estimated accuracy; {_reference_accuracy(facts)} in the reference")
        )
    sections = {
        "verdict": ("Alarms", facts["events"]),
        "timelines": ("Detectors over time", _timelines(facts) if windows else []),
        "statistics": ("Image quality", _statistics(facts) if newest is not None and newest["psi"] else None),
        "accuracy": ("Estimated accuracy", _accuracy(facts) if has_predictions else None),
        "expressions": ("Predicted expressions", _expressions(facts) if has_predictions else None),
        "method": ("Method", _method(facts)),
    }
    return render(
        "drift.html",
        facts=facts,
        numbers=numbers,
        events=[_event(event) for event in facts["events"]],
        colours=COLOURS,
        sections=[(anchor, name) for anchor, (name, values) in sections.items() if values],
        **{anchor: values for anchor, (_, values) in sections.items()},
    )


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "since": _time(event["since_s"]),
        "by": _time(event["by_s"]),
        "noticed": _time(event["noticed_s"]),
        "in_words": event["in_words"],
        "rows": [
            (row["detector"], row["effect_is"], _parts(row["parts"]), f"{row['effect']:.3g}", _odds(row["surprise"]))
            for row in event["drifted"]
        ],
    }


def _timelines(facts: Mapping[str, Any]) -> list[tuple[str, LineChart | None]]:
    times = [window["to_s"] / 3600 for window in facts["windows"]]
    charts = []
    for name in facts["detectors"]:
        values = [window["surprise"][name] for window in facts["windows"]]
        flags = [name in window["flagged"] for window in facts["windows"]]
        drawn = timeline(times, values, mark=facts["level"], mark_text="limit", beyond=flags, top=_TOP_SURPRISE, form="{:.1f}")
        charts.append((_TITLES[name], drawn))
    return charts


def _statistics(facts: Mapping[str, Any]) -> dict[str, Any]:
    newest = facts["windows"][-1]
    expected = facts["reference"]["averages"]
    order = sorted(newest["psi"], key=lambda name: -newest["psi"][name])
    rows = [
        (name, MEASURES[name], f"{expected[name]:.3g}", f"{newest['averages'][name]:.3g}", f"{newest['psi'][name]:.2f}")
        for name in order
        if name in expected and name in newest["averages"]
    ]
    times = [window["to_s"] / 3600 for window in facts["windows"]]
    charts = []
    for name in [row[0] for row in rows[:_CHARTS_SHOWN]]:
        known = [
            (t, window["averages"][name]) for t, window in zip(times, facts["windows"], strict=True) if name in window["averages"]
        ]
        charts.append((name, timeline([t for t, _ in known], [v for _, v in known], mark=expected[name], mark_text="reference")))
    return {"rows": rows, "charts": charts}


def _accuracy(facts: Mapping[str, Any]) -> dict[str, Any]:
    times = [window["to_s"] / 3600 for window in facts["windows"]]
    charts = [("Mean confidence", timeline(times, [window["confidence"] for window in facts["windows"]], form="{:.0%}"))]
    errors = facts["reference"]["accuracy_errors"]
    if errors is None or facts["windows"][-1]["estimated_accuracy"] is None:
        return {"errors": None, "charts": charts}
    values = [window["estimated_accuracy"] for window in facts["windows"]]
    expected = facts["reference"]["estimated_accuracy"]
    drawn = timeline(times, values, mark=expected, mark_text="reference", form="{:.0%}")
    return {"errors": errors, "charts": [("Estimated accuracy", drawn), *charts]}


def _expressions(facts: Mapping[str, Any]) -> dict[str, Any]:
    both = {"reference": facts["reference"]["shown"], "newest": facts["windows"][-1]["shown"]}
    return {which: [(name, share, f"{share:.0%}") for name, share in shown.items()] for which, shown in both.items()}


def _method(facts: Mapping[str, Any]) -> dict[str, Any]:
    settings, reference = facts["alarm_settings"], facts["reference"]
    return {
        "text": f"Compared with: {reference['source']} ({reference['faces']:,} samples), predictions by {reference['bundle']}. "
        f"False-alarm interval: {settings['false_alarm_every_h']:g} hours at {settings['faces_per_h']:g} samples per hour. "
        f"Alarm: one detector flags {settings['m']:g} of {settings['n']:g} consecutive windows of 200 samples, 50 apart.",
        "scope": _SCOPES[facts["sight"]],
        "sessions": [(session["name"], _time(session["from_s"])) for session in facts["sessions"][-_SESSIONS:]],
        "counts": [(name.replace("_", " "), value) for name, value in facts["counts"].items()],
        "change_points": [
            (p["test"], p["signal"], _time(p["noticed_s"]), _time(p["since_s"]) if p["since_s"] is not None else "")
            for p in facts["change_points"][-20:]
        ],
    }


def _reference_accuracy(facts: Mapping[str, Any]) -> str:
    accuracy = facts["reference"]["estimated_accuracy"]
    return "unknown" if accuracy is None else f"{accuracy:.0%}"


def _time(seconds: float) -> str:
    """Return seconds of the stream as hours and minutes."""
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d} h"


def _odds(surprise: float) -> str:
    return f"1 window in {10**surprise:,.0f}" if surprise < 6 else "< 1 in a million"


def _parts(parts: Mapping[str, float]) -> str:
    return ", ".join(list(parts)[:3])

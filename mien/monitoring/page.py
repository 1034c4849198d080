"""``drift.html``: what was found, when, and by which statistics, on one page without a picture of anyone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

from mien import page_parts as part
from mien.emotions import COLOURS
from mien.files import write_text
from mien.monitoring.observation import MEASURES
from mien.monitoring.timeline import timeline

_TELLING: Final = 4
_SESSIONS: Final = 30
_HIGHEST: Final = 8.0
"""Surprise at which the timelines end: one in a hundred million."""
_SIGHTS: Final[dict[str, str]] = {
    "all": "",
    "answers": "Only answers were compared: stored sessions hold no picture and no embedding, by design. A camera that "
    "changed shows here as far as the model's answers and its confidence did.",
    "picture": "Only the picture was compared: no model may read faces here, so nothing is said of expressions or accuracy.",
}
_TITLES: Final[dict[str, str]] = {
    "embedding": "Embedding: distance from the nearest mix of expressions",
    "components": "Embedding: principal components",
    "quality": "Picture: light, contrast, sharpness, size, pose",
    "confidence": "Confidence and entropy of the answers",
    "expressions": "Mix of expressions",
}


def write_page(target: Path, facts: Mapping[str, Any]) -> None:
    """Write the page of what ``summary.summarise`` returned, atomically."""
    write_text(target, drift_page(facts))


def drift_page(facts: Mapping[str, Any]) -> str:
    """Return the page as HTML that loads nothing."""
    windows = facts["windows"]
    sections = [_verdict(facts)]
    if windows:
        sections.append(_timelines(facts))
        if windows[-1]["psi"]:
            sections.append(_telling(facts))
        if facts["sight"] != "picture":
            sections += [_accuracy(facts), _expressions(facts)]
    sections.append(_method(facts))
    newest = windows[-1] if windows else None
    numbers = [(f"{facts['counts']['faces']:,}", "faces"), (f"{facts['counts']['windows']:,}", "windows judged")]
    if newest is not None and newest["estimated_accuracy"] is not None:
        numbers.append((f"{newest['estimated_accuracy']:.0%}", f"accuracy, estimated; {_usual(facts)} in the reference"))
    headline = part.highlights([(facts["what"], facts["in_words"])], "worst" if facts["drift"] else "facts")
    intro = f"<p>{escape(facts['source'])}</p>{headline}{part.highlights(numbers, 'facts')}"
    footer = "This page holds statistics only: no picture, no face, no name. It loads nothing from elsewhere."
    return part.page(f"Drift: {facts['what']}", "Has anything drifted?", intro, sections, escape(footer))


def _verdict(facts: Mapping[str, Any]) -> part.LinkedSection:
    pieces = [part.paragraph(facts["in_words"].capitalize() + "."), part.paragraph(facts["advice"])]
    for event in facts["events"]:
        began = f"Began between {_time(event['since_s'])} and {_time(event['by_s'])}, noticed at {_time(event['noticed_s'])}"
        pieces.append(f"<h3>{began}</h3>")
        pieces.append(part.paragraph(event["in_words"].capitalize() + "."))
        rows = [
            (row["detector"], row["effect_is"], _parts(row["parts"]), f"{row['effect']:.3g}", _odds(row["surprise"]))
            for row in event["drifted"]
        ]
        pieces.append(part.table(("detector", "effect is the", "first of all", "effect", "seen without drift"), rows, 3))
    return part.linked_section("verdict", "What was found", *pieces)


def _timelines(facts: Mapping[str, Any]) -> part.LinkedSection:
    times = [window["to_s"] / 3600 for window in facts["windows"]]
    charts = []
    for name in facts["detectors"]:
        values = [window["surprise"][name] for window in facts["windows"]]
        flags = [name in window["flagged"] for window in facts["windows"]]
        drawn = timeline(times, values, mark=facts["level"], mark_text="limit", beyond=flags, top=_HIGHEST, form="{:.1f}")
        charts.append(f"<h3>{escape(_TITLES[name])}</h3>{drawn}")
    text = (
        "How surprising each window is where nothing has drifted: 2 is one window in a hundred, 4 one in ten thousand. "
        "Red windows are beyond the limit with an effect that matters."
    )
    return part.linked_section("timelines", "Detectors over time", part.paragraph(text), part.beside(*charts))


def _telling(facts: Mapping[str, Any]) -> part.LinkedSection:
    newest = facts["windows"][-1]
    usual = facts["reference"]["averages"]
    order = sorted(newest["psi"], key=lambda name: -newest["psi"][name])
    rows = [
        (name, MEASURES[name], f"{usual[name]:.3g}", f"{newest['averages'][name]:.3g}", f"{newest['psi'][name]:.2f}")
        for name in order
        if name in usual and name in newest["averages"]
    ]
    times = [window["to_s"] / 3600 for window in facts["windows"]]
    charts = []
    for name in [row[0] for row in rows[:_TELLING]]:
        known = [
            (t, window["averages"][name]) for t, window in zip(times, facts["windows"], strict=True) if name in window["averages"]
        ]
        drawn = timeline([t for t, _ in known], [v for _, v in known], mark=usual[name], mark_text="reference")
        charts.append(f"<h3>{escape(name)}: mean of the window</h3>{drawn}")
    text = "Means. Population stability index: by custom 0.1 is worth a look, 0.25 is a large change."
    return part.linked_section(
        "statistics",
        "The most telling statistics",
        part.table(("measure", "what it is", "reference", "newest window", "stability index"), rows, 2),
        part.paragraph(text),
        part.beside(*charts),
    )


def _accuracy(facts: Mapping[str, Any]) -> part.LinkedSection:
    times = [window["to_s"] / 3600 for window in facts["windows"]]
    sure = timeline(times, [window["confidence"] for window in facts["windows"]], form="{:.0%}")
    charts = [f"<h3>Mean confidence</h3>{sure}"]
    text = "No learnt estimate of accuracy: mean confidence is all there is, and noise makes a model wrong and sure."
    errors = facts["reference"]["accuracy_errors"]
    if errors is not None and facts["windows"][-1]["estimated_accuracy"] is not None:
        values = [window["estimated_accuracy"] for window in facts["windows"]]
        usual = facts["reference"]["estimated_accuracy"]
        charts.insert(
            0, f"<h3>Estimated accuracy</h3>{timeline(times, values, mark=usual, mark_text='reference', form='{:.0%}')}"
        )
        text = (
            "Estimated without labels, learnt from spoilt pictures. Nine times in ten it errs by at most "
            f"{100 * errors['new_photographs_p90']:.0f} points under damage of kinds it learnt from, and "
            f"{100 * errors['new_damage_p90']:.0f} points under others; mean confidence by {100 * errors['confidence_p90']:.0f}. "
            "A window of 200 faces adds about 3 points of chance."
        )
    return part.linked_section("accuracy", "How often is the model right?", part.paragraph(text), part.beside(*charts))


def _expressions(facts: Mapping[str, Any]) -> part.LinkedSection:
    newest, usual = facts["windows"][-1]["shown"], facts["reference"]["shown"]
    then = part.bars([(name, share, f"{share:.0%}") for name, share in usual.items()], COLOURS)
    now = part.bars([(name, share, f"{share:.0%}") for name, share in newest.items()], COLOURS)
    return part.linked_section(
        "expressions", "Expressions shown", part.beside(f"<h3>Reference</h3>{then}", f"<h3>Newest window</h3>{now}")
    )


def _method(facts: Mapping[str, Any]) -> part.LinkedSection:
    promise, reference, counts = facts["promise"], facts["reference"], facts["counts"]
    told = (
        f"Held against: {reference['source']} ({reference['faces']:,} looks), as {reference['bundle']} reads them. "
        f"Promised: one false alarm in {promise['false_alarm_every_h']:g} hours at {promise['faces_per_h']:g} looks an hour; "
        f"alarm where the same detector flags {promise['m']:g} of {promise['n']:g} windows of 200 faces, 50 apart."
    )
    pieces = [part.paragraph(told)]
    if _SIGHTS[facts["sight"]]:
        pieces.append(part.paragraph(_SIGHTS[facts["sight"]]))
    if facts["sessions"]:
        names = [(session["name"], _time(session["from_s"])) for session in facts["sessions"][-_SESSIONS:]]
        pieces.append("<h3>Sessions in the stream</h3>")
        pieces.append(part.table(("session", "begins at"), names, 2))
    pieces.append(part.table(("counted", ""), [(name.replace("_", " "), f"{value:,}") for name, value in counts.items()]))
    points = facts["change_points"]
    if points:
        rows = [
            (p["test"], p["signal"], _time(p["noticed_s"]), _time(p["since_s"]) if p["since_s"] is not None else "")
            for p in points[-20:]
        ]
        pieces.append("<h3>Change points</h3>")
        pieces.append(part.table(("test", "signal", "noticed", "began about then or later"), rows, 2))
        pieces.append(
            part.paragraph(
                "They compare the stream with its own past and raise no alarm: the true beginning lies between the two times."
            )
        )
    return part.linked_section("method", "How it was judged", *pieces)


def _usual(facts: Mapping[str, Any]) -> str:
    usual = facts["reference"]["estimated_accuracy"]
    return "unknown" if usual is None else f"{usual:.0%}"


def _time(seconds: float) -> str:
    """Return a time of the stream as hours and minutes."""
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d} h"


def _odds(surprise: float) -> str:
    return f"1 window in {10**surprise:,.0f}" if surprise < 6 else "< 1 in a million"


def _parts(parts: Mapping[str, float]) -> str:
    return ", ".join(list(parts)[:3])

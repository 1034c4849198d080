"""``summary.html``: the summary page of a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mien.emotions import COLOURS, EMOTIONS
from mien.pages import render
from mien.sessions.records import EventRecord, KeptSession, TrackRecord
from mien.summaries.signs import signs_section
from mien.summaries.single import NOT_READ, face_counts, faces_in_words, facing_counts, is_single, number_of_faces
from mien.summaries.timeline import expressions_timeline, facing_timeline
from mien.words import and_list, exact_percent, length, moment, percent

_EVENTS_SHOWN: Final = 20
_TRACKS_SHOWN: Final = 20
_NOTABLE: Final = 0.05
"""Smaller shares are omitted from the introduction."""


def summary_page(kept: KeptSession) -> str:
    """Return the page as HTML; it contains no picture of a person."""
    session = kept.session
    single = is_single(kept)
    over_time = session.has_expressions and session.frames_with_face > 0 and not single
    read = session.has_expressions and kept.face_s > 0
    sections = {
        "time": ("Over time", _time(kept) if over_time else None),
        "shares": ("Shares", _shares(kept) if read else None),
        "changes": ("Changes", _changes(kept) if read and over_time else None),
        "facing": ("Facing the screen", _facing(kept)),
        "signs": ("Rules", signs_section(kept.more) if not single else None),
        "faces": ("Faces", _faces(kept)),
        "belief": ("Data quality", _belief(kept)),
    }
    always = ("facing", "belief")
    return render(
        "session.html",
        session=session,
        single=single,
        drift=_drift(kept),
        started=f"{session.started_at:%Y-%m-%d %H:%M}",
        start=f"{session.started_at:%A}, {session.started_at.day} {session.started_at:%B %Y, %H:%M}",
        story=_story(kept),
        headlines=_headlines(kept),
        length=length,
        colours=COLOURS,
        sections=[(anchor, name) for anchor, (name, values) in sections.items() if values or anchor in always],
        **{anchor: values for anchor, (_, values) in sections.items()},
    )


def _story(kept: KeptSession) -> str:
    """Return a description of the session in two or three sentences."""
    session = kept.session
    if not session.frames_with_face:
        return "No face was seen." if is_single(kept) else f"In {length(session.duration_s)} no face was seen."
    if is_single(kept):
        text = f"{faces_in_words(kept)}."
        return text if session.has_expressions else f"{text} {_observables_only(kept)}"
    seen = session.presence_share
    if seen is None:  # stored by an older version
        seen = session.frames_with_face / max(1, session.frames)
    who = "One face" if session.faces_max == 1 else f"Up to {session.faces_max} faces at once"
    text = f"{who} could be seen {percent(seen)} of the time."
    ranked = [(name, share) for name, share in _ranked(kept) if share >= _NOTABLE]
    if not session.has_expressions:
        text += f" {_observables_only(kept)}"
    elif not ranked:
        return text + (" None could be read." if session.unread else " No expressions were read.")
    else:
        first, *others = [f"{name} ({percent(share)})" for name, share in ranked]
        text += f" Shown most: {first}" + (f", then {and_list(others)}." if others else ".")
    facing = kept.facing_share
    if facing is not None:
        turned = "The face was" if session.faces_max == 1 else "Faces were"
        text += f" {turned} turned to the screen {percent(facing)} of the time."
    return text


def _observables_only(kept: KeptSession) -> str:
    return f"Observables only: no expression was read, by the rule {kept.session.rule}."


def _headlines(kept: KeptSession) -> list[tuple[str, str]]:
    session = kept.session
    single, facing = is_single(kept), kept.facing_share
    rows = [("1", "picture") if single else (length(session.duration_s), f"{session.frames:,} frames")]
    if kept.face_s > 0:
        name, share = _ranked(kept)[0]
        faces = f"{face_counts(kept)[0][1]} of {number_of_faces(session.faces_max)}"
        rows.append((name, f"shown most: {faces if single else f'{percent(share)} of face time'}"))
    if single and facing is not None:
        rows.append(("{} of {}".format(*facing_counts(kept)), "facing the screen"))
    elif facing is not None:
        rows.append((percent(facing), "facing the screen"))
    elif session.frames_with_face:
        rows.append(("–", "facing the screen: not measured"))
    if session.readings:
        rows.append((percent(session.uncertain / session.readings), "of the readings are uncertain"))
    return rows


def _time(kept: KeptSession) -> dict[str, Any]:
    if not kept.intervals:
        return {"timeline": None}
    events = kept.events[:_EVENTS_SHOWN]
    start_s = kept.intervals[0].from_s
    return {
        "column": length(kept.intervals[0].to_s - start_s),
        "timeline": expressions_timeline(kept.intervals, events, start_s + kept.session.duration_s),
        "events": [
            (n, moment(event.t_s - start_s), event.kind.replace("-", " "), _details(event)) for n, event in enumerate(events, 1)
        ],
        "events_in_all": len(kept.events),
    }


def _shares(kept: KeptSession) -> dict[str, Any]:
    ranked = _ranked(kept)
    never = [name for name, share in ranked if share == 0]
    if is_single(kept):
        shown = {name: number_of_faces(n) for name, n in face_counts(kept)}
    else:
        shown = {name: length(kept.face_s * share) for name, share in ranked}
    return {
        "shown": [(name, share, f"{exact_percent(share)} · {shown[name]}") for name, share in ranked if share > 0],
        "never": and_list(never) if never else "",
    }


def _changes(kept: KeptSession) -> dict[str, Any]:
    total = sum(row.count for row in kept.transitions)
    if not total:
        return {"total": 0}
    top = sorted(kept.transitions, key=lambda row: -row.count)[:5]
    names = [n for n in EMOTIONS if any(n in (row.before, row.after) for row in kept.transitions)]
    counts = {(row.before, row.after): row.count for row in kept.transitions}
    most = max(counts.values())
    face_min = kept.face_s / 60
    return {
        "total": total,
        "often": f", {total / face_min:.1f} per minute of face time" if face_min > 0.5 else "",
        "top": [(f"{row.before} → {row.after}", row.count, str(row.count)) for row in top],
        "names": names,
        "rows": [(before, _tinted([counts.get((before, after), 0) for after in names], most)) for before in names],
    }


def _tinted(counts: Sequence[int], most: int) -> list[tuple[float, str]]:
    """Return counts as heatmap cells: intensity from 0 to 1, and text."""
    return [(n / most, str(n or "")) for n in counts]


def _facing(kept: KeptSession) -> dict[str, Any] | None:
    if kept.facing_share is None:
        return None
    if is_single(kept):
        facing, known = facing_counts(kept)
        return {"faces": f"{facing} of {number_of_faces(known)} turned to the screen."}
    return {
        "faces": "",
        "facing_s": sum(row.facing_s for row in kept.intervals),
        "away_s": sum(row.away_s for row in kept.intervals),
        "timeline": facing_timeline(kept.intervals),
    }


def _faces(kept: KeptSession) -> dict[str, Any] | None:
    if not kept.tracks:
        return None
    start_s = kept.intervals[0].from_s if kept.intervals else 0.0
    if is_single(kept):
        return _faces_of_picture(kept)
    head = ("face", "from", "to", "facing", *(("read", "mostly", "uncertain") if kept.session.has_expressions else ()))
    longest = sorted(kept.tracks, key=lambda row: row.first_s - row.last_s)[:_TRACKS_SHOWN]
    rows = []
    for track in sorted(longest, key=lambda row: row.first_s):
        face_s, known = sum(track.label_s), track.facing_s + track.away_s
        row = (
            track.track_id, moment(track.first_s - start_s), moment(track.last_s - start_s),
            percent(track.facing_s / known) if known > 0 else "–",
            length(face_s), _mostly(track), percent(track.uncertain / max(1, track.readings)),
        )  # fmt: skip
        rows.append(row[: len(head)])
    return {"head": head, "rows": rows, "in_all": len(kept.tracks)}


def _faces_of_picture(kept: KeptSession) -> dict[str, Any]:
    head = ("face", "facing", *(("expression", "uncertain") if kept.session.has_expressions else ()))
    rows = []
    for track in kept.tracks[:_TRACKS_SHOWN]:
        facing = "yes" if track.facing_s > track.away_s else "no" if track.away_s > 0 else "–"
        rows.append((track.track_id, facing, _mostly(track), "yes" if track.uncertain else "no")[: len(head)])
    return {"head": head, "rows": rows, "in_all": len(kept.tracks)}


def _mostly(track: TrackRecord) -> str:
    """Return the expression that a face showed for the longest time."""
    longest = max(track.label_s)
    return EMOTIONS[track.label_s.index(longest)] if longest > 0 else NOT_READ


def _drift(kept: KeptSession) -> str:
    """Return the result of drift detection as a sentence, "" if there is none."""
    return kept.more["drift"]["in_words"].removeprefix("drift detection is off: ") if "drift" in kept.more else ""


def _belief(kept: KeptSession) -> list[tuple[str, str, str]]:
    """Return measures of data quality: name, count, meaning."""
    session = kept.session
    delivered = max(session.captured, session.frames + session.dropped)
    readings = (
        ("faces read", f"{session.readings:,}", "one per face and frame"),
        ("of them uncertain", f"{session.uncertain:,}", percent(session.uncertain / max(1, session.readings))),
    )
    return [
        (
            "frames processed",
            f"{session.frames:,}",
            f"{session.frames / session.duration_s:.1f} per second of the session"
            if session.frames > 1 and session.duration_s > 0
            else "",
        ),
        ("frames dropped", f"{session.dropped:,}", f"{percent(session.dropped / max(1, delivered))} of those delivered"),
        ("frames with a face", f"{session.frames_with_face:,}", percent(session.frames_with_face / max(1, session.frames))),
        *(readings if session.has_expressions else ()),
        *((f"not read: {why}", f"{count:,}", "") for why, count in sorted(session.unread.items(), key=lambda item: -item[1])),
    ]


def _ranked(kept: KeptSession) -> list[tuple[str, float]]:
    """Return all expressions with their share of face time, largest first."""
    total = max(1e-9, kept.face_s)
    return sorted(((name, s / total) for name, s in zip(EMOTIONS, kept.label_s, strict=True)), key=lambda row: -row[1])


def _details(event: EventRecord) -> str:
    whose = {"face": event.track_id} if event.track_id else {}
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in {**whose, **event.details}.items())

"""``summary.html``: a session on one page, for somebody who was not there and has a minute."""

from __future__ import annotations

from html import escape
from typing import Final

from mien import page_parts as part
from mien.emotions import COLOURS, EMOTIONS
from mien.privacy.level import Level
from mien.store.session_records import EventRecord, KeptSession
from mien.store.summary_document import facing_share
from mien.store.summary_signs import signs_section
from mien.store.summary_timeline import expressions_timeline, facing_timeline
from mien.store.summary_words import and_list, length, moment, percent

_EVENTS_SHOWN: Final = 20
_TRACKS_SHOWN: Final = 20
_NOTABLE: Final = 0.05
"""Shares below this are not worth a word in the first sentence."""


def summary_page(kept: KeptSession) -> str:
    """Return the whole page; it holds no picture of a person."""
    session = kept.session
    start = f"{session.started_at:%A}, {session.started_at.day} {session.started_at:%B %Y, %H:%M}"
    shown = [] if session.policy == Level.OBSERVABLES.value else [_time(kept), _shares(kept), _changes(kept)]
    sections = [*shown, _facing(kept), signs_section(kept.more), _faces(kept), _belief(kept)]
    intro = (
        f'<div class="soft">{escape(start)} · {escape(session.source)} · {length(session.duration_s)}</div>'
        f'<p class="lead">{escape(_story(kept))}</p>' + _warning(kept) + part.highlights(_headlines(kept), "facts")
    )
    footer = part.paragraph(
        "Expression, not feeling: a look is not a state of mind. Not for grading, discipline or proctoring. "
        "Only sums are kept here: no picture, and nobody is recognised; faces have random names that end with the session."
    ) + part.paragraph(
        f"Session {session.session_id} · model {session.model} · face detector {session.detector} · Mien {session.version} · "
        f"recorded under: {session.policy or 'not noted'} ({session.rule or 'no rule'}) · "
        "the numbers: summary.json; every reading: observations.csv. This page loads nothing from elsewhere."
    )
    return part.page(
        f"Session of {session.started_at:%Y-%m-%d %H:%M}", "What the faces showed", intro, [s for s in sections if s], footer
    )


def _story(kept: KeptSession) -> str:
    """Return the session in two or three sentences."""
    session = kept.session
    if not session.frames_with_face:
        return f"In {length(session.duration_s)} no face was seen."
    seen = session.frames_with_face / max(1, session.frames)
    who = "One face" if session.faces_max == 1 else f"Up to {session.faces_max} faces at once"
    text = f"{who} could be seen {percent(seen)} of the time."
    ranked = [(name, share) for name, share in _ranked(kept) if share >= _NOTABLE]
    if session.policy == Level.OBSERVABLES.value:
        text += f" Observables only: no expression was read, by the rule {session.rule}."
    elif not ranked:
        return text + (" None could be read." if session.unread else " No expressions were read.")
    else:
        first, *others = [f"{name} ({percent(share)})" for name, share in ranked]
        text += f" Shown most: {first}" + (f", then {and_list(others)}." if others else ".")
    facing = facing_share(kept)
    if facing is not None:
        text += f" Faces were turned to the screen {percent(facing)} of the time."
    return text


def _warning(kept: KeptSession) -> str:
    """Return what must be known before anything else is read."""
    if kept.session.state == "recovered":
        return part.paragraph(
            "This session was cut off, and put together again from what had been saved: at most its last second is missing, "
            "and how long each frame lasted is taken from the times of its neighbours."
        )
    if kept.session.state == "running":
        return part.paragraph("This session is still running: these are the numbers so far.")
    return ""


def _headlines(kept: KeptSession) -> list[tuple[str, str]]:
    session = kept.session
    rows = [(length(session.duration_s), f"watched, {session.frames:,} frames")]
    if kept.face_s > 0:
        name, share = _ranked(kept)[0]
        rows.append((name, f"shown most: {percent(share)} of face time"))
    facing = facing_share(kept)
    rows.append((percent(facing), "facing the screen") if facing is not None else ("–", "facing the screen: not measured"))
    if session.readings:
        rows.append((percent(session.uncertain / session.readings), "of the readings are guesses"))
    return rows


def _time(kept: KeptSession) -> part.LinkedSection:
    if not kept.intervals or kept.session.frames_with_face == 0:
        return part.linked_section("time", "Over time", part.paragraph("No face was seen."))
    events = kept.events[:_EVENTS_SHOWN]
    start_s = kept.intervals[0].from_s
    slice_s = kept.intervals[0].to_s - start_s
    parts = [
        part.paragraph(f"Each column is {length(slice_s)}: the higher a colour, the more of that time faces showed it."),
        expressions_timeline(kept.intervals, events, start_s + kept.session.duration_s),
    ]
    if events:
        more = f" The first {len(events)} of {len(kept.events)}." if len(kept.events) > len(events) else ""
        parts += [
            "<h3>What happened</h3>",
            part.table(
                ("", "at", "what", "details"),
                [
                    (n, moment(event.t_s - start_s), event.kind.replace("-", " "), _details(event))
                    for n, event in enumerate(events, 1)
                ],
                4,
            ),
            part.paragraph(f"The numbers stand above the picture, at their times.{more}"),
        ]
    return part.linked_section("time", "Over time", *parts)


def _shares(kept: KeptSession) -> part.LinkedSection:
    shown = [(name, share) for name, share in _ranked(kept) if share > 0]
    never = [name for name, share in _ranked(kept) if share == 0]
    note = "Shares of face time: two faces for one minute are two minutes. Guesses count too."
    return part.linked_section(
        "shares",
        "Shares",
        part.bars([(name, share, f"{100 * share:.1f} % · {length(kept.face_s * share)}") for name, share in shown], COLOURS),
        part.paragraph(note + (f" Never shown: {and_list(never)}." if shown and never else "")),
    )


def _changes(kept: KeptSession) -> part.LinkedSection:
    total = sum(row.count for row in kept.transitions)
    if not total:
        return part.linked_section("changes", "Changes", part.paragraph("No face went from one expression to another."))
    top = sorted(kept.transitions, key=lambda row: -row.count)[:5]
    names = [n for n in EMOTIONS if any(n in (row.before, row.after) for row in kept.transitions)]
    counts = {(row.before, row.after): row.count for row in kept.transitions}
    most = max(counts.values())
    face_min = kept.face_s / 60
    often = f", {total / face_min:.1f} a minute of face time" if face_min > 0.5 else ""
    grid = [[counts.get((before, after), 0) for after in names] for before in names]
    return part.linked_section(
        "changes",
        "Changes",
        part.paragraph(f"{total:,} change{'s' if total > 1 else ''} from one expression straight to another{often}."),
        part.beside(
            "<h3>Most often</h3>" + part.bars([(f"{r.before} → {r.after}", float(r.count), str(r.count)) for r in top]),
            "<h3>All</h3>" + _grid(names, grid, most) + '<p class="soft">From the row’s expression to the column’s.</p>',
        ),
    )


def _grid(names: list[str], counts: list[list[int]], most: int) -> str:
    """Return counts as a table tinted by their size."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(
            f"<td style='background:color-mix(in srgb, var(--mark) {70 * n / most:.0f}%, transparent)'>{n or ''}</td>"
            for n in row
        )
        + "</tr>"
        for name, row in zip(names, counts, strict=True)
    )
    return f'<div class="wide close"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _facing(kept: KeptSession) -> part.LinkedSection:
    share = facing_share(kept)
    note = part.paragraph("Where a head points says nothing of where the mind is: who looks down may be taking notes.")
    if share is None:
        return part.linked_section(
            "facing", "Facing the screen", part.paragraph("Head poses were not measured in this session."), note
        )
    facing, away = (sum(getattr(row, name) for row in kept.intervals) for name in ("facing_s", "away_s"))
    return part.linked_section(
        "facing",
        "Facing the screen",
        part.paragraph(f"{length(facing)} of face time turned to the screen, {length(away)} turned away."),
        facing_timeline(kept.intervals),
        note,
    )


def _faces(kept: KeptSession) -> part.LinkedSection | None:
    if not kept.tracks:
        return None
    start_s = kept.intervals[0].from_s if kept.intervals else 0.0
    longest = sorted(kept.tracks, key=lambda row: row.first_s - row.last_s)[:_TRACKS_SHOWN]
    rows = []
    for track in sorted(longest, key=lambda row: row.first_s):
        face_s, known = sum(track.label_s), track.facing_s + track.away_s
        most = EMOTIONS[max(range(len(EMOTIONS)), key=lambda k: track.label_s[k])] if face_s > 0 else "not read"
        rows.append(
            (track.track_id, moment(track.first_s - start_s), moment(track.last_s - start_s), length(face_s), most,
             percent(track.facing_s / known) if known > 0 else "–", percent(track.uncertain / max(1, track.readings)))
        )  # fmt: skip
    more = f" The {len(rows)} longest of {len(kept.tracks)}." if len(kept.tracks) > len(rows) else ""
    return part.linked_section(
        "faces",
        "Faces",
        '<div class="close">' + part.table(("face", "from", "to", "read", "mostly", "facing", "guesses"), rows) + "</div>",
        part.paragraph(f"A face that leaves and comes back gets a new name: Mien recognises nobody.{more}"),
    )


def _belief(kept: KeptSession) -> part.LinkedSection:
    """Return the section on how good the session's material was."""
    session = kept.session
    delivered = max(session.captured, session.frames + session.dropped)
    rows = [
        ("frames processed", f"{session.frames:,}", f"{session.frames / max(1e-9, session.duration_s):.1f} a second"),
        ("frames dropped", f"{session.dropped:,}", f"{percent(session.dropped / max(1, delivered))} of those delivered"),
        ("frames with a face", f"{session.frames_with_face:,}", percent(session.frames_with_face / max(1, session.frames))),
        ("faces read", f"{session.readings:,}", "one a face a frame"),
        ("of them guesses", f"{session.uncertain:,}", percent(session.uncertain / max(1, session.readings))),
        *([("drift", kept.more["drift"]["status"], kept.more["drift"]["in_words"])] if "drift" in kept.more else []),
        *((f"not read: {why}", f"{count:,}", "") for why, count in sorted(session.unread.items(), key=lambda item: -item[1])),
    ]
    return part.linked_section(
        "belief",
        "How far to believe it",
        part.table(("", "count", ""), rows),
        part.paragraph(
            "A guess is a reading whose confidence is so low that the model errs too often there. Dropped frames are frames that "
            "came faster than they could be read; the next frame stands for their time."
        ),
    )


def _ranked(kept: KeptSession) -> list[tuple[str, float]]:
    """Return all expressions with their share of face time, the most shown first."""
    total = max(1e-9, kept.face_s)
    return sorted(((name, s / total) for name, s in zip(EMOTIONS, kept.label_s, strict=True)), key=lambda row: -row[1])


def _details(event: EventRecord) -> str:
    whose = {"face": event.track_id} if event.track_id else {}
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in {**whose, **event.details}.items())

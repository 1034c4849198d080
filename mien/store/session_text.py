"""A session that is kept, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from mien.emotions import EMOTIONS
from mien.store.session_records import KeptSession
from mien.store.summary_document import facing_share
from mien.store.summary_words import length, moment, percent

_EVENTS_SHOWN = 10


def session_text(kept: KeptSession, files: Sequence[str], place: str) -> str:
    """Return what there is to say of a session.

    Args:
        kept: the session.
        files: names of what is kept.
        place: where that is.
    """
    session = kept.session
    seen, guesses = session.frames_with_face / max(1, session.frames), session.uncertain / max(1, session.readings)
    lines = [
        f"SESSION {session.session_id}",
        "=" * 60,
        f"began               {session.started_at:%Y-%m-%d %H:%M:%S} ({session.state})",
        f"source              {session.source}",
        f"length              {length(session.duration_s)}",
        f"frames              {session.frames:,} processed, {session.dropped:,} dropped",
        f"frames with a face  {session.frames_with_face:,} ({percent(seen)}), at most {session.faces_max} at once",
        f"guesses             {percent(guesses)} of the readings",
    ]
    facing = facing_share(kept)
    if facing is not None:
        lines.append(f"facing the screen   {percent(facing)} of face time (where heads point, not what is attended to)")
    lines += [f"not read            {why}: {count:,}" for why, count in session.unread.items()]
    lines += ["", f"expressions by face time ({length(kept.face_s)})"]
    ranked = sorted(zip(EMOTIONS, kept.label_s, strict=True), key=lambda row: -row[1])
    for name, seconds in ranked:
        share = seconds / kept.face_s if kept.face_s > 0 else 0.0
        lines.append(f"  {name:<9} {share:6.1%}  {'█' * round(40 * share)}")
    if kept.transitions:
        top = max(kept.transitions, key=lambda row: row.count)
        total = sum(row.count for row in kept.transitions)
        lines += ["", f"changes             {total:,}, most often from {top.before} to {top.after} ({top.count:,})"]
    if kept.events:
        lines += ["", f"events              {len(kept.events):,}"]
        lines += [f"  {moment(event.t_s):>8}  {event.kind}" for event in kept.events[:_EVENTS_SHOWN]]
    return "\n".join(
        [*lines, "", f"kept in {place}: {', '.join(files)}", "Expression, not feeling: a look is not a state of mind."]
    )

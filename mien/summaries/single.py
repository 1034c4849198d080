"""A session of one picture: it has no length, so its faces are counted instead of their time."""

from __future__ import annotations

from collections.abc import Sequence

from mien.emotions import EMOTIONS
from mien.sessions.records import KeptSession

NOT_READ = "not read"


def is_single(kept: KeptSession) -> bool:
    """Return whether the session is one picture."""
    return kept.session.frames == 1


def face_counts(kept: KeptSession) -> list[tuple[str, int]]:
    """Return the number of read faces of every expression, largest first."""
    session, total = kept.session, kept.face_s
    counts = [round(session.readings * seconds / total) if total > 0 else 0 for seconds in kept.label_s]
    return sorted(zip(EMOTIONS, counts, strict=True), key=lambda row: -row[1])


def facing_counts(kept: KeptSession) -> tuple[int, int]:
    """Return the number of faces turned to the screen, and of faces whose direction is known."""
    known = [track for track in kept.tracks if track.facing_s + track.away_s > 0]
    return sum(track.facing_s > track.away_s for track in known), len(known)


def faces_in_words(kept: KeptSession) -> str:
    """Return the faces of the picture in words: "5 faces: 3 happy, 2 neutral"."""
    session = kept.session
    words = number_of_faces(session.faces_max)
    if not session.has_expressions or not session.faces_max:
        return words
    counts: Sequence[tuple[str, int]] = [row for row in face_counts(kept) if row[1]]
    unread = session.faces_max - sum(n for _, n in counts)
    counts = [*counts, *([(NOT_READ, unread)] if unread > 0 else [])]
    if len(counts) > 1:
        return f"{words}: {', '.join(f'{n} {name}' for name, n in counts)}"
    return f"{words}: {'all ' if session.faces_max > 1 else ''}{counts[0][0]}"


def number_of_faces(faces: int) -> str:
    """Return a number of faces in words.

    >>> number_of_faces(1), number_of_faces(5)
    ('1 face', '5 faces')
    """
    return f"{faces} face{'' if faces == 1 else 's'}"

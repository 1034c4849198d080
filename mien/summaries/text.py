"""Session summaries for the terminal: at the end of a run, and of a stored session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mien.emotions import EMOTIONS
from mien.privacy.level import Level
from mien.privacy.policy import NOT_PERMITTED
from mien.sessions.records import KeptSession
from mien.summaries.signs import signs_lines
from mien.words import length, moment, percent

OBSERVABLES_ONLY: Final = "observables only: no expressions were read"
_DISCLAIMER: Final = "Mien reads expressions, not feelings."
_EVENTS_SHOWN: Final = 10
_PROBLEM_NAMES: Final = {
    "lost_s": "seconds without a frame",
    "resolution_changes": "changes of resolution",
    "repaired_times": "wrong times repaired",
    "unreadable": "unreadable pictures",
}
"""Display names of source problems whose key is not self-explanatory."""


def summary_text(summary: Mapping[str, Any]) -> str:
    """Return the summary that is printed when a run ends.

    Args:
        summary: the result of ``Session.run``.
    """
    not_erased = summary.get("not_erased", ())
    if summary.get("withdrawn") and not_erased:
        return "\n".join(["Consent was withdrawn: the session has ended. Not everything was erased or recorded:", *not_erased])
    if summary.get("withdrawn"):
        return "Consent was withdrawn: the session has ended and its data has been erased."
    frames, observables = summary["frames"], summary["policy"] == Level.OBSERVABLES.value
    share = summary["frames_with_face"] / frames if frames else 0.0
    guesses = f"uncertain readings  {summary['uncertain_share']:.0%} (shown with a question mark)" if not observables else ""
    lines = [
        "SESSION SUMMARY",
        "=" * 60,
        f"source              {summary['source']}",
        *([f"duration            {summary['duration_s']:.1f} s"] if frames != 1 else []),
        f"frames processed    {frames} ({summary['fps']:.1f} per second, {summary['dropped']} dropped)",
        f"frames with a face  {summary['frames_with_face']} ({share:.0%}), at most {summary['faces_max']} at once",
        *([guesses] if guesses else []),
        *_problem_lines(summary["source_health"]),
        *_measure_lines(summary),
        *signs_lines(summary),
        "",
        OBSERVABLES_ONLY if observables else "expressions by face time",
        *([] if observables else _bars(summary["distribution"])),
    ]
    if not frames or not summary["frames_with_face"]:
        lines.append("  (no face was seen)")
    if summary["missing"]:
        lines += ["", "NOT EVERYTHING WAS SAVED", *(f"  {reason}" for reason in summary["missing"])]
    if not_erased:
        lines += ["", "NOT EVERYTHING WAS ERASED OR RECORDED", *(f"  {reason}" for reason in not_erased)]
    return "\n".join([*lines, "", _saved(summary), _DISCLAIMER])


def session_text(kept: KeptSession, files: Sequence[str], place: str) -> str:
    """Return the summary of a stored session.

    Args:
        kept: the session.
        files: names of its files.
        place: where it is stored.
    """
    session = kept.session
    with_face, guesses = session.frames_with_face / max(1, session.frames), session.uncertain / max(1, session.readings)
    lines = [
        f"SESSION {session.session_id}",
        "=" * 60,
        f"began               {session.started_at:%Y-%m-%d %H:%M:%S} ({session.state})",
        f"source              {session.source}",
        f"duration            {length(session.duration_s)}",
        f"frames              {session.frames:,} processed, {session.dropped:,} dropped",
        f"frames with a face  {session.frames_with_face:,} ({percent(with_face)}), at most {session.faces_max} at once",
        *([f"uncertain           {percent(guesses)} of the readings"] if session.has_expressions else []),
    ]
    if session.presence_share is not None:
        lines.append(f"presence            a face was in view for {percent(session.presence_share)} of the time")
    if kept.facing_share is not None:
        lines.append(f"facing the screen   {percent(kept.facing_share)} of face time (head direction, not attention)")
    lines += [f"not read            {why}: {count:,}" for why, count in session.unread.items()]
    if session.has_expressions:
        shares = {name: seconds / max(1e-9, kept.face_s) for name, seconds in zip(EMOTIONS, kept.label_s, strict=True)}
        lines += ["", f"expressions by face time ({length(kept.face_s)})", *_bars(shares)]
    else:
        lines += ["", OBSERVABLES_ONLY]
    if kept.transitions and session.has_expressions:
        top = max(kept.transitions, key=lambda row: row.count)
        total = sum(row.count for row in kept.transitions)
        lines += ["", f"transitions         {total:,}, most often from {top.before} to {top.after} ({top.count:,})"]
    if kept.events:
        lines += ["", f"events              {len(kept.events):,}"]
        lines += [f"  {moment(event.t_s):>8}  {event.kind}" for event in kept.events[:_EVENTS_SHOWN]]
    return "\n".join([*lines, "", f"saved in {place}: {', '.join(files)}", _DISCLAIMER])


def _saved(summary: Mapping[str, Any]) -> str:
    """Return the line that says which files a run has written, and where."""
    if summary["files"]:
        return f"saved in {summary['out']}: {', '.join(summary['files'])}"
    # a session that is not stored has no folder
    return f"nothing was saved in {summary['out']}" if summary["missing"] else "this session was not stored"


def _bars(shares: Mapping[str, float]) -> list[str]:
    """Return a text bar for each expression, in descending order."""
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    return [f"  {name:<9} {share:6.1%}  {'█' * round(40 * share)}" for name, share in ranked]


def _problem_lines(counts: Mapping[str, float]) -> list[str]:
    """Return the line on the source's problems; an empty list if there were none."""
    found = ", ".join(f"{_PROBLEM_NAMES.get(name, name.replace('_', ' '))}: {count:g}" for name, count in counts.items() if count)
    return [f"source problems     {found}"] if found else []


def _measure_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return the lines on presence, head direction, affect, transitions and drift that were measured."""
    lines = [f"presence            a face was in view for {summary['presence_share']:.0%} of the time"]
    if summary["facing_share"] is not None:
        lines.append(f"facing the screen   {summary['facing_share']:.0%} of face time (head direction, not attention)")
    if summary.get("valence") is not None:
        lines.append(f"valence, arousal    {summary['valence']:+.2f}, {summary['arousal']:+.2f} on average, from -1 to 1")
    moves = [(n, a, b) for a, row in summary.get("transitions", {}).items() for b, n in row.items()]
    if moves:
        count, before, after = max(moves)
        lines.append(f"transitions         {sum(n for n, _, _ in moves)}, most often from {before} to {after} ({count})")
    if summary.get("dwell"):
        name, times = max(summary["dwell"].items(), key=lambda item: float(item[1]["longest_s"]))
        lines.append(f"longest episode     {name}, {times['longest_s']:.1f} s")
    if summary.get("drift", {}).get("windows"):
        lines.append(f"drift               {summary['drift']['in_words']}")
    unread = ", ".join(f"{why} {count}" for why, count in summary["unread"].items() if why != NOT_PERMITTED)
    if unread:
        lines.append(f"faces not read      {unread}")
    return lines

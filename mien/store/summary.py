"""The end of a session as one block of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.privacy.level import Level
from mien.privacy.permit import NOT_PERMITTED
from mien.records import SourceHealth
from mien.store.summary_signs import signs_lines

_TROUBLES: Final = {
    "losses": "losses",
    "stalls": "stalls",
    "lost_s": "seconds without a frame",
    "reopenings": "reopenings",
    "black_frames": "black frames",
    "resolution_changes": "changes of resolution",
    "repaired_times": "wrong times repaired",
    "unreadable": "unreadable pictures",
}


def health_counts(health: SourceHealth) -> dict[str, float]:
    """Return what went wrong with a source by name, seconds rounded to a tenth."""
    return {name: round(value, 1) for name, value in asdict(health).items() if name in _TROUBLES}


def shares_by_name(values: NDArray[np.float64]) -> dict[str, float]:
    """Return (7,) shares by class name, rounded to 4 digits."""
    return {name: round(float(value), 4) for name, value in zip(EMOTIONS, values, strict=True)}


_UNCERTAIN: Final = "uncertain readings  {:.0%} (shown with a question mark: the model errs too often there)"


def summary_text(summary: dict[str, Any], files: Sequence[str]) -> str:
    """Return the SESSION SUMMARY for a terminal."""
    frames, observables = summary["frames"], summary["policy"] == Level.OBSERVABLES.value
    share = summary["frames_with_face"] / frames if frames else 0.0
    lines = [
        "SESSION SUMMARY",
        "=" * 60,
        f"source              {summary['source']}",
        f"duration            {summary['duration_s']:.1f} s",
        f"frames processed    {frames} ({summary['fps']:.1f} a second, {summary['dropped']} dropped)",
        f"frames with a face  {summary['frames_with_face']} ({share:.0%}), at most {summary['faces_max']} at once",
        *([] if observables else [_UNCERTAIN.format(summary["uncertain_share"])]),
        *_troubles(summary["source_health"]),
        *_seen_lines(summary),
        *signs_lines(summary),
        "",
    ]
    if observables:
        lines.append("observables only: no expression was read, nor anything that follows from one")
    else:
        lines.append("expressions by face time")
        for name, value in sorted(summary["distribution"].items(), key=lambda item: -item[1]):
            lines.append(f"  {name:<9} {value:6.1%}  {'█' * round(40 * value)}")
    if not frames or not summary["frames_with_face"]:
        lines.append("  (no face was seen)")
    saved = f"saved in {summary['out']}: {', '.join(files)}" if files else f"nothing is saved in {summary['out']}"
    lines += ["", saved, "Expression, not feeling: a look is not a state of mind."]
    return "\n".join(lines)


def _troubles(counts: dict[str, float]) -> list[str]:
    """Return the line on what went wrong with the source; none where nothing did."""
    found = ", ".join(f"{words}: {counts[name]:g}" for name, words in _TROUBLES.items() if counts[name])
    return [f"source troubles     {found}"] if found else []


def _seen_lines(summary: dict[str, Any]) -> list[str]:
    """Return the lines on presence, pose, affect and change, as far as there is anything to say."""
    lines = [f"presence            a face was there for {summary['presence_share']:.0%} of the time"]
    if summary["facing_share"] is not None:
        lines.append(
            f"facing the screen   {summary['facing_share']:.0%} of face time (where heads point, not what is attended to)"
        )
    if summary["valence"] is not None:
        lines.append(f"valence, arousal    {summary['valence']:+.2f}, {summary['arousal']:+.2f} on average, from -1 to 1")
    moves = [(n, a, b) for a, row in summary["transitions"].items() for b, n in row.items()]
    if moves:
        count, before, after = max(moves)
        lines.append(f"transitions         {sum(n for n, _, _ in moves)}, most often from {before} to {after} ({count})")
    if summary["dwell"]:
        name, times = max(summary["dwell"].items(), key=lambda item: float(item[1]["longest_s"]))
        lines.append(f"longest episode     {name}, {times['longest_s']:.1f} s")
    if summary.get("drift", {}).get("windows"):
        lines.append(f"drift               {summary['drift']['in_words']}")
    said = ", ".join(f"{why} {count}" for why, count in summary["unread"].items() if why != NOT_PERMITTED)
    if said:
        lines.append(f"faces not read      {said}")
    return lines

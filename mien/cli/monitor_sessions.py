"""``mien monitor sessions``: compare recent sessions with earlier ones."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from mien.cli.monitor_report import Cooldown, FalseAlarms, Prometheus, ReferenceFile, ReportFolder, Windows
from mien.cli.options import MODEL_DEFAULT, SESSIONS_DEFAULT, JsonLine, Model, OpenPage, SessionsFolder
from mien.errors import DataError, UsageError

_SPAN: Final = re.compile(r"(\d{1,4})\s*([hdw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}


def parse_time(option: str, text: str, now: datetime) -> datetime:
    """Return the time meant by ``7d``, ``12h`` or ``2w`` (before now) or by a date or ISO 8601 time.

    >>> parse_time("--from", "2d", datetime(2026, 3, 4)).isoformat()
    '2026-03-02T00:00:00'
    >>> parse_time("--from", "2026-03-01", datetime(2026, 3, 4)).isoformat()
    '2026-03-01T00:00:00'

    Raises:
        UsageError: the text is none of these.
    """
    span = _SPAN.fullmatch(text.strip())
    if span is not None:
        return now - timedelta(hours=int(span[1]) * _HOURS[span[2]])
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment if moment.tzinfo is not None or now.tzinfo is None else moment.astimezone()
    except (ValueError, OverflowError):
        raise UsageError(f"{option} is {text!r}; use hours, days or weeks ago (12h, 7d, 2w) or a date (2026-03-01)") from None


def watch_sessions(
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Start of the recent sessions: 12h, 7d or 2w ago, or a date.")
    ],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="End of the recent sessions.", show_default="now")] = "0h",
    sessions: SessionsFolder = SESSIONS_DEFAULT,
    model: Model = MODEL_DEFAULT,
    reference: ReferenceFile = None,
    out: ReportFolder = Path("results/drift"),
    false_alarm_every_h: FalseAlarms = 100.0,
    windows: Windows = "3/4",
    cooldown_h: Cooldown = 24.0,
    prometheus: Prometheus = None,
    json_line: JsonLine = False,
    open_page: OpenPage = False,
) -> None:
    """Compare recent sessions with all earlier sessions. Exit code 10 if drift is found.

    Compares expressions and confidence; sessions hold no pictures and no embeddings, so picture
    quality is not compared.

    Example:
      mien monitor sessions --from 7d
    """
    from mien.cli.monitor_report import ReportOptions, finish, parse_rule
    from mien.errors import require
    from mien.files import file_hash
    from mien.monitoring.monitor import DriftMonitor
    from mien.monitoring.reference import Reference
    from mien.monitoring.reference_file import read_reference, reference_path
    from mien.monitoring.trigger import DriftTrigger
    from mien.vision.bundles import bundle_path
    from mien.watch import WatchResult, observe_sessions, sessions_with_observations, watch

    require(("scipy", "river") + (("prometheus_client",) if prometheus else ()), "monitor", "Watching for drift")
    rule = parse_rule(windows)
    now = datetime.now().astimezone()
    first, last = parse_time("--from", start, now), parse_time("--to", end, now)
    if last <= first:
        raise UsageError(f"--to ({last:%Y-%m-%d %H:%M}) is not after --from ({first:%Y-%m-%d %H:%M})")
    bundle = bundle_path(model)
    base = read_reference(reference or reference_path(bundle), file_hash(bundle))
    found = sessions_with_observations(sessions)
    same = [session for session in found if session.record.model in ("", base.bundle)]
    before = [session for session in same if session.record.started_at < first]
    after = [session for session in same if first <= session.record.started_at <= last]
    if not after:
        raise UsageError(
            f"no session of {base.bundle} in {sessions} started from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} "
            f"({len(before)} before). Choose an earlier --from"
        )
    if not before:
        raise DataError(
            f"no session of {base.bundle} in {sessions} is earlier than {first:%Y-%m-%d %H:%M}, so there is nothing to "
            f"compare with yet: the first one started at {after[0].record.started_at:%Y-%m-%d %H:%M}. "
            "Wait until there are earlier sessions, or choose a later --from"
        )
    earlier, watched = WatchResult(), WatchResult()
    past = list(observe_sessions(before, base, earlier))
    source = f"{len(before)} sessions before {first:%Y-%m-%d %H:%M}"
    if not past:
        raise DataError(f"the {source} hold no face that was read, so there is nothing to compare with. Choose a later --from")
    try:
        own = Reference.from_stream(past, base, source=source, scope="answers")
    except DataError as error:
        raise DataError(
            f"the {source} are too short to compare with: {error}. Wait until there are more earlier sessions, or choose "
            "a later --from"
        ) from error
    hourly = own.faces / max((past[-1].t_s - past[0].t_s) / 3600, 1 / 60)
    monitor = DriftMonitor(own, false_alarm_every_h, hourly, rule, "answers")
    trigger = DriftTrigger(own, cooldown_h)
    watch(observe_sessions(after, base, watched), monitor, trigger, watched)
    alarm_settings = {
        "false_alarm_every_h": false_alarm_every_h,
        "faces_per_h": round(hourly, 1),
        "m": rule.m,
        "n": rule.n,
        "cooldown_h": cooldown_h,
    }
    counts = {
        "sessions": len(after),
        "sessions_before": len(before),
        "of_other_models": len(found) - len(same),
        "broken": earlier.broken + watched.broken,
        "faces": watched.faces,
    }
    told = f"{len(after)} sessions from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}, in {sessions}"
    report = ReportOptions(out, prometheus, json_line, open_page)
    raise typer.Exit(finish(told, own, monitor, trigger, watched.verdicts, counts, alarm_settings, report, watched.sessions))

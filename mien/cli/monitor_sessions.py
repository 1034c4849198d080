"""``mien monitor --since``: have the answers in the stored sessions changed?"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from mien.errors import UsageError

_SPAN: Final = re.compile(r"(\d{1,4})\s*([hdw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}


def parse_since(text: str, now: datetime) -> datetime:
    """Return the moment that ``7d``, ``12h``, ``2w`` or a date means.

    >>> parse_since("2d", datetime(2026, 3, 4)).isoformat(), parse_since("2026-03-01", datetime(2026, 3, 4)).isoformat()[:10]
    ('2026-03-02T00:00:00', '2026-03-01')

    Raises:
        UsageError: it is none of these.
    """
    span = _SPAN.fullmatch(text.strip())
    if span is not None:
        return now - timedelta(hours=int(span[1]) * _HOURS[span[2]])
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"--since is {text!r}; give hours, days or weeks as in 12h, 7d, 2w, or a date as 2026-03-01") from None
    return moment if moment.tzinfo is not None or now.tzinfo is None else moment.astimezone()


def watch_stored(
    since: str,
    root: Path,
    model: str,
    reference: Path | None,
    out: Path,
    promised_h: float,
    windows: str,
    cooldown_h: float,
    prometheus: Path | None,
) -> int:
    """Hold the sessions since then against those before; return the exit code."""
    from mien.cli.monitor_report import finish, parse_rule
    from mien.errors import require
    from mien.files import file_hash
    from mien.monitoring.monitor import DriftMonitor
    from mien.monitoring.reference import Reference
    from mien.monitoring.reference_file import read_reference, reference_path
    from mien.monitoring.trigger import DriftTrigger
    from mien.store.answers import sessions_in
    from mien.vision.bundles import bundle_path
    from mien.watch import Watched, observe_sessions, watch

    require(("scipy", "river"), "monitor", "Watching for drift")
    rule = parse_rule(windows)
    start = parse_since(since, datetime.now().astimezone())
    bundle = bundle_path(model)
    base = read_reference(reference or reference_path(bundle), file_hash(bundle))
    found = sessions_in(root)
    same = [session for session in found if session.model in ("", base.bundle)]
    before = [session for session in same if session.started_at < start]
    after = [session for session in same if session.started_at >= start]
    if not after:
        raise UsageError(f"no session of {base.bundle} in {root} began since {start:%Y-%m-%d %H:%M} ({len(before)} before)")
    earlier, watched = Watched(), Watched()
    past = list(observe_sessions(before, base, earlier))
    source = f"{len(before)} sessions before {start:%Y-%m-%d %H:%M}"
    own = Reference.from_stream(past, base, source=source, sight="answers")
    hourly = own.faces / max((past[-1].t_s - past[0].t_s) / 3600, 1 / 60)
    monitor = DriftMonitor(own, promised_h, hourly, rule, "answers")
    trigger = DriftTrigger(own, cooldown_h)
    watch(observe_sessions(after, base, watched), monitor, trigger, watched)
    promise = {
        "false_alarm_every_h": promised_h,
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
    told = f"{len(after)} sessions since {start:%Y-%m-%d %H:%M}, in {root}"
    return finish(told, own, monitor, trigger, watched.verdicts, counts, promise, out, prometheus, watched.sessions)

"""What all ways of watching for drift end with: a page, a document, metrics, a line of JSON and an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import UsageError

if TYPE_CHECKING:
    from mien.monitoring.monitor import DriftMonitor
    from mien.monitoring.persistence import Persistence
    from mien.monitoring.reference import Reference
    from mien.monitoring.trigger import DriftTrigger
    from mien.monitoring.verdict import WindowVerdict


def parse_rule(windows: str) -> Persistence:
    """Return the rule that ``3/4`` means.

    Raises:
        UsageError: it is something else, or cannot be.
    """
    from mien.monitoring.persistence import Persistence

    m, _, n = windows.partition("/")
    if not (m.isdecimal() and n.isdecimal()):
        raise UsageError(f"--windows is {windows!r}; give m of n as 3/4")
    return Persistence(int(m), int(n))


def finish(
    source: str,
    reference: Reference,
    monitor: DriftMonitor,
    trigger: DriftTrigger,
    verdicts: Sequence[WindowVerdict],
    counts: Mapping[str, int],
    promise: Mapping[str, float],
    out: Path,
    prometheus: Path | None,
    sessions: Sequence[tuple[str, float]] = (),
) -> int:
    """Write everything, say what was found, and return the exit code.

    Args:
        source: what was watched, in words.
        reference: what it was held against.
        monitor: that watched it.
        trigger: that decided.
        verdicts: of every window.
        counts: pictures, faces and the like.
        promise: the settings.
        out: folder for the files.
        prometheus: a text file for metrics; None for none.
        sessions: name and start of each session in the stream, in seconds of the stream.
    """
    from mien.files import write_json
    from mien.monitoring.page import write_page
    from mien.monitoring.prometheus import write_metrics
    from mien.monitoring.summary import summarise
    from mien.monitoring.trigger import write_request

    facts = summarise(source, reference, monitor, trigger, verdicts, counts, promise, sessions)
    write_json(out / "drift.json", facts)
    write_page(out / "drift.html", facts)
    if facts["events"]:
        write_request(out, facts["events"][-1])
    if prometheus is not None:
        write_metrics(prometheus, facts)
    print(f"{facts['in_words']}\n{facts['advice']}")
    print(f"Written to {out}: drift.html (open it in a browser), drift.json{', retrain_request.json' if facts['events'] else ''}")
    short = {"drift": facts["drift"], "what": facts["what"], "events": len(facts["events"]), **facts["counts"], "out": str(out)}
    print(json.dumps(short))
    sys.stdout.flush()
    return trigger.exit_code

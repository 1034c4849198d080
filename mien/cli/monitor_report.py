"""Options and report shared by the commands of ``mien monitor``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.errors import StorageError, UsageError

if TYPE_CHECKING:
    from mien.monitoring.monitor import DriftMonitor
    from mien.monitoring.persistence import PersistenceRule
    from mien.monitoring.reference import Reference
    from mien.monitoring.trigger import DriftTrigger
    from mien.monitoring.verdict import WindowVerdict

ReferenceFile = Annotated[Path | None, typer.Option("--reference", help="Drift reference.", show_default="beside the bundle")]
ReportFolder = Annotated[Path, typer.Option("--out", help="Output folder.")]
Prometheus = Annotated[Path | None, typer.Option("--prometheus", help="Write metrics to this text file too.", show_default=False)]
FalseAlarms = Annotated[
    float,
    typer.Option("--false-alarm-every-h", help="Mean hours between false alarms.", rich_help_panel="Alarms"),
]
Windows = Annotated[
    str,
    typer.Option("--windows", metavar="M/N", help="Flagged windows for an alarm.", rich_help_panel="Alarms"),
]
Cooldown = Annotated[float, typer.Option("--cooldown-h", min=0, help="Pause between alarms.", rich_help_panel="Alarms")]


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Where a report goes, and what is printed.

    Attributes:
        out: folder for the files.
        prometheus: text file for metrics, or None.
        json_line: whether to end with a line of JSON on a terminal too.
        open_page: whether to open the page in a browser.
    """

    out: Path
    prometheus: Path | None
    json_line: bool
    open_page: bool


def parse_rule(windows: str) -> PersistenceRule:
    """Return the persistence rule written as ``3/4``.

    Raises:
        UsageError: the text has another form or the rule is impossible.
    """
    from mien.monitoring.persistence import PersistenceRule

    m, _, n = windows.partition("/")
    if not (m.isdecimal() and n.isdecimal()):
        raise UsageError(f"--windows is {windows!r}; write it like 3/4")
    return PersistenceRule(int(m), int(n))


def finish(
    source: str,
    reference: Reference,
    monitor: DriftMonitor,
    trigger: DriftTrigger,
    verdicts: Sequence[WindowVerdict],
    counts: Mapping[str, int],
    alarm_settings: Mapping[str, float],
    report: ReportOptions,
    sessions: Sequence[tuple[str, float]] = (),
) -> int:
    """Write the report, print the result, and return the exit code.

    Args:
        source: description of the stream.
        reference: what the stream was compared with.
        monitor: the detectors, after the whole stream.
        trigger: the alarms, after the whole stream.
        verdicts: result of every window.
        counts: numbers of pictures, faces and so on.
        alarm_settings: the alarm settings.
        report: where the report goes.
        sessions: name of each session and its start in seconds of the stream.
    """
    from mien.cli.output import print_json_line, report_ready
    from mien.files import write_json
    from mien.monitoring.page import write_page
    from mien.monitoring.prometheus import write_metrics
    from mien.monitoring.summary import summarise
    from mien.monitoring.trigger import write_request

    facts = summarise(source, reference, monitor, trigger, verdicts, counts, alarm_settings, sessions)
    missing: list[str] = []
    out = report.out
    try:
        write_json(out / "drift.json", facts, private=True)
        write_page(out / "drift.html", facts)
        if facts["events"]:
            write_request(out, facts["events"][-1])
        if report.prometheus is not None:
            write_metrics(report.prometheus, facts)
    except StorageError as error:
        missing.append(str(error))
    print(f"{facts['in_words']}\n{facts['advice']}")
    if not missing:
        request = ", retrain_request.json" if facts["events"] else ""
        print(f"Written to {out}: drift.html, drift.json{request}")
        report_ready(out / "drift.html", report.open_page)
    short = {"drift": facts["drift"], "what": facts["what"], "events": len(facts["events"]), **facts["counts"], "out": str(out)}
    print_json_line({**short, "missing": missing}, report.json_line)
    if missing:
        raise StorageError(missing[0])
    sys.stdout.flush()
    return trigger.exit_code

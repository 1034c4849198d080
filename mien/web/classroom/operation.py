"""Metrics and logs of a class server, without personal data.

Neither contains a class, a participant or an address. Counters cover all classes. They are for the operator only, because
with a single class they reveal the number of participants.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Final, TextIO

_HELP: Final = {
    "mien_class_messages_total": "Learners' messages, by outcome.",
    "mien_class_requests_refused_total": "Refused requests, by status.",
    "mien_class_joins_total": "Participants who joined.",
    "mien_class_leaves_total": "Participants who left.",
    "mien_class_bins_closed_total": "Bins that this process closed.",
    "mien_class_batches_total": "Transactions in which messages were stored.",
    "mien_class_lti_launches_total": "Classes opened from learning platforms, by role.",
    "mien_class_lti_refused_total": "Refused requests from learning platforms, by request and reason.",
    "mien_class_lti_registrations_total": "Learning platforms registered.",
    "mien_class_database_errors_total": "Database errors.",
    "mien_class_unexpected_errors_total": "Unexpected errors of recurring tasks.",
    "mien_class_waiting_messages": "Messages waiting to be stored.",
    "mien_class_streams": "Connected teachers' pages.",
    "mien_class_memory_bytes": "Resident memory of the process.",
}


class Metrics:
    """Counters and gauges of one process; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: Counter[tuple[str, str]] = Counter()
        self._gauges: dict[str, float] = {}

    def count(self, name: str, label: str = "", times: int = 1) -> None:
        """Add ``times`` to a counter; ``label`` has Prometheus syntax without braces."""
        with self._lock:
            self._values[f"mien_class_{name}_total", label] += times

    def gauge(self, name: str, value: float) -> None:
        """Set a gauge."""
        with self._lock:
            self._gauges[f"mien_class_{name}"] = value

    def text(self) -> str:
        """Return all values in the Prometheus text format."""
        with self._lock:
            rows = [(name, label, float(value)) for (name, label), value in sorted(self._values.items())]
            rows += [(name, "", value) for name, value in self._gauges.items()]
        rows.append(("mien_class_memory_bytes", "", float(_resident_bytes())))
        lines, told = [], set()
        for name, label, value in rows:
            if name not in told:
                told.add(name)
                lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"]
            lines.append(f"{name}{'{' + label + '}' if label else ''} {value:g}")
        return "\n".join(lines) + "\n"


class Log:
    """Writes events as JSON lines. A line that cannot be written is dropped without an error.

    Args:
        stream: output stream; None for standard error.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def write(self, event: str, **values: Any) -> None:
        """Write an event with its values, which must not be personal data."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event} | values
        # nobody reads the stream, the disk is full, or it is closed
        with suppress(OSError, ValueError):
            print(json.dumps(line), file=self._stream or sys.stderr, flush=True)


def _resident_bytes() -> int:
    """Return the resident memory of this process in bytes; 0 if it is unknown."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  not a user's path
            return int(file.read().split()[1]) * 4096
    except (OSError, ValueError, IndexError):
        return 0

"""A session with a sink, and access to the message queue, for tests."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from factories import reading, released
from kept_sessions import START

from mien.messaging.outbox import Outbox
from mien.messaging.sinks import WebhookSink, XapiSink
from mien.records import FaceReading, HeadPose
from mien.sessions.recorder import SessionRecorder
from mien.sessions.records import EventRecord, SessionRecord

SESSION = SessionRecord(
    "2026-03-04_09-30-00-k3f9", START, source="camera in room 4", model="mien-s", version="0.4", folder="/home/ada"
)
SECRET = "whsec_" + base64.b64encode(b"known to both sides, never sent").decode()


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 600
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def count(queue: Path, state: str = "waiting", destination: str = "lrs") -> int:
    outbox = Outbox(queue, destination)
    found = outbox.count(state)
    outbox.close()
    return found


def face(second: int) -> FaceReading:
    found = reading("happy" if second % 4 else "sad", 0.8, (1.0, 1.0, 9.0, 9.0))
    return replace(found, pose=HeadPose(0.0 if second % 10 else 50.0, 0.0, 0.0))


def watch(sink: XapiSink | WebhookSink, length_s: int = 200) -> SessionRecorder:
    """Run a session at one frame per second with an intervention each minute."""
    running = SessionRecorder(SESSION, lambda: [sink], clock=partial(next, itertools.count()))
    for second in range(length_s + 1):
        running.update(released(second, float(second), [face(second)], 1.0))
        if second % 60 == 30:
            running.add(
                EventRecord(
                    float(second), "intervention", "k3f9", {"rule": "away for long", "message": "Ada, a break?", "pixels": [1, 2]}
                )
            )
            running.add(EventRecord(float(second), "note", "k3f9", {"private": "only here"}))
    return running

"""The one recorder: when sinks are opened, what they get, and what happens when one fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from writing import SESSION, Clock, frames

from mien.errors import DeviceError, StorageError
from mien.locks import is_in_use
from mien.privacy.release import ReleasedResult
from mien.sessions.folder import SessionFolder
from mien.sessions.layout import PARTIAL_NAME
from mien.sessions.recorder import SessionRecorder, Sink
from mien.sessions.records import EventRecord, KeptSession
from mien.summaries.views import write_views


class Notes(Sink):
    """Notes each call; fails in the frame that is named."""

    def __init__(self, name: str, fails_at: int = -1) -> None:
        self.name, self._fails_at = name, fails_at
        self.calls: list[str] = []

    def update(self, result: ReleasedResult) -> None:
        if result.index == self._fails_at:
            raise StorageError("the disk is full")
        self.calls.append("update")

    def add(self, event: EventRecord) -> None:
        self.calls.append(event.kind)

    def tick(self, kept: KeptSession) -> None:
        self.calls.append(f"tick {kept.session.frames}")

    def export(self, kept: KeptSession) -> Sequence[str]:
        return [f"{self.name}-{kept.more['extra']}"]

    def finish(self, kept: KeptSession) -> Sequence[str]:
        self.calls.append(f"finish {kept.session.state}")
        return [self.name]

    def erase(self, *, findable: bool = False) -> int:
        self.calls.append("erase, findable" if findable else "erase")
        return 2

    def abandon(self) -> None:
        self.calls.append("abandon")


def test_sinks_are_opened_with_the_first_frame_and_only_if_something_may_be_stored() -> None:
    opened: list[Notes] = []

    def open_sinks() -> list[Notes]:
        opened.append(Notes("one"))
        return opened

    recorder = SessionRecorder(SESSION, open_sinks)
    assert (recorder.export({"extra": 1}), recorder.finish("ended").session.frames, recorder.files, opened) == ([], 0, [], [])
    counting = SessionRecorder(SESSION, open_sinks, keeps=False)
    for result in frames(5):
        counting.update(result)
    assert (counting.finish("ended").session.frames, opened) == (5, [])
    stored = SessionRecorder(SESSION, open_sinks)
    for result in frames(5):
        stored.update(result)
    assert (len(opened), opened[0].calls.count("update")) == (1, 5)


def test_a_sink_that_cannot_be_opened_stops_the_session_before_anything_is_counted() -> None:
    def refuse() -> list[Sink]:
        raise DeviceError("no such folder")

    recorder = SessionRecorder(SESSION, refuse)
    with pytest.raises(DeviceError, match="no such folder"):
        recorder.update(next(frames(1)))
    assert recorder.tally.frames == 0


def test_what_was_opened_before_a_sink_that_cannot_be_opened_is_released() -> None:
    first = Notes("first")

    def open_sinks() -> Iterator[Sink]:
        yield first
        raise DeviceError("no such database")

    recorder = SessionRecorder(SESSION, open_sinks)
    with pytest.raises(DeviceError, match="no such database"):
        recorder.update(next(frames(1)))
    assert first.calls == ["abandon"]
    recorder.finish("interrupted")
    assert (recorder.erase(), first.calls) == (0, ["abandon"])


def test_a_session_that_cannot_begin_deletes_nothing_and_says_so_each_time(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "sessions" / "lesson"
    mine = ("notes.txt", "screenshot-1.png", "segments/00001.csv", "more/x.docx")
    for name in mine:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    session = replace(SESSION, folder=str(folder))

    def open_sinks() -> Iterator[Sink]:
        yield SessionFolder(folder, KeptSession(session), write_views)
        raise DeviceError("no queue")

    recorder = SessionRecorder(session, open_sinks)
    for result in frames(3):
        with pytest.raises(DeviceError, match="no queue"):
            recorder.update(result)
    assert recorder.finish("interrupted").session.frames == 0
    assert {(folder / name).read_text() for name in mine} == {"mine"}
    assert not list(folder.glob("earlier*"))
    assert not is_in_use(folder / PARTIAL_NAME)


def test_a_sink_that_fails_is_switched_off_and_told_once_and_the_others_go_on() -> None:
    bad, good = Notes("bad", fails_at=3), Notes("good")
    recorder = SessionRecorder(SESSION, lambda: [bad, good], clock=Clock())
    for result in frames(10):
        recorder.update(result)
    recorder.add(EventRecord(0.1, "note"))
    assert bad.calls[-1] == "abandon"
    assert bad.calls.count("update") == 3
    assert good.calls.count("update") == 10
    assert [call for call in good.calls if call.startswith("tick")]
    (notice,) = recorder.take_notices()
    assert "the disk is full" in notice
    assert recorder.take_notices() == []
    assert [(failure.sink, failure.t_s) for failure in recorder.failures] == [("bad", 3 / 25)]
    assert recorder.export({"extra": 7}) == ["good-7"]
    kept = recorder.finish("interrupted", {"fps": 12.5})
    assert (recorder.files, good.calls[-2:], kept.more["fps"]) == (["good"], ["note", "finish interrupted"], 12.5)


def test_after_erasing_nothing_is_stored_any_more() -> None:
    one, two = Notes("one"), Notes("two")
    recorder = SessionRecorder(SESSION, lambda: [one, two])
    recorder.update(next(frames(1)))
    assert (recorder.erase(), recorder.keeps) == (4, False)
    for result in frames(3, 1):
        recorder.update(result)
    assert recorder.finish("ended").session.frames == 4
    assert (recorder.files, one.calls.count("update")) == ([], 1)
    unopened = SessionRecorder(SESSION, lambda: [Notes("three")])
    assert unopened.erase() == 0
    unopened.update(next(frames(1)))
    assert unopened.finish("ended").session.frames == 1
    assert unopened.files == []


def test_a_session_is_erased_in_sinks_that_failed_earlier_too() -> None:
    class Stubborn(Notes):
        def erase(self, *, findable: bool = False) -> int:
            raise DeviceError("cannot erase x")

    first, last = Notes("full", fails_at=2), Notes("whole")
    stored = SessionRecorder(SESSION, lambda: [first, Stubborn("stubborn"), last])
    for result in frames(5):
        stored.update(result)
    assert stored.not_erased == []
    assert stored.erase() == 4
    assert stored.not_erased == ["cannot erase x"]
    assert (last.calls[-1], first.calls[-1]) == ("erase", "erase, findable")  # the folder comes last and can be found again
    assert "stubborn: the session was not erased. cannot erase x" in stored.take_notices()


def test_a_finished_session_can_still_be_erased() -> None:
    stored = SessionRecorder(SESSION, lambda: [Notes("one"), Notes("two")])
    for result in frames(5):
        stored.update(result)
    stored.finish("ended")
    assert stored.files == ["one", "two"]
    assert (stored.erase(), stored.files) == (4, [])

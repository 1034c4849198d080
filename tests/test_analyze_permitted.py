"""What is kept and drawn of a recording: what the policy and the person permit."""

from __future__ import annotations

import csv
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analysing import analysed, rows, stop_after
from writing import SESSION, kill, recorder

from mien.cli import main
from mien.cli.analyze import report_text
from mien.destinations import open_recorder
from mien.errors import DeviceError, NotPermittedError, StorageError
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import state_folder
from mien.privacy.consent import ConsentLedger
from mien.privacy.notice import notice_for
from mien.privacy.oversight import Oversight
from mien.privacy.policy import decide
from mien.recordings.analysis import Analysis
from mien.recordings.assembly import assemble
from mien.recordings.frame_times import frame_times
from mien.recordings.recording import Recording
from mien.recordings.settings import AnalyzeSettings
from mien.recordings.work_folder import WorkFolder
from mien.sessions.archive import Archive
from mien.sessions.layout import SESSIONS
from mien.sources.recorded import VideoSource
from mien.vision.detector_choice import open_detector


@pytest.mark.parametrize("blur", [False, True])
def test_an_annotated_video_has_every_frame_at_the_right_rate(blur: bool, clips: Path, yunet: Path, here: Path) -> None:
    recording = clips / "neutral_smile_neutral.mp4"
    analysed(Path("out"), recording)
    assert not (here / "out/neutral_smile_neutral/annotated.mp4").exists()
    report = analysed(Path("out"), recording, annotate=True, blur_faces=blur)
    assert "already analysed, now annotated: out/neutral_smile_neutral" in report_text(report)
    assert "already done: out/" in report_text(analysed(Path("out"), recording, annotate=True, blur_faces=blur))
    drawn = frame_times(here / "out/neutral_smile_neutral/annotated.mp4")
    assert drawn.t_s == pytest.approx(frame_times(recording).t_s, abs=2e-3)
    before, after = (
        next(VideoSource(path).frames()).image for path in (recording, here / "out/neutral_smile_neutral/annotated.mp4")
    )
    assert before.shape == after.shape
    row = rows(here / "out/neutral_smile_neutral")[0]
    x, y, h = (round(float(row[name])) for name in ("x", "y", "h"))
    assert bool(open_detector().detect(after)) != blur  # nobody is to be found there, least of all by whom found them before
    outside = (slice(0, max(1, y - 40)), slice(0, max(1, x - 40)))
    assert np.abs(before[outside].astype(int) - after[outside]).mean() < 12
    rim = np.abs(before[y : y + h, x - 2 : x + 3].astype(int) - after[y : y + h, x - 2 : x + 3]).mean()
    assert rim > 12
    for found in Archive(here / "out").sessions():
        assert Archive(here / "out").eraser.erase([found], spare_foreign=True).left == ()
    assert not (here / "out/neutral_smile_neutral").exists()


def test_where_only_observables_are_permitted_nothing_else_is_kept_or_drawn(
    clips: Path, yunet: Path, school: Path, here: Path
) -> None:
    recording = clips / "neutral_smile_neutral.mp4"
    report = analysed(Path("out"), recording, deployment=school, annotate=True, segment_s=1.0)
    assert report.policy == "observables"
    found = rows(here / "out/neutral_smile_neutral")
    assert len(found) == 72
    assert len({row["track_id"] for row in found}) == 1
    kept = {name for row in found for name, value in row.items() if value}
    assert kept == {"t_s", "frame", "track_id", "unread", "facing"}
    assert len(frame_times(here / "out/neutral_smile_neutral/annotated.mp4").t_s) == 72


def test_the_rows_of_an_unfinished_segment_hold_no_more_than_is_released(
    clips: Path, yunet: Path, school: Path, here: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Analysis(AnalyzeSettings((clips / "sad_to_happy.mp4",), Path("out"), deployment=school, segment_s=4.0)).run(
            stop_after(96)
        )
    found = list(csv.DictReader((here / "out/sad_to_happy/segments/00001.csv").read_text().splitlines()))
    assert len(found) == 96
    assert not any(
        value for row in found for name, value in row.items() if name.endswith(("_raw", "_smoothed")) or name == "label"
    )
    assert all(row["x"] == row["y"] == "0" for row in found[:-1])
    assert float(found[-1]["x"]) > 0
    assert {row["yaw_deg"] for row in found} <= {"0.0", "31.5", "90.0", ""}


@pytest.mark.parametrize("segment_s", [5.0, 30.0])  # several segments, and one, which is the last
def test_consent_that_is_taken_back_erases_what_was_made(segment_s: float, clips: Path, yunet: Path, here: Path) -> None:
    ledger, notice = ConsentLedger(state_folder(SESSIONS)), notice_for(decide())
    for purpose in ("show", "keep"):
        ledger.record("Ada", purpose, "granted", notice)
    recording = clips / "sad_to_happy.mp4"

    def withdraw(done: int, total: int) -> None:
        if done:
            ledger.record("Ada", "keep", "withdrawn", notice)

    with pytest.raises(NotPermittedError, match="withdrew consent"):
        Analysis(AnalyzeSettings((recording,), Path("out"), person="Ada", segment_s=segment_s)).run(withdraw)
    assert not list((here / "out").rglob("*.*"))
    with pytest.raises(NotPermittedError, match="not consented to storage"):
        Analysis(AnalyzeSettings((recording,), Path("out"), person="Ada"))


def test_the_rights_of_a_person_reach_recordings(clips: Path, yunet: Path, here: Path, capsys: Any, monkeypatch: Any) -> None:
    ledger, notice = ConsentLedger(state_folder(SESSIONS)), notice_for(decide())
    for purpose in ("show", "keep"):
        ledger.record("Ada", purpose, "granted", notice)
    ada, other = clips / "neutral_smile_neutral.mp4", clips / "no_face.mp4"
    analysed(Path("results/analyses"), ada, person="Ada", annotate=True)
    analysed(Path("results/analyses"), other)
    with pytest.raises(KeyboardInterrupt):
        Analysis(AnalyzeSettings((clips / "sad_to_happy.mp4",), person="Ada", segment_s=4.0)).run(stop_after(96))
    monkeypatch.setattr(sys, "argv", ["mien", "privacy", "erase", "--person", "Ada", "--yes"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capsys.readouterr()
    assert [path.name for path in (here / "results/analyses").iterdir()] == ["no_face"]
    assert len(frame_times(ada).t_s) == 72  # the recording itself is not Mien's


def test_consent_that_is_taken_back_after_the_last_segment_erases_everything(
    clips: Path, yunet: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, notice = ConsentLedger(state_folder(SESSIONS)), notice_for(decide())
    for purpose in ("show", "keep"):
        ledger.record("Ada", purpose, "granted", notice)

    def late(*arguments: Any) -> None:
        assemble(*arguments)
        ledger.record("Ada", "show", "withdrawn", notice)

    monkeypatch.setattr("mien.recordings.recording.assemble", late)
    settings = AnalyzeSettings((clips / "neutral_smile_neutral.mp4",), Path("out"), person="Ada", annotate=True)
    with pytest.raises(NotPermittedError, match="withdrew consent"):
        Analysis(settings).run()
    assert not list((here / "out").rglob("*.*"))


def test_a_recording_that_cannot_be_erased_does_not_keep_the_others(
    clips: Path, yunet: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, notice = ConsentLedger(state_folder(SESSIONS)), notice_for(decide())
    for purpose in ("show", "keep"):
        ledger.record("Ada", purpose, "granted", notice)
    recordings = tuple(shutil.copy(clips / "no_face.mp4", here / f"{name}.mp4") for name in "abc")
    erase = Recording.erase

    def refuse_the_first(recording: Recording) -> int:
        if recording.report.path.name == "a.mp4":
            raise DeviceError("cannot erase a/observations.csv")
        return erase(recording)

    def withdraw(done: int, total: int) -> None:
        if done > total / 2:
            ledger.record("Ada", "show", "withdrawn", notice)

    monkeypatch.setattr(Recording, "erase", refuse_the_first)
    with pytest.raises(StorageError, match="Not erased: cannot erase a/observations"):
        Analysis(AnalyzeSettings(recordings, Path("out"), person="Ada")).run(withdraw)
    assert {path.parts[-2] for path in (here / "out").rglob("*.csv")} == {"a"}
    events = [event for event in AuditLog(state_folder(SESSIONS)).events() if event["event"] == "erased"]
    assert [event["sessions"] for event in events] == [1]  # b; c had not begun


def test_a_folder_is_written_by_a_live_session_or_by_an_analysis(clips: Path, yunet: Path, here: Path) -> None:
    recording = clips / "neutral_smile_neutral.mp4"
    folder = here / "out" / "neutral_smile_neutral"
    running = recorder(folder)
    (report,) = analysed(Path("out"), recording).recordings
    assert "a live session" in report.error
    assert (folder / "observations.partial.csv").is_file()
    kill(running)
    with WorkFolder(here / "other").taken(), pytest.raises(DeviceError, match="another session or analysis"):
        open_recorder(Oversight(None, here / SESSIONS), replace(SESSION, folder=str(here / "other")))

"""Recordings, options and folders that cannot be analysed are refused by name, and harm no other."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path
from random import Random
from typing import Any

import av
import pytest
from analysing import analysed
from videos import cut_short

from mien.cli import main
from mien.errors import DataError, DeviceError, StorageError, UsageError
from mien.recordings.analysis import Analysis
from mien.recordings.settings import AnalyzeSettings, named_recordings


def test_other_options_or_another_file_are_refused_by_name(clips: Path, yunet: Path, here: Path) -> None:
    recording = here / "lesson.mp4"
    shutil.copy(clips / "neutral_smile_neutral.mp4", recording)
    recording.chmod(0o644)
    analysed(Path("out"), recording)
    with pytest.raises(UsageError, match=r"smoothing was 0\.4, is 0\.8\).*--overwrite"):
        analysed(Path("out"), recording, smoothing_s=0.8)
    with pytest.raises(UsageError, match=r"model was \w+, is \w+\)"):
        analysed(Path("out"), recording, model="mien-xs")
    shutil.copy(clips / "no_face.mp4", recording)
    with pytest.raises(UsageError, match="content was"):
        analysed(Path("out"), recording)
    report = analysed(Path("out"), recording, again=True)
    assert report.recordings[0].frames == 95
    assert json.loads((here / "out/lesson/earlier-1/summary.json").read_text())["frames"] == 72
    assert json.loads((here / "out/lesson/earlier-1/analysis.json").read_text())["frames"] == 72


def test_a_half_finished_recording_is_not_mixed_with_other_options(clips: Path, yunet: Path, here: Path) -> None:
    recording = clips / "sad_to_happy.mp4"

    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Analysis(AnalyzeSettings((recording,), Path("out"), segment_s=5.0)).run(stop)
    with pytest.raises(UsageError, match=r"segment was 5\.0, is 30\.0"):
        analysed(Path("out"), recording)
    assert analysed(Path("out"), recording, again=True).recordings[0].frames == 472


def test_broken_files_do_not_stop_the_others(clips: Path, yunet: Path, here: Path, capsys: Any, monkeypatch: Any) -> None:
    folder = here / "lessons"
    folder.mkdir()
    whole = (clips / "sad_to_happy.mp4").read_bytes()
    (folder / "a_noise.mp4").write_bytes(Random(1).randbytes(50_000))
    (folder / "b_cut.mp4").write_bytes(cut_short(whole, 0.5))
    (folder / "c_empty.mp4").touch()
    shutil.copy(clips / "neutral_smile_neutral.mp4", folder / "d_good.mp4")
    monkeypatch.setattr(sys, "argv", ["mien", "analyze", str(folder), "--out", "out", "--workers", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 3
    assert "3 of 4" in said.err
    line = json.loads(said.out.splitlines()[-1])
    assert line["failed"] == ["a_noise.mp4", "b_cut.mp4", "c_empty.mp4"]
    assert set(line) == {"files", "frames", "video_s", "times_real_time", "policy", "failed", "missing"}
    assert "s missing at the end" in said.out
    half = json.loads((here / "out/b_cut/summary.json").read_text())
    assert 100 < half["frames"] < 400
    assert "missing" in half["damage"]
    assert json.loads((here / "out/d_good/summary.json").read_text())["frames"] == 72
    assert not (here / "out/a_noise/summary.json").exists()


def test_nothing_remains_of_a_file_without_frames(clips: Path, yunet: Path, here: Path, capsys: Any, monkeypatch: Any) -> None:
    folder = here / "lessons"
    (folder / "deeper").mkdir(parents=True)
    (folder / "notes.txt").write_text("hello")
    recording = folder / "lesson.mp4"
    recording.write_text("hello")
    analysis = Analysis(AnalyzeSettings((folder,), Path("out")))
    assert [notice for notice in analysis.notices if "1 file and 1 folder" in notice]
    report = analysis.run()
    assert report.failed
    assert not report.missing
    assert not (here / "out" / "lesson").exists()
    shutil.copy(clips / "neutral_smile_neutral.mp4", recording)
    assert analysed(Path("out"), recording).recordings[0].frames == 72
    monkeypatch.setattr(sys, "argv", ["mien", "sessions", "show", "lesson", "--sessions", "out"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "source              lesson.mp4" in capsys.readouterr().out
    (here / "file").touch()
    report = analysed(here / "file" / "out", recording)
    assert report.missing  # the results could not be stored: exit code 5


def test_a_picture_can_be_annotated(shared: Path, yunet: Path, here: Path) -> None:
    report = analysed(Path("out"), shared / "media" / "five_faces.jpg", annotate=True)
    assert not report.failed
    with av.open(str(here / "out" / "five_faces" / "annotated.mp4")) as container:
        assert [len(container.streams.video), len(container.streams.audio), len(list(container.decode(video=0)))] == [1, 0, 1]


def test_results_that_cannot_be_written_can_be_written_later(clips: Path, yunet: Path, here: Path, monkeypatch: Any) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("cannot write privacy.json")

    with monkeypatch.context() as full:
        full.setattr("mien.recordings.assembly.mark_session", refuse)
        report = analysed(Path("out"), clips / "neutral_smile_neutral.mp4")
    assert "cannot write privacy.json" in str(report.failed or report.missing)
    assert "mien-disk" not in {thread.name for thread in threading.enumerate()}
    assert analysed(Path("out"), clips / "neutral_smile_neutral.mp4").recordings[0].frames == 72


def test_two_runs_do_not_write_into_one_folder(clips: Path, yunet: Path, here: Path) -> None:
    recording = clips / "neutral_smile_neutral.mp4"
    seen: list[str] = []

    def also(done: int, total: int) -> None:
        if not seen:
            seen.append("")
            seen[0] = analysed(Path("out"), recording, segment_s=1.0).recordings[0].error

    Analysis(AnalyzeSettings((recording,), Path("out"), segment_s=1.0)).run(also)
    assert "another analysis" in seen[0]
    assert json.loads((here / "out/neutral_smile_neutral/summary.json").read_text())["frames"] == 72


def test_a_folder_removed_meanwhile_stays_removed(clips: Path, yunet: Path, here: Path) -> None:
    def remove(done: int, total: int) -> None:
        shutil.rmtree(here / "out", ignore_errors=True)

    report = Analysis(AnalyzeSettings((clips / "sad_to_happy.mp4",), Path("out"), segment_s=5.0)).run(remove)
    assert "was removed while" in report.recordings[0].error
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"smoothing_s": -1.0}, "--smoothing-s is -1"),
        ({"blur_faces": True}, "so it needs --annotate"),
        ({"dask": "somewhere"}, "dask is 'somewhere'"),
        ({"recordings": ()}, "no recording"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        AnalyzeSettings(**{"recordings": (Path("a.mp4"),), **more})


def test_recordings_of_one_name_are_refused(here: Path) -> None:
    for name in ("a/lesson.mp4", "b/lesson.mkv"):
        (here / name).parent.mkdir()
        (here / name).touch()
    assert len(named_recordings([Path("a"), Path("a/lesson.mp4")], Path("out"))) == 1
    with pytest.raises(UsageError, match=r"a/lesson\.mp4 and .*b/lesson\.mkv would both be written to out/lesson"):
        named_recordings([Path("a"), Path("b")], Path("out"))
    with pytest.raises(DataError, match="no videos in the folder"):
        named_recordings([here], Path("out"))
    with pytest.raises(DataError, match="no file or folder called c"):
        named_recordings([Path("c")], Path("out"))


def test_a_cluster_that_is_not_there_is_named(clips: Path, here: Path) -> None:
    with pytest.raises(DeviceError, match="no Dask scheduler answers at"):
        analysed(Path("out"), clips / "no_face.mp4", dask="tcp://127.0.0.1:9")

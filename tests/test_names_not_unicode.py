"""Names of files that are no Unicode, as other systems and old archives leave them: read, or refused in a sentence."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from factories import snapshot
from test_cli import mien

from mien.errors import DataError, UsageError
from mien.files import unicode_path, write_json
from mien.recordings.frame_times import estimated_frame_count
from mien.recordings.settings import AnalyzeSettings, named_recordings
from mien.records import Frame
from mien.settings import LiveSettings
from mien.views.screenshot import save_screenshot

NAME = "ber\udce4t"  # ä in Latin-1, as Python has it

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode here")


def test_a_video_of_such_a_name_is_read_like_any_other(clips: Path, yunet: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lessons"
    folder.mkdir()
    for name in (f"{NAME}.mp4", "good.mp4"):
        shutil.copy(clips / "neutral_smile_neutral.mp4", folder / name)
    live = mien("live", "--source", str(folder / f"{NAME}.mp4"), "--headless", "--out", "s", cwd=tmp_path)
    assert live.returncode == 0, live.stderr
    assert json.loads((tmp_path / "s/summary.json").read_text())["frames"] == 72
    both = mien("analyze", str(folder), "--out", "a", "--workers", "1", cwd=tmp_path)
    assert both.returncode == 0, both.stderr
    for name in ("ber%E4t", "good"):
        assert json.loads((tmp_path / "a" / name / "summary.json").read_text())["frames"] == 72


def test_a_recording_that_is_not_read_has_no_frames_to_wait_for(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.sources.video.MAX_PIXELS", 10)
    assert estimated_frame_count(clips / "neutral_smile_neutral.mp4") == 0


def test_no_session_is_kept_under_such_a_name() -> None:
    with pytest.raises(UsageError, match=r"out is .*udce4t"):
        LiveSettings(source="demo", out=Path(NAME), model="mien-s")
    with pytest.raises(UsageError, match=r"out is .*udce4t"):
        AnalyzeSettings((Path("a.mp4"),), Path(NAME))


def test_a_document_that_names_such_a_file_can_be_written_and_read(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"file": NAME, "frames": 3})
    assert json.loads((tmp_path / "x.json").read_text()) == {"file": "ber?t", "frames": 3}


def test_such_a_path_is_said_so_that_it_can_be_printed() -> None:
    assert unicode_path(Path("bär.mp4")) == "bär.mp4"
    with pytest.raises(DataError) as caught:
        unicode_path(NAME)
    str(caught.value).encode()


def test_a_screenshot_is_saved_in_a_folder_of_such_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).mkdir()
    monkeypatch.chdir(tmp_path / NAME)
    saved = save_screenshot(Path("s"), Frame(0, 1.5, np.zeros((90, 160, 3), np.uint8)), snapshot(), ())
    assert saved.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "names", [("Lesson.mp4", "lesson.m4v"), ("caf\N{LATIN SMALL LETTER E WITH ACUTE}.mp4", "cafe\N{COMBINING ACUTE ACCENT}.webm")]
)
def test_recordings_whose_folders_would_be_one_on_some_disks_are_refused(names: tuple[str, str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UsageError, match="would both be written"):
        named_recordings([tmp_path / name for name in names], Path("out"))


@pytest.mark.parametrize("name", ["...mp4", "..mp4", "privacy.mp4", "Privacy.mp4"])
def test_no_recording_takes_a_folder_that_means_something_else(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    ((_, folder),) = named_recordings([tmp_path / name], Path("out"))
    assert folder.parent == Path("out")
    assert folder.name.startswith("recording-")


def test_a_name_too_long_for_a_path_is_said() -> None:
    with pytest.raises(DataError, match="too long"):
        named_recordings([Path("x" * 300)], Path("out"))

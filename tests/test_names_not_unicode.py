"""Names of files that are no Unicode, as other systems and old archives leave them: read, or refused in a sentence."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from test_cli import mien

from mien.errors import DataError, UsageError
from mien.files import unicode_path, write_json
from mien.recordings.frame_times import estimated_frame_count
from mien.recordings.settings import AnalyzeSettings
from mien.settings import LiveSettings

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

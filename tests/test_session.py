"""Whole sessions on real input: the demo, the clips, the photo, and what goes wrong."""

from __future__ import annotations

import csv
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cameras import NetworkCamera, network_camera

import mien.session
from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError, NotPermittedError, UsageError
from mien.records import Frame, Snapshot
from mien.session import Session
from mien.sessions.observations import COLUMNS, ObservationsFile
from mien.settings import LiveSettings
from mien.sources.demo import DemoSource
from mien.summaries.text import summary_text
from mien.views.view import Command
from mien.vision.yunet import YuNetDetector


def watch(source: str, out: Path, **changes: Any) -> dict[str, Any]:
    return Session(LiveSettings(source=source, out=out, model="mien-s", **({"view": "none"} | changes))).run()


def observations(out: Path) -> list[dict[str, str]]:
    with (out / "observations.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def share(timeline: list[dict[str, Any]], label: str, start: float, end: float) -> float:
    """Return the label's share of face time between two fractions of the session."""
    last = timeline[-1]["to_s"]
    rows = [row for row in timeline if start * last <= row["from_s"] < end * last]
    return sum(row["distribution"][label] * row["face_s"] for row in rows) / sum(row["face_s"] for row in rows)


def test_a_clip_is_read_as_a_person_sees_it(yunet: Path, shared: Path, tmp_path: Path) -> None:
    summary = watch(str(shared / "media" / "sad_to_happy.mp4"), tmp_path / "out")
    assert (summary["frames"], summary["frames_with_face"], summary["faces_max"]) == (472, 472, 1)
    saved = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert share(saved["timeline"], "happy", 0, 0.4) < 0.1
    assert share(saved["timeline"], "happy", 0.75, 1) > 0.8
    rows = observations(tmp_path / "out")
    assert len(rows) == 472
    assert tuple(rows[0]) == COLUMNS
    assert len({row["track_id"] for row in rows}) == 1
    for row in rows[::50]:
        for kind in ("raw", "smoothed"):
            assert sum(float(row[f"{name}_{kind}"]) for name in EMOTIONS) == pytest.approx(1, abs=1e-3)
        assert row["label"] == max(EMOTIONS, key=lambda name: float(row[f"{name}_smoothed"]))
    assert (tmp_path / "out" / "summary.png").stat().st_size > 10_000


def test_a_replay_gives_the_same_bytes(yunet: Path, shared: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        watch(str(shared / "media" / "neutral_smile_neutral.mp4"), tmp_path / name)
    assert (tmp_path / "a" / "observations.csv").read_bytes() == (tmp_path / "b" / "observations.csv").read_bytes()


def test_no_face_and_five_faces(yunet: Path, shared: Path, tmp_path: Path) -> None:
    nobody = watch(str(shared / "media" / "no_face.mp4"), tmp_path / "none")
    assert nobody["frames"] > 90
    assert nobody["frames_with_face"] == nobody["faces_max"] == 0
    assert sum(nobody["distribution"].values()) == 0
    assert "no face was seen" in summary_text(nobody)
    assert observations(tmp_path / "none") == []
    photo = watch(str(shared / "media" / "five_faces.jpg"), tmp_path / "five")
    assert photo["faces_max"] == 5
    assert sum(photo["distribution"].values()) == pytest.approx(1, abs=1e-3)


def test_the_demo_needs_nothing_and_ends(tmp_path: Path) -> None:
    summary = watch("demo", tmp_path / "demo", seconds=1.0)
    assert summary["frames"] == 25
    assert summary["detector"] == "mien-detect"
    assert summary["distribution"]["happy"] > 0.5


def test_pictures_of_a_folder_do_not_share_tracks(yunet: Path, tmp_path: Path) -> None:
    frame = next(DemoSource().frames())
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / "in" / name), frame.image)
    watch(str(tmp_path / "in"), tmp_path / "out")
    assert len({row["track_id"] for row in observations(tmp_path / "out")}) == 2


class ScriptedView:
    """A view that asks for one thing after another once there is a frame, and remembers what it was shown."""

    stays = False

    def __init__(self, commands: list[Command | None]) -> None:
        self._commands = iter(commands)
        self.shown: list[Snapshot] = []
        self.closed = False

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        if not snapshot.frames:
            return ()
        self.shown.append(snapshot)
        command = next(self._commands, Command.QUIT)
        return (command,) if command else ()

    def close(self) -> None:
        self.closed = True


class ReactingView(ScriptedView):
    """A view that asks for what it chooses by what it is shown."""

    def __init__(self, choose: Callable[[Snapshot], Command | None]) -> None:
        super().__init__([])
        self._choose = choose

    def show(self, frame: Frame, snapshot: Snapshot) -> tuple[Command, ...]:
        self.shown.append(snapshot)
        command = self._choose(snapshot)
        return (command,) if command else ()


@pytest.fixture
def shown_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(view: ScriptedView) -> ScriptedView:
        monkeypatch.setattr(mien.session, "open_view", lambda name: view)
        return view

    return use


@pytest.fixture
def scripted(shown_in: Any) -> Any:
    return lambda *commands: shown_in(ScriptedView(list(commands)))


def test_every_key_does_what_it_says(scripted: Any, yunet: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    view = scripted(
        *[None] * 40, Command.EXPORT, Command.SCREENSHOT, Command.PAUSE, *[None] * 20, Command.PAUSE, Command.RESET, None
    )
    summary = watch("demo", out, view="window")
    assert view.closed
    assert summary["frames"] < 500
    paused = [s.paused for s in view.shown[:67]]  # it is shown on until the reading thread has ended
    assert paused == [False] * 43 + [True] * 21 + [False] * 3
    assert len({s.frames for s in view.shown[54:64]}) == 1  # nothing is processed while paused
    assert "exported" in view.shown[41].notice
    assert "screenshot saved" in view.shown[42].notice
    assert view.shown[60].distribution.sum() == pytest.approx(1)
    assert len(view.shown[65].trend_t_s) < len(view.shown[64].trend_t_s)
    screenshots = list(out.glob("screenshot-*.png"))
    assert [path.name for path in screenshots] == [name for name in summary["files"] if "screenshot" in name]
    assert len(screenshots) == 1
    assert len(observations(out)) >= 5


def test_a_screenshot_hides_faces_unless_asked(scripted: Any, yunet: Path, tmp_path: Path) -> None:
    found = {}
    for keep in (False, True):
        scripted(None, Command.SCREENSHOT)
        watch("demo", tmp_path / str(keep), view="window", keep_faces=keep)
        picture = cv2.imread(str(next((tmp_path / str(keep)).glob("screenshot-*.png"))))
        found[keep] = len(YuNetDetector(yunet).detect(np.asarray(picture, np.uint8)))
    assert found == {False: 0, True: 1}


def test_a_lost_source_saves_what_was_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = DemoSource.frames

    def lost(self: DemoSource) -> Iterator[Frame]:
        for frame in whole(self):
            if frame.index == 3:
                raise DeviceError("delivers no frames any more")
            yield frame

    monkeypatch.setattr(DemoSource, "frames", lost)
    with pytest.raises(DeviceError, match="no frames any more"):
        watch("demo", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["frames"] == 3
    assert len(observations(tmp_path / "out")) == 3


def test_an_ip_cameras_stream_is_read_until_it_breaks(yunet: Path, tmp_path: Path) -> None:
    """A real HTTP server on the loopback sends motion JPEG, as network cameras do, and hangs up."""

    def film(camera: NetworkCamera) -> None:
        for frame in itertools.islice(DemoSource().frames(), 40 if camera.number == 0 else 0):
            camera.send(frame.image)

    with (
        network_camera(film) as address,
        pytest.raises(DeviceError, match=r"2 s: cannot open the stream http"),
    ):
        watch(address, tmp_path / "out", patience_s=2.0)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["frames"] + summary["dropped"] >= 35
    assert summary["frames_with_face"] == summary["frames"] >= 5
    assert summary["source_health"]["losses"] == 1


def test_a_loss_is_shown_counted_and_survived(shown_in: Any, yunet: Path, tmp_path: Path) -> None:
    """While nothing comes the view lives, nobody is taken to be there, and a screenshot still hides who was."""
    enough = threading.Event()

    def film(camera: NetworkCamera) -> None:
        if camera.number > 0:
            enough.wait()
        for frame in itertools.islice(DemoSource().frames(), 25 if camera.number == 0 else 1000):
            camera.send(frame.image)

    def screenshots() -> list[Path]:
        return list((tmp_path / "out").glob("screenshot-*.png"))

    def choose(snapshot: Snapshot) -> Command | None:
        lost = [shown for shown in view.shown if shown.health.state == "lost"]
        if len(lost) == 2 and not screenshots():
            return Command.SCREENSHOT
        if len(lost) == 4:
            enough.set()
        return Command.QUIT if snapshot.health.reopenings and snapshot.result.faces else None

    view = shown_in(ReactingView(choose))
    with network_camera(film) as address:
        watch(address, tmp_path / "out", view="window")
    lost = [snapshot for snapshot in view.shown if snapshot.health.state == "lost"]
    assert len(lost) >= 4
    assert all(not snapshot.result.faces for snapshot in lost)
    assert any("reconnecting" in snapshot.notice for snapshot in lost)
    assert "is back after" in view.shown[-1].notice
    picture = cv2.imread(str(screenshots()[0]))
    assert len(YuNetDetector(yunet).detect(np.asarray(picture, np.uint8))) == 0
    counts = json.loads((tmp_path / "out" / "summary.json").read_text())["source_health"]
    assert (counts["losses"], counts["reopenings"]) == (1, 1)
    assert counts["lost_s"] > 0


def test_q_ends_a_session_whose_stream_says_nothing_any_more(shown_in: Any, tmp_path: Path) -> None:
    over = threading.Event()

    def film(camera: NetworkCamera) -> None:
        for frame in itertools.islice(DemoSource().frames(), 10):
            camera.send(frame.image)
        over.wait()

    view = shown_in(ReactingView(lambda snapshot: Command.QUIT if snapshot.health.state == "stalled" else None))
    with network_camera(film) as address:
        summary = watch(address, tmp_path / "out", view="window")
        over.set()
    assert summary["frames"] > 0
    assert "video.mjpg: no picture for " in view.shown[-1].notice


def test_time_goes_on_without_frames_and_ends_an_unwatched_run(tmp_path: Path) -> None:
    over = threading.Event()

    def film(camera: NetworkCamera) -> None:
        if camera.number == 0:
            camera.send(next(DemoSource().frames()).image)
        over.wait()

    with network_camera(film) as address:
        summary = watch(address, tmp_path / "out", seconds=2.5)
        over.set()
    assert summary["frames"] == 1
    assert summary["source_health"]["lost_s"] > 1
    assert "seconds without a frame: " in summary_text(summary)


def test_ctrl_c_saves_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = DemoSource.frames

    def interrupted(self: DemoSource) -> Iterator[Frame]:
        for frame in whole(self):
            if frame.index == 2:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(DemoSource, "frames", interrupted)
    assert watch("demo", tmp_path / "out")["interrupted"] is True
    assert len(observations(tmp_path / "out")) == 2


def test_a_source_without_a_frame_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"broken\.png"):
        watch(str(tmp_path / "broken.png"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_reach_the_disk_before_the_end(tmp_path: Path) -> None:
    file = ObservationsFile(tmp_path)
    file.flush()
    assert (tmp_path / "observations.partial.csv").read_text().startswith("t_s,frame,track_id")
    assert not (tmp_path / "observations.csv").exists()
    assert file.close() == tmp_path / "observations.csv"
    assert not (tmp_path / "observations.partial.csv").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"view": "hologram"}, "--view is 'hologram'; it must be one of auto, window"),
        ({"smoothing_s": -1.0}, "--smoothing-s is -1;"),
        ({"seconds": -5.0}, "--duration-s is -5;"),
        ({"smoothing_s": float("nan")}, "--smoothing-s is nan"),
        ({"view": "windw"}, "Did you mean 'window'?"),
        ({"camera_size": (1280, 7)}, "--camera-size is 1280x7; each side must be"),
        ({"camera_fps": 0.5}, "--camera-fps is 0.5; it must be 1 to 1000"),
        ({"patience_s": -1.0}, "--patience-s is -1;"),
    ],
)
def test_wrong_settings_name_the_value_and_the_rule(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        LiveSettings(source="demo", out=tmp_path, model="mien-s", **changes)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out .* is a file"):
        LiveSettings(source="demo", out=tmp_path / "file", model="mien-s")


EU_SCHOOL = """[deployment]
context = "education-institution"
jurisdiction = "EU"
purpose = "improving-material"
operator = "A school"
contact = "dpo@school.example"
minors = false
legal_basis = "public-task"
"""


def test_where_the_law_forbids_expressions_none_is_computed_shown_or_kept(
    shown_in: Any, yunet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deployment.toml").write_text(EU_SCHOOL)
    monkeypatch.setattr(mien.session, "Predictor", None)  # no model may even be loaded
    view = shown_in(ReactingView(lambda snapshot: Command.QUIT if snapshot.frames >= 20 else None))
    summary = watch("demo", tmp_path / "out", view="window", deployment=tmp_path / "deployment.toml")
    assert summary["policy"] == "observables"
    assert summary["model"] == "no model"
    assert summary["presence_share"] == 1
    assert summary["facing_share"] == 1
    assert not {"valence", "distribution", "episodes", "transitions", "dwell"} & set(summary)
    rows = observations(tmp_path / "out")
    assert len(rows) >= 20
    for row in rows:
        assert row["unread"] == "expressions off"
        assert row["facing"] == "1"
        assert set(row) == {"t_s", "frame", "track_id", "unread", "facing"}
    assert json.loads((tmp_path / "out" / "privacy.json").read_text())["level"] == "observables"
    assert not view.shown[-1].expressions
    assert view.shown[-1].result.faces[0].words == "not read: expressions off"


def test_a_deployment_that_is_refused_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "deployment.toml").write_text(EU_SCHOOL.replace("improving-material", "proctoring"))
    with pytest.raises(NotPermittedError, match="excluded-purpose"):
        watch("demo", tmp_path / "out", deployment=tmp_path / "deployment.toml")
    assert not (tmp_path / "out").exists()


class WindowView(ReactingView):
    """A window: it stays open at the end of a recording."""

    stays = True


def test_a_photo_waits_in_its_window_until_it_is_closed(shown_in: Any, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((240, 320, 3), 90, np.uint8))
    after_the_end: list[Snapshot] = []

    def choose(snapshot: Snapshot) -> Command | None:
        if "end of" in snapshot.notice:
            after_the_end.append(snapshot)
        return Command.QUIT if len(after_the_end) > 5 else None

    view = shown_in(WindowView(choose))
    summary = watch(str(tmp_path / "photo.png"), tmp_path / "out", view="window")
    assert "photo.png; press q to close" in after_the_end[0].notice
    assert view.closed
    assert summary["frames"] == after_the_end[0].frames == 1
    assert not summary["interrupted"]

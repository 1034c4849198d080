"""Which camera is meant and why it cannot be had: lists, device files and processes as Linux keeps them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
from cameras import ScriptedDecoder, shut_out

from mien.errors import UsageError
from mien.sources.cameras import Camera, CameraDevice, CameraOptions, camera_problem, find_camera, list_cameras, processes_using

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="device files and /proc are Linux's")


def plug_in(names: Path, index: int, name: str, part: int = 0) -> None:
    node = names / f"video{index}"
    node.mkdir(parents=True)
    (node / "name").write_text(name + "\n")
    (node / "index").write_text(f"{part}\n")


def unplug(names: Path, index: int) -> None:
    for file in (names / f"video{index}").iterdir():
        file.unlink()
    (names / f"video{index}").rmdir()


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """A laptop's camera with its second node, and a webcam."""
    plug_in(tmp_path / "names", 10, "HD Pro Webcam C920")
    plug_in(tmp_path / "names", 0, "Integrated Camera: Integrated C")
    plug_in(tmp_path / "names", 1, "Integrated Camera: Integrated C", part=1)
    return tmp_path / "names"


def test_cameras_are_listed_once_each_by_index(names: Path) -> None:
    assert list_cameras(names) == (Camera(0, "Integrated Camera: Integrated C"), Camera(10, "HD Pro Webcam C920"))
    assert list_cameras(names / "nowhere") == ()


def test_elsewhere_names_come_from_the_system_in_opencvs_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is installed on macOS and Windows only, so this stands in for it."""
    asked = []

    def enumerate_cameras(backend: int) -> list[SimpleNamespace]:
        asked.append(backend)
        return [SimpleNamespace(index=0, name="FaceTime HD"), SimpleNamespace(index=1, name="odd\x1b[31m name")]

    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", SimpleNamespace(enumerate_cameras=enumerate_cameras))
    for platform, backend in (("darwin", cv2.CAP_AVFOUNDATION), ("win32", cv2.CAP_MSMF)):
        monkeypatch.setattr(sys, "platform", platform)
        assert list_cameras() == (Camera(0, "FaceTime HD"), Camera(1, "odd\\u001b[31m name"))
        assert asked.pop() == backend
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", None)
    assert list_cameras() == ()


def test_a_part_of_the_name_is_enough_and_several_are_an_error(names: Path) -> None:
    here = list_cameras(names)
    assert [find_camera(part, here) for part in ("c920", "INTEGRATED", " webcam ")] == [here[1], here[0], here[1]]
    assert find_camera("c270", here) is None
    assert find_camera("", here) is None
    with pytest.raises(UsageError, match=r"source is 'cam', and 2 cameras match: 0 Integrated Camera.*, 10 HD Pro"):
        find_camera("cam", here)
    plug_in(names, 2, "HD Pro")
    assert find_camera("hd pro", list_cameras(names)) == Camera(2, "HD Pro")  # the whole name is no part of another


def test_a_camera_is_found_again_under_another_index(names: Path) -> None:
    device = CameraDevice(10, CameraOptions(), names)
    assert (device.name, device.index()) == ("camera 10, HD Pro Webcam C920", 10)
    unplug(names, 10)
    assert device.index() == 10  # gone: nothing better is known
    plug_in(names, 2, "HD Pro Webcam C920")
    assert device.index() == 2
    plug_in(names, 4, "HD Pro Webcam C920")
    assert device.index() == 10  # two of them: not guessed


def test_a_camera_without_a_listed_name_keeps_its_index(tmp_path: Path) -> None:
    device = CameraDevice(3, CameraOptions(), tmp_path)
    assert (device.name, device.index()) == ("camera 3", 3)


def test_unmet_camera_options_are_reported(tmp_path: Path) -> None:
    size = {cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0, cv2.CAP_PROP_FPS: 30.0}
    device = CameraDevice(3, CameraOptions((1280, 720), 60), tmp_path)
    camera = ScriptedDecoder([], properties=size)
    device.ask(camera)
    assert dict(camera.asked)[cv2.CAP_PROP_FRAME_WIDTH] == 1280
    assert dict(camera.asked)[cv2.CAP_PROP_FPS] == 60
    assert device.notice == "camera 3 gives 640x480 pixels, not 1280x720 and 30 frames a second, not 60"
    modest = CameraDevice(3, CameraOptions((640, 480), 30), tmp_path)
    modest.ask(ScriptedDecoder([], properties=size))
    assert modest.notice == ""
    silent = CameraDevice(3, CameraOptions(), tmp_path)
    untouched = ScriptedDecoder([], properties=size)
    silent.ask(untouched)
    assert (untouched.asked, silent.notice) == ([], "")


@LINUX
def test_a_camera_that_is_not_there(open_folder: Path, names: Path) -> None:
    said = camera_problem(5, list_cameras(names), open_folder)
    assert said.startswith("no camera 5 here (cameras: 0 Integrated Camera: Integrated C, 10 HD Pro Webcam C920).")
    assert "(cameras: none)" in camera_problem(5, (), open_folder)


@LINUX
def test_a_camera_without_permission_has_its_own_sentence(open_folder: Path) -> None:
    node = open_folder / "video0"
    node.touch()
    with shut_out(node):
        said = camera_problem(0, (), open_folder)
    assert f"this user has no permission for {node}" in said
    assert f"sudo usermod -aG {node.group()} $USER" in said


@LINUX
def test_the_program_that_holds_a_camera_is_named(open_folder: Path) -> None:
    node = open_folder / "video0"
    node.touch()
    assert processes_using(node) == ()
    with node.open():
        assert processes_using(node) == ()  # this program itself is no other
        assert "does not respond" in camera_problem(0, (), open_folder)
    program = f"import sys; held = open({str(node)!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        said = camera_problem(0, (), open_folder)
        other.communicate("")
    assert "in use by another program: " in said
    assert f"({other.pid})" in said

"""The window, the terminal and the pictures: looked at by numbers here, by eyes before a release."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from factories import frame, reading, snapshot, trend
from rich.console import Console

from mien.drawing import CLASS_RGB, ink_on, ribbon_columns
from mien.emotions import EMOTIONS
from mien.errors import DeviceError
from mien.records import SourceHealth
from mien.summaries.picture import SIZE, draw_summary
from mien.views.dashboard import render
from mien.views.terminal import TerminalView, draw, draw_help
from mien.views.theme import KEYS, SIGNS
from mien.views.view import Command
from mien.views.window import Window, screen_available

HAPPY = CLASS_RGB[EMOTIONS.index("happy")]


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == np.array(colour, np.uint8)).all(axis=2).sum())


def text_of(width: int, **changes: object) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=False)
    console.print(draw(snapshot(**changes), width))  # changes are keyword values of many types
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_face_is_framed_in_its_expressions_colour_and_only_then() -> None:
    size = (1100, 620)
    empty = render(frame(), snapshot(trend=np.zeros((0, 7)), trend_t_s=np.zeros(0), distribution=np.zeros(7)), size)
    seen = render(
        frame(),
        snapshot(
            [reading("happy", 0.87, (200, 100, 150, 200))],
            trend=np.zeros((0, 7)),
            trend_t_s=np.zeros(0),
            distribution=np.zeros(7),
        ),
        size,
    )
    assert empty.shape == seen.shape == (620, 1100, 3)
    assert count(empty, HAPPY) == 0
    assert count(seen, HAPPY) > 1000


@pytest.mark.parametrize("size", [(320, 240), (500, 900), (1100, 620), (1900, 1000), (640, 200)])
@pytest.mark.parametrize("box", [(200, 100, 150, 200), (-400, -300, 200, 200), (600, 440, 400, 400), (0, 0, 1e7, 1e7)])
def test_no_size_and_no_box_breaks_the_picture(size: tuple[int, int], box: tuple[float, float, float, float]) -> None:
    faces = [reading("fear", 0.5, box), reading("sad", 0.9, (10, 10, 30, 30), landmarks=False)]
    picture = render(frame(), snapshot(faces, notice="saved: " + "long/" * 60, paused=True), size)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.std() > 5


def test_bars_are_as_long_as_their_shares() -> None:
    half, whole = (
        count(render(frame(), snapshot(trend=np.zeros((0, 7)), trend_t_s=np.zeros(0), distribution=d), (1100, 620)), HAPPY)
        for d in (np.eye(7)[3] * 0.5, np.eye(7)[3])
    )
    assert whole / half == pytest.approx(2, rel=0.1)


def test_ribbons_keep_gaps_and_sums() -> None:
    t_s, values = trend()
    values[40:60] = np.nan
    columns = ribbon_columns(t_s, values, t_s[0], t_s[-1], 200)
    gaps = np.isnan(columns).any(axis=1)
    assert 0.15 < gaps.mean() < 0.25
    assert np.allclose(columns[~gaps].sum(axis=1), 1)
    assert columns[0].argmax() == EMOTIONS.index("neutral")
    assert columns[-1].argmax() == EMOTIONS.index("happy")
    assert np.isnan(ribbon_columns(np.zeros(0), np.zeros((0, 7)), 0.0, 1.0, 5)).all()


def test_text_on_every_class_colour_can_be_read() -> None:
    def luminance(colour: tuple[int, int, int]) -> float:
        linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in CLASS_RGB:
        light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_the_window_gives_keys_as_commands_and_starts_no_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert screen_available()
    window = Window()
    import pygame

    keys = [pygame.K_s, pygame.K_x, pygame.K_h, pygame.K_SPACE, pygame.K_e, pygame.K_r, pygame.K_q, pygame.K_ESCAPE]
    for key in keys:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    commands = window.show(frame(), snapshot([reading("happy", 0.9, (100, 100, 100, 100))]))
    wanted = (Command.SCREENSHOT, Command.PAUSE, Command.EXPORT, Command.RESET)
    assert commands == (*wanted, Command.QUIT, Command.QUIT, Command.QUIT)
    surface = pygame.display.get_surface()
    assert surface is not None
    shown = pygame.surfarray.array3d(surface).swapaxes(0, 1)
    assert count(shown, HAPPY) > 500
    assert pygame.mixer is None or not pygame.mixer.get_init()
    window.close()
    window.close()


def test_no_screen_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    with pytest.raises(DeviceError, match="no screen to open a window on"):
        Window()
    monkeypatch.delenv("SDL_VIDEODRIVER")
    assert screen_available() is (sys.platform in ("win32", "darwin"))


def test_a_face_that_is_not_read_is_grey_and_says_why() -> None:
    face = replace(reading("happy", 0.9, (100, 100, 200, 250)), unread="too dark", label="")
    plain = reading("happy", 0.9, (100, 100, 200, 250))
    read, unread = (render(frame(), snapshot([shown]), (1100, 620)) for shown in (plain, face))
    assert count(read[:580, :740], HAPPY) > 500
    assert count(unread[:580, :740], HAPPY) == 0
    assert "not read: too dark" in text_of(80, faces=[face])


def test_a_lost_source_is_dimmed_and_said() -> None:
    bright = frame(grey=200)
    fine, lost = (
        render(bright, snapshot(health=SourceHealth(state=state, since_s=4.0), notice="camera 0 is lost"), (1100, 620))
        for state in ("ok", "lost")
    )
    assert fine[300, 300].mean() > 2 * lost[300, 300].mean()
    assert "source lost, 00:04" in text_of(80, health=SourceHealth(state="lost", since_s=4.0))


@pytest.mark.parametrize("size", [(1100, 620), (420, 640), (320, 240), (2000, 400)])
def test_help_explains_every_key_over_the_picture(size: tuple[int, int]) -> None:
    plain, helping = (render(frame(), snapshot(), size, helping=helping) for helping in (False, True))
    assert (plain != helping).any(2).mean() > 0.03
    console = Console(width=80, record=True, file=StringIO())
    console.print(draw_help())
    text = console.export_text()
    assert all(words in text for row in (*KEYS, *SIGNS) for words in row)
    assert {key if key != "SPACE" else " " for key, _ in KEYS} == {command.value for command in Command}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_shows_the_same_facts_and_fits(width: int) -> None:
    faces = [reading("happy", 0.87, (0, 0, 50, 50)), reading("sad", 0.6, (90, 0, 50, 50), "a1b2c3")]
    text = text_of(width, faces=faces, notice="exported to results/x")
    lines = text.splitlines()
    assert len(lines) <= 23
    assert max(map(len, lines)) <= width
    assert "…" not in "\n".join(lines[3:])  # no fact is cut off; the source's name may be
    assert all(f"{key} {name}" in text for key, name in KEYS)
    assert "arousal" in text
    assert "drift" in text
    for fact in (
        "camera 0",
        "YuNet",
        "analysing",
        "happy 87%",
        "a1b2c3 sad 60%",
        "28.6 fps",
        "41 dropped",
        "01:23",
        "52%",
        "exported",
    ):
        assert fact in text
    assert "no face in view" in text_of(width)
    assert "paused" in text_of(width, paused=True)


def test_the_terminal_view_is_silent_where_there_is_no_terminal() -> None:
    file = StringIO()
    view = TerminalView(Console(file=file, force_terminal=False))
    assert view.show(frame(), snapshot()) == ()
    view.close()
    assert file.getvalue() == ""


def test_keys_come_through_a_real_terminal_and_its_settings_come_back() -> None:
    program = (
        "import sys, termios, time\n"
        "from factories import frame, snapshot\n"
        "from mien.views.terminal import TerminalView\n"
        "before = termios.tcgetattr(0)\n"
        "view = TerminalView()\n"
        "print('ready', flush=True)\n"
        "seen, end = [], time.monotonic() + 600\n"
        "while 'QUIT' not in seen and time.monotonic() < end:\n"
        "    seen += [c.name for c in view.show(frame(), snapshot())]\n"
        "    time.sleep(0.02)\n"
        "view.close(); view.close()\n"
        "print('keys', *seen, 'restored', termios.tcgetattr(0) == before, 'end')\n"
    )
    master, slave = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", program], stdin=slave, stdout=slave, stderr=slave, env=environment):
        os.close(slave)
        said = b""
        while b"ready" not in said:
            said += os.read(master, 4096)
        os.write(master, b"zs q")
        deadline = time.monotonic() + 600
        while b" end" not in said and time.monotonic() < deadline:
            said += os.read(master, 65536)
    os.close(master)
    assert b"keys SCREENSHOT PAUSE QUIT restored True" in said


def test_the_summary_picture_shows_the_session(tmp_path: Path) -> None:
    t_s, values = trend(60, 121)
    shares = np.array([0, 0, 0, 0.75, 0.25, 0, 0])
    facts = [("frames", "472"), ("duration", "19.6 s")]
    draw_summary(tmp_path / "a.png", title="A lesson", t_s=t_s, values=values, distribution=shares, facts=facts)
    picture = cv2.cvtColor(cv2.imread(str(tmp_path / "a.png")), cv2.COLOR_BGR2RGB)
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    bars = picture[440:680]
    assert count(bars, HAPPY) / count(bars, CLASS_RGB[EMOTIONS.index("neutral")]) == pytest.approx(3, rel=0.1)
    assert count(picture[190:380], CLASS_RGB[EMOTIONS.index("surprise")]) > 5000
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]


def test_a_session_without_faces_says_so(tmp_path: Path) -> None:
    for name, points in (("none", 0), ("gaps", 5)):
        gaps = np.full((points, 7), np.nan)
        target = tmp_path / f"{name}.png"
        draw_summary(target, title="x", t_s=np.arange(points, dtype=float), values=gaps, distribution=np.zeros(7), facts=[])
        picture = cv2.cvtColor(cv2.imread(str(target)), cv2.COLOR_BGR2RGB)
        assert sum(count(picture, colour) for colour in CLASS_RGB) == 0
        assert picture[390:450, 500:700].std() > 5  # the sentence in the middle
        assert picture[470:640, 60:1140].std((0, 1)).max() < 1  # no bars without a share


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DeviceError, match="cannot write"):
        draw_summary(
            tmp_path / "file" / "a.png", title="x", t_s=np.zeros(0), values=np.zeros((0, 7)), distribution=np.zeros(7), facts=[]
        )

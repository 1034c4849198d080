"""Control characters of others: written out wherever something is printed, and never obeyed by a terminal."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from kept_sessions import kept
from test_cli import mien

from mien.sessions.database import Database
from mien.sources.cameras import list_cameras
from mien.visible import repeats, visible, visible_lines, visible_output

TITLE = "\x1b]0;owned\x07"
"""Sets a terminal's title."""
HOSTILE = f"a{TITLE}\x1b[31m\r\x9b2J\u202eb"


def controls(text: str) -> list[str]:
    return [each for each in text if (ord(each) < 32 and each not in "\t\n") or 127 <= ord(each) < 160 or each == "\u202e"]


@pytest.mark.parametrize("code", [*range(9), *range(11, 32), *range(127, 160), 0x202E, 0x2066, 0x2028, 0x200F, 0xFEFF, 0xDC80])
def test_every_control_character_is_written_out(code: int) -> None:
    assert visible(f"a{chr(code)}b") == visible_lines(f"a{chr(code)}b") == f"a\\u{code:04x}b"
    assert json.loads(f'"{visible(chr(code))}"') == chr(code)  # JSON that passes through stays the same JSON


def test_layout_stays_and_other_writings_too() -> None:
    text = "Größe 👩‍🔬\tשלום العربية हिन्दी\n│ █ … –"
    assert visible_lines(text) == text
    assert visible("a\n\tb") == "a\\u000a\\u0009b"


def test_a_secret_is_known_in_other_writings() -> None:
    for text in ("x a/b&c x", "x a%2Fb%26c x", "x a/b&amp;c x"):
        assert repeats(text, ["", "a/b&c"])
    assert not repeats("x a/b x", ["", "a/b&c"])


def test_what_is_printed_passes_through_and_the_streams_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with visible_output():
        print(HOSTILE, 1, sep="\t")
        sys.stdout.writelines([HOSTILE, "\n"])
    assert sys.stdout is out
    assert controls(out.getvalue()) == []
    assert out.getvalue().count("\n") == 2


def in_a_terminal(command: list[str], cwd: Path, **environment: str) -> str:
    """Return what a program writes to a terminal."""
    import pty

    master, slave = pty.openpty()
    kept_names = ("PATH", "HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "MIEN_MODELS")
    bare = {name: os.environ[name] for name in kept_names if name in os.environ}
    bare |= {"PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40", **environment}
    program = subprocess.Popen(command, cwd=cwd, env=bare, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    written = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux says so at the end
            break
        if not piece:
            break
        written += piece
    os.close(master)
    assert program.wait(timeout=900) == 0, written
    return written.decode("utf-8", "replace")


needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")

BESIDE_BARS = f"""
import sys
from mien.cli.progress import progress_bar
from mien.visible import visible_output
with visible_output():
    print({HOSTILE!r})
    with progress_bar("reading " + {HOSTILE!r}) as progress:
        print({HOSTILE!r})
        print({HOSTILE!r}, file=sys.stderr)
        progress(1, 2)
    print({HOSTILE!r}, file=sys.stderr)
"""


@needs_terminal
def test_bars_are_drawn_and_nothing_beside_them_is_obeyed(tmp_path: Path) -> None:
    shown = in_a_terminal([sys.executable, "-c", BESIDE_BARS], tmp_path)
    assert "━" in shown
    assert "\x1b[" in shown  # the bars' own
    for obeyed in (TITLE, "\x07", "\x9b", "\u202e"):
        assert obeyed not in shown
    assert shown.count("\\u001b]0;owned\\u0007\\u001b[31m\\u000d\\u009b2J\\u202eb") >= 4


@needs_terminal
def test_the_terminal_view_and_the_summary_write_out_a_films_name(clips: Path, yunet: Path, tmp_path: Path) -> None:
    recording = tmp_path / f"{HOSTILE}\nforged.mp4"
    shutil.copyfile(clips / "neutral_smile_neutral.mp4", recording)
    live = [sys.executable, "-m", "mien", "live", "--source", recording.name, "--view", "terminal", "--duration-s", "1"]
    shown = in_a_terminal(live, tmp_path)
    for obeyed in (TITLE, "\x07", "\x9b2J", "\u202e"):
        assert obeyed not in shown
    assert shown.count("owned\\u0007") >= 2  # in the view, and in the summary
    assert "\nforged" not in shown


def test_errors_and_lists_write_out_names(clips: Path, yunet: Path, tmp_path: Path) -> None:
    wrong = mien("live", "--source", f"{HOSTILE}\nforged.mp4", cwd=tmp_path)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (3, 1)
    recording = tmp_path / f"{HOSTILE}\nforged.mp4"
    recording.write_bytes(b"no recording")
    analysed = mien("analyze", recording.name, cwd=tmp_path)
    assert analysed.returncode == 3
    database = Database(f"sqlite:///{tmp_path / 'mine.db'}")
    database.save(kept("s1", source=f"{HOSTILE}\nforged"))
    database.close()
    listed = mien("sessions", "list", "--db", "mine.db", cwd=tmp_path)
    as_json = mien("sessions", "list", "--db", "mine.db", "--json", cwd=tmp_path)
    for said in (wrong, analysed, listed, as_json):
        assert controls(said.stdout + said.stderr) == []
        assert "\nforged" not in said.stdout + said.stderr
        assert "owned" in said.stdout + said.stderr
        assert "Traceback" not in said.stderr
    assert json.loads(as_json.stdout)[0]["source"] == f"{HOSTILE}\nforged"


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_a_name_that_is_not_text_is_printed(tmp_path: Path) -> None:
    said = mien("analyze", os.fsdecode(b"\xff.mp4"), cwd=tmp_path)
    assert said.returncode == 3
    assert "Traceback" not in said.stderr
    assert said.stderr.endswith("error: no file or folder called \\udcff.mp4\n")


def test_the_name_a_camera_gives_itself_is_written_out(tmp_path: Path) -> None:
    (tmp_path / "video0").mkdir()
    (tmp_path / "video0" / "name").write_text(f"{HOSTILE}\n")
    (tmp_path / "video0" / "index").write_text("0\n")
    (camera,) = list_cameras(tmp_path)
    assert camera.name == visible(HOSTILE.replace("\r", "\n"))  # Python reads both as an end of line

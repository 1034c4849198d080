"""The command line as a user meets it: in a process of its own, through every door."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from cameras import NetworkCamera, network_camera
from conftest import REPOSITORY, MienHere
from typer.testing import CliRunner

from mien.cli import app, main
from mien.cli.model_in_use import model_lines
from mien.cli.options import SESSIONS_DEFAULT
from mien.cli.progress import logged_progress, new_progress, progress_bar
from mien.cli.train import _next_step
from mien.console import CountColumn
from mien.sessions.layout import MARK_NAME, OBSERVATIONS_NAME, PAGE_NAME, PARQUET_NAME, PICTURE_NAME, SUMMARY_NAME
from mien.sources.demo import DemoSource
from mien.version import VERSION

DOORS = {
    "prepare_fer2013_data.py": "prepare",
    "train_model.py": "train",
    "test_model.py": "evaluate",
    "realtime_emotion_analytics.py": "live",
    "face_emotion_system.py": "system",
}


def mien(
    *arguments: str, cwd: Path, door: str = "", said: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / door)] if door else [sys.executable, "-m", "mien"]
    # a bare environment: no screen, and no CI variable that would silence what CI silences
    kept = {
        name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME", "XDG_CACHE_HOME", "MIEN_MODELS") if name in os.environ
    }
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env=kept | environment,
        input=said,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def obeys_ctrl_c() -> None:
    """Undo what a shell does to commands in its background: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name == "nt", reason="closes descriptors by their numbers")
@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_closed_streams_are_harmless(closed: tuple[int, ...], tmp_path: Path) -> None:
    options = ["--source", "demo", "--headless", "--duration-s", "0.2", "--out", "out"]
    arguments = [sys.executable, "-m", "mien", "live", *options]
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    close = "import os, sys; [os.close(int(each)) for each in sys.argv[1].split(',')]; os.execv(sys.argv[2], sys.argv[2:])"
    run = subprocess.run(
        [sys.executable, "-c", close, ",".join(map(str, closed)), *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, ""), run.stderr
    assert "Traceback" not in run.stderr
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["state"] == "ended"


@pytest.mark.parametrize(("door", "verb"), DOORS.items())
def test_the_five_scripts_are_doors_to_the_verbs(door: str, verb: str, tmp_path: Path) -> None:
    through_script, through_verb = mien("--help", cwd=tmp_path, door=door), mien(verb, "--help", cwd=tmp_path)
    assert through_script.returncode == 0
    assert through_script.stdout == through_verb.stdout
    assert f"Usage: mien {verb}" in through_script.stdout
    assert len((REPOSITORY / door).read_text().splitlines()) <= 6


def test_help_needs_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "import mien.cli\n"
        "heavy = {'numpy', 'cv2', 'onnxruntime', 'torch', 'matplotlib', 'PIL', 'pygame', 'onnx'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert answer.stdout.strip() == "[]"


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command and group with its path below ``mien``."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
PLAIN_NUMBERS = {"noise", "min_drop", "held_out", "new_share", "validation"}
"""Options with a number that has no unit, or whose unit is people."""


def test_these_are_the_commands() -> None:
    names = {" ".join(path) for path, command in COMMANDS.items() if not hasattr(command, "commands")}
    assert names == {
        *("prepare", "labels", "train", "evaluate", "compare", "explain", "export", "retrain", "live", "analyze"),
        *("doctor", "system", "web", "train-detector"),
        *(f"models {name}" for name in ("list", "card", "verify", "path", "promote", "rollback", "history")),
        *(f"sessions {name}" for name in ("list", "show", "export", "delete", "groups")),
        *(f"states {name}" for name in ("show", "check", "init")),
        *(f"monitor {name}" for name in ("sessions", "images", "reference")),
        *(f"policy {name}" for name in ("init", "check", "table", "documents")),
        *(f"privacy {name}" for name in ("status", "notice", "consent", "export", "erase", "retention")),
        *("privacy log verify", "privacy log show"),
        *(f"class {name}" for name in ("serve", "invite", "open", "simulate", "backup")),
        *(f"class platforms {name}" for name in ("invite", "add", "deployment", "list", "remove", "rotate")),
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_a_screen_and_explains_every_option(path: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(app, [*path, "--help"], terminal_width=78)
    lines = answer.stdout.splitlines()
    assert len(lines) <= 40, answer.stdout
    assert max(map(len, lines)) <= 80, answer.stdout
    assert "{" not in lines[0], answer.stdout  # braces mean a choice
    assert not re.search(r"<(str|int|float|path|list)|\[default: \(", answer.stdout), answer.stdout
    assert all(parameter.help for parameter in COMMANDS[path].params), answer.stdout
    if hasattr(COMMANDS[path], "commands"):
        listed = lines[lines.index("Options:") :]
        assert not [line for line in listed if line.endswith("...")]  # a first line that does not fit
    else:
        assert "  Example" in answer.stdout
        assert COMMANDS[path].help.splitlines()[0].endswith("."), answer.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_one_thing_has_one_name_and_numbers_have_units(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        if parameter.default == SESSIONS_DEFAULT:
            assert parameter.opts == ["--sessions"]
        if parameter.name == "model":
            assert parameter.opts == ["--model"]
        if isinstance(parameter.default, float):
            assert parameter.name in PLAIN_NUMBERS or parameter.name.endswith(("_s", "_h", "_minutes", "_fps")), parameter.name
        assert not {"--root", "--folder", "--since", "--seconds", "--days", "--start", "--against"} & set(parameter.opts)
    names = [name for parameter in COMMANDS[path].params for name in parameter.opts]
    assert ("--from" in names) == ("--to" in names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("analyze", "x.mp4", "--workers", "two"), "'--workers': 'two' is not a whole number"),
        (("analyze", "x.mp4", "--workers", "0"), "'--workers': it must be 1 to 256, not 0"),
        (("live", "--duration-s", "abc"), "'--duration-s': 'abc' is not a number"),
        (("monitor", "images", "x", "--every-s", "0"), "'--every-s': it must be at least 0.001, not 0"),
        (("prepare", "--seed", "-1"), "'--seed': it must be at least 0, not -1"),
        (("explain",), "Missing argument 'IMAGE'"),
    ],
)
def test_a_wrong_number_is_said_in_words(arguments: tuple[str, ...], said: str) -> None:
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 2
    assert said in answer.stderr


def test_the_version_is_printed(tmp_path: Path) -> None:
    answer = mien("--version", cwd=tmp_path)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, f"mien {VERSION}\n", "")


def test_prepare_writes_the_four_files_and_says_what_it_found(fer_zip: Path, tmp_path: Path) -> None:
    answer = mien("prepare", "--data", str(fer_zip), cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "Total images:     42" in answer.stdout
    folder = tmp_path / "results" / "data_analysis"
    wanted = {"class_distribution.png", "sample_images.png", "class_weights.txt", "data_preparation_report.txt"}
    assert {path.name for path in folder.iterdir()} == wanted | {"audit.json", "audit.html", "clean_split.csv", "datasheet.md"}
    assert json.loads((folder / "audit.json").read_text())["splits"]["PublicTest"] == 14
    assert len((folder / "class_weights.txt").read_text().splitlines()) == 7
    assert f"or mien evaluate --model mien-s --data {fer_zip} to score the packaged model" in answer.stdout.splitlines()[-1]


def test_train_evaluate_and_watch_with_ones_own_model(fer_folder: Path, tmp_path: Path, mien_here: MienHere) -> None:
    common = ("--data", str(fer_folder))
    train = ("train", *common, "--epochs", "1", "--batch-size", "7", "--out", "models/mine")
    code, out, err = mien_here(*train)
    assert code == 0, err
    assert (tmp_path / "models" / "mine" / "mien.onnx").is_file()
    assert "the network learns the labels of this data" in out
    assert "PublicTest: labels of this data" in err
    assert "PublicTest, labels of this data" in out
    assert "FER2013" not in out + err
    assert f"Next: run mien evaluate --data {fer_folder}, then mien live. Both use the newest model in models" in out
    assert "training on cpu: 21 images, 1 epoch\n" in out
    code, _, err = mien_here(*train)
    assert (code, err.count("\n")) == (2, 1)
    assert "--resume" in err
    code, out, err = mien_here("evaluate", *common, "--model", "models/mine/mien.onnx", "--split", "PrivateTest")
    assert code == 0, err
    last = json.loads(out.splitlines()[-1])
    numbers = last["truths"]["own"]  # the names of the files are FER2013's, the images are not
    assert numbers["n"] == 7
    assert "named like FER2013's" in err
    code, out, err = mien_here("models", "list")
    assert f"evaluate use {Path('models/mine/mien.onnx')}, the newest model in models (labels of this data " in out
    code, out, err = mien_here("models", "card", "models/mine/mien.onnx")
    assert "| data | user data, Training; content hash" in out
    assert "label head: the label of the training data" in out
    assert "FER2013" not in out
    assert {"accuracy", "accuracy_ci", "macro_f1", "ece", "confusion_matrix"} <= set(numbers)
    assert mien_here("live", "--source", "demo", "--duration-s", "0.2", "--headless", "--model", "models/mine/mien.onnx")[0] == 0


def test_evaluating_on_other_data_is_noted(fer_folder: Path, mien_here: MienHere) -> None:
    code, _, err = mien_here("evaluate", "--data", str(fer_folder))
    assert code == 0, err
    assert "was trained on other data: data set: hash" in err


def test_a_headless_run_ends_in_one_json_document(tmp_path: Path) -> None:
    answer = mien("live", "--source", "demo", "--duration-s", "0.4", "--headless", "--out", "out", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    last = json.loads(answer.stdout.splitlines()[-1])
    assert set(last) == {
        "frames",
        "frames_with_face",
        "faces_max",
        "fps",
        "distribution",
        "out",
        "policy",
        "missing",
        "not_erased",
    }
    assert (last["frames"], last["out"]) == (10, "out")
    assert "SESSION SUMMARY" in answer.stdout
    assert "mien doctor --fetch" in answer.stderr  # the fallback detector is said, not hidden


def test_ctrl_c_ends_a_run_whose_camera_says_nothing_any_more(tmp_path: Path) -> None:
    """The reader still hangs in a call to the network when the process ends; that must not spoil the end."""
    over = threading.Event()

    def film(camera: NetworkCamera) -> None:
        for frame in itertools.islice(DemoSource().frames(), 10 if camera.number == 0 else 0):
            camera.send(frame.image)
        over.wait()

    with network_camera(film) as address:
        command = [sys.executable, "-m", "mien", "live", "--source", address, "--headless", "--out", "out"]
        run = subprocess.Popen(
            command,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            preexec_fn=obeys_ctrl_c,  # noqa: PLW1509  no thread runs yet
        )
        assert run.stderr is not None
        said = ""
        while "reconnecting" not in said:
            line = run.stderr.readline()
            assert line, said
            said += line
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=900)
        over.set()
    assert run.returncode == 0
    assert json.loads(out.splitlines()[-1])["frames"] > 0
    assert "losses: 1" in out, out
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["interrupted"] is True


def test_auto_says_when_there_is_no_camera(tmp_path: Path) -> None:
    if any(Path("/dev").glob("video*")):
        pytest.skip("this machine has a camera")
    answer = mien("live", "--duration-s", "0.2", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "No camera found" in answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1])["frames"] == 5


def test_the_doctor_reports_what_is_missing_and_what_to_do(fer_folder: Path, tmp_path: Path) -> None:
    bare = mien("doctor", cwd=tmp_path, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path), MIEN_MODELS="")
    assert bare.returncode == 0, bare.stderr
    lines = {line[4:16].strip(): line for line in bare.stdout.splitlines()}
    assert lines["model"].startswith("[x]")
    assert lines["detector"].startswith("[x]")  # the packaged one; a better one can be downloaded
    assert "mien doctor --fetch" in lines["detector"]
    for what, remedy in (
        ("data", "kaggle.com"),
        ("data report", "mien prepare"),
        ("declaration", "mien policy init"),
    ):
        assert lines[what].startswith("[ ]")
        assert remedy in lines[what]
    whole = mien("doctor", "--data", str(fer_folder), cwd=tmp_path)
    assert "[x] data " in whole.stdout
    (tmp_path / "face_detection_yunet_2023mar.onnx").write_text("cut short")
    broken = mien("doctor", "--model", "none.onnx", cwd=tmp_path, MIEN_MODELS=".")
    assert "[ ] model " in broken.stdout
    assert "[ ] detector " in broken.stdout
    assert "[ ] data " in broken.stdout  # the rest is still reported
    assert broken.returncode == 3
    assert "none.onnx" not in broken.stderr  # said once, in its line


def test_doctor_fetch_without_a_network_is_one_line(tmp_path: Path) -> None:
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    answer = mien("doctor", "--fetch", cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path), MIEN_MODELS="", **nowhere)
    assert (answer.returncode, answer.stderr.count("\n")) == (4, 1)
    assert answer.stderr.startswith("note: YuNet could not be downloaded; Mien uses its own detector")
    assert "MIEN_MODELS" in answer.stderr
    assert "[x] model" in answer.stdout  # the rest is still reported
    assert "[x] detector     mien-detect, in the package (YuNet could not be downloaded: " in answer.stdout
    assert "githubusercontent" not in answer.stdout + answer.stderr


def test_the_doctor_warns_of_a_poor_model_below_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mien.vision.bundles.accuracies", lambda bundle: {"fer2013": 0.4})
    lines = CliRunner().invoke(app, ["doctor", "--model", "mien-xs"]).stdout.splitlines()
    assert lines[0] == "[x] model        mien-xs: FER2013 labels 40.0% on PublicTest"
    assert lines[-1].startswith("warning: this model is right less than 60% of the time")
    assert lines[-2].startswith("[ ] data report")
    assert "For the packaged model: --model mien-s" in model_lines("models/mine/mien.onnx", tmp_path)[0]


def test_system_says_what_is_ready_and_goes_live(fer_folder: Path, tmp_path: Path) -> None:
    """The whole workflow, with ``--all``, is in ``test_workflow.py``."""
    pictures = str(fer_folder / "train" / "happy")
    answer = mien("system", "--data", str(fer_folder), "--source", pictures, "--headless", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "[x] data " in answer.stdout
    assert "[ ] data report" in answer.stdout
    assert "model mien-s: " in answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1])["frames"] == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("prepare",), 3, "kaggle.com"),
        (("prepare", "--data", "cut.zip"), 3, "not a complete zip archive"),
        (("train",), 3, "no FER2013 at data/fer2013. Download it"),
        (("train", "--data", "none"), 3, "there is no file or folder none. Check the path"),
        (("prepare", "--data", "cut.zp"), 3, "there is no file or folder cut.zp. Did you mean 'cut.zip'?"),
        (("evaluate", "--data", "none/cut.zip"), 3, "there is no file or folder none/cut.zip. Check the path"),
        (("evaluate", "--model", "gone.onnx", "--data", "fer2013"), 3, "no model bundle at gone.onnx"),
        (("evaluate", "--split", "Test", "--data", "fer2013"), 2, "unknown split 'Test'"),
        (("live", "--source", "gone.mp4"), 3, "no file, folder or camera"),
        (("live", "--source", "text.mp4", "--headless"), 3, "not a video"),
        (("live", "--source", "97", "--headless"), 4, "no camera 97"),
        (("live", "--model", "half.onnx", "--source", "demo", "--headless"), 3, "half.onnx"),
        (("live", "--view", "hologram"), 2, "--view is 'hologram'"),
        (("live", "--source", "demo", "--out", "text.mp4"), 2, "--out text.mp4 is a file; choose a folder"),
        (("analyze", "text.mp4", "--out", "text.mp4"), 2, "--out text.mp4 is a file; choose a folder"),
        (("explain", "gone.jpg"), 3, "no file gone.jpg"),
        (("sessions", "list", "--sessions", "gone"), 3, "no folder gone"),
        (("live", "--source", "demmo"), 3, "Did you mean 'demo'?"),
        (("live", "--camera-size", "720p"), 2, "--camera-size is '720p'"),
        (("live", "--source", "demo", "--camera-fps", "-3"), 2, "--camera-fps is -3"),
        (("live", "--view", "window", "--source", "demo"), 4, "no screen"),
        (("live", "--source", "demo", "--out", "text.mp4/x", "--headless"), 4, "text.mp4 is a file, not a folder"),
        (("train", "--data", "fer2013", "--out", "text.mp4/x"), 4, "text.mp4 is a file, not a folder"),
        (("export", "none.pt", "--data", "fer2013"), 3, "no checkpoint"),
        (("train", "--epochs", "0", "--data", "fer2013"), 2, "epochs is 0"),
        (("export", "x.pt", "--data", "fer2013", "--out", "x.pt"), 2, "a name that ends in .onnx"),
        (("train", "--seed", "20261201123456", "--data", "fer2013"), 2, "seed is 20261201123456"),
        (("privacy", "retention", "--retention-days", "1000000"), 2, "--retention-days is 1000000"),
        (("live", "--frobnicate"), 2, "--frobnicate"),
    ],
)
def test_what_a_user_can_cause_is_one_clear_line_and_the_right_code(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    fer_folder: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (here / "text.mp4").write_text("hello " * 1000)
    (here / "cut.zip").write_bytes(b"PK\x03\x04" + bytes(1000))
    bundle = (REPOSITORY / "mien" / "bundles" / "mien-s.onnx").read_bytes()
    (here / "half.onnx").write_bytes(bundle[: len(bundle) // 2])
    monkeypatch.setattr(sys, "argv", ["mien", *arguments])
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as ended:  # another exception would be a traceback
        main()
    printed = capfd.readouterr().err
    assert ended.value.code == code, printed
    assert said in printed
    if "--frobnicate" not in arguments:
        errors = [line for line in printed.splitlines() if not line.startswith(("Using the packaged", "model "))]
        assert len(errors) == 1
        assert errors[0].startswith("error: ")


def test_a_run_writes_nowhere_else(fer_folder: Path, tmp_path: Path) -> None:
    """Neither below the home folder (ONNX Runtime's device id) nor beside the session's folder."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    answer = mien(
        "live",
        "--source",
        "demo",
        "--duration-s",
        "0.4",
        "--headless",
        "--out",
        "out",
        cwd=work,
        HOME=str(home),
        XDG_CACHE_HOME="",
    )
    assert answer.returncode == 0, answer.stderr
    assert list(home.rglob("*")) == []
    kept = [OBSERVATIONS_NAME, PARQUET_NAME, MARK_NAME, PAGE_NAME, PICTURE_NAME, SUMMARY_NAME]
    assert {p.name for p in work.rglob("*")} == {"out", *kept}


def test_ctrl_c_saves_the_run_and_says_how_to_go_on(fer_folder: Path, tmp_path: Path) -> None:
    short = [
        "--data",
        str(fer_folder),
        "--batch-size",
        "7",
        "--out",
        "models/mine",
        "--set",
        "widths=[8,8,8]",
        "--set",
        "blocks=[1,1,1]",
    ]
    command = [sys.executable, "-m", "mien", "train", *short, "--epochs", "100000"]
    run = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=obeys_ctrl_c,  # noqa: PLW1509  no thread runs yet
    )
    deadline = time.monotonic() + 600
    while not (tmp_path / "models/mine/best.pt").exists() and time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.1)
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=900)
    assert run.returncode == 130
    assert "saved in models/mine" in said
    assert "Traceback" not in said
    assert (tmp_path / "models/mine/last.pt").is_file()
    assert list((tmp_path / "logs/mine").glob("events.*"))


@pytest.mark.parametrize("saved", [False, True])
def test_ctrl_c_before_the_first_checkpoint_does_not_promise_one(
    saved: bool, fer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")

    def stopped(*given: object, **named: object) -> None:
        if saved:
            (tmp_path / "run" / "last.pt").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("mien.lifecycle.train_model", stopped)
    answer = CliRunner().invoke(app, ["train", "--data", str(fer_folder), "--out", str(tmp_path / "run")])
    assert answer.exit_code == 130
    said = "Resume it with the same command and --resume" if saved else "nothing was saved. Start again with the same command"
    assert answer.stderr.splitlines()[-1].endswith(said)


@pytest.mark.parametrize("stage", ["reading", "auditing", "training", "writing"])
def test_a_stopped_prepare_says_what_was_written(
    stage: str, fer_folder: Path, here: Path, mien_here: MienHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = here / "out" / "label_model" / "fold-0" / "last.pt"

    def stop(*_: object, **__: object) -> None:
        if stage == "training":  # the state of a network
            checkpoint.parent.mkdir(parents=True)
            checkpoint.touch()
        raise KeyboardInterrupt

    names = {
        "reading": "mien.cli.reading.read_result",
        "auditing": "mien.audit.audit.find_near_duplicates",
        "training": "mien.audit.audit.find_near_duplicates",
        "writing": "mien.data.pictures.draw_samples",
    }
    monkeypatch.setattr(names[stage], stop)
    more = ("--label-model", "network" if stage == "training" else "ridge")
    code, _, err = mien_here("prepare", "--data", str(fer_folder), "--out", "out", "--no-faces", *more)
    assert code == 130
    said = {"training": "saved in out/label_model. The same command resumes", "writing": "the report in out is incomplete"}
    assert said.get(stage, "stopped; nothing was written") in err
    assert (here / "out").exists() == (stage in said)


def test_the_next_step_after_training_finds_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine, other = Path("models/mine/mien.onnx"), Path("runs/tiny/mien.onnx")
    for bundle in (mine, other):
        bundle.parent.mkdir(parents=True)
        bundle.touch()
        bundle.with_suffix(".json").touch()
    assert _next_step(mine, {"--data": None}).startswith("Next: run mien evaluate, then mien live. Both use the newest model")
    assert _next_step(other, {}) == f"Next: run mien evaluate --model {other}, then mien live --model {other}"
    named = {"--data": Path("my faces"), "--classes": None, "--votes": Path("votes.csv")}
    assert _next_step(mine, named).startswith("Next: run mien evaluate --data 'my faces' --votes votes.csv, then mien live. ")


def test_lines_beside_a_progress_bar_are_not_broken_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with new_progress() as bar:
        bar.console.print("FER2013 labels " * 20)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_stage_of_a_long_command_is_a_line_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    for bars in (logged_progress, progress_bar):
        with bars("exporting [all]") as progress:
            progress(1, 2)
    assert capsys.readouterr().err == "exporting [all] …\n"


def test_a_bar_without_a_total_shows_no_count() -> None:
    with new_progress() as bar:
        for total in (None, 3):
            bar.add_task("x", total=total)
    assert [CountColumn().render(task).plain for task in bar.tasks] == ["", "0/3"]


def test_the_recipes_are_listed_with_every_setting(tmp_path: Path) -> None:
    answer = mien("train", "--list", cwd=tmp_path)
    assert answer.returncode == 0
    assert answer.stdout.startswith("Start here: tiny (small, fast) or default (better)\n")
    for text in ("default:", "finetune:", "tiny:", "speedrun:", "teacher:", "distil:", "muon_lr=", "cutmix"):
        assert text in answer.stdout
    assert list(tmp_path.iterdir()) == []

"""The command line as a user meets it: in a process of its own, through every door."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cameras import NetworkCamera, network_camera
from conftest import REPOSITORY

from mien.live.demo import DemoSource
from mien.store.names import MARK_NAME, OBSERVATIONS_NAME, PAGE_NAME, PARQUET_NAME, PICTURE_NAME, SUMMARY_NAME

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
        timeout=240,
        check=False,
    )


def heeds_ctrl_c() -> None:
    """Undo what a shell does to commands in its background: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


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


def test_every_verb_and_option_is_explained(tmp_path: Path) -> None:
    listing = mien("--help", cwd=tmp_path).stdout
    groups = [("models", verb) for verb in ("list", "card", "verify", "path", "promote", "rollback", "history")]
    groups += [("deploy", verb) for verb in ("init", "check", "table", "papers")]
    groups += [("privacy", verb) for verb in ("status", "notice", "consent", "export", "erase", "retention")]
    groups += [("audit", verb) for verb in ("verify", "show")]
    groups += [("sessions", verb) for verb in ("list", "show", "export", "delete")]
    groups += [("states", verb) for verb in ("show", "check", "init")]
    groups += [("monitor", verb) for verb in ("images", "labels", "reference")]
    plain = [(verb,) for verb in (*DOORS.values(), "export", "fetch", "retrain", "groups")]
    for verbs in (*plain, *groups):
        assert verbs[0] in listing
        help_text = mien(*verbs, "--help", cwd=tmp_path).stdout
        assert "Example" in help_text
        options = [line for line in help_text.split("Options:")[1].splitlines() if line.strip().startswith("--")]
        assert all(len(line.split()) > 3 or "  " in line.strip() for line in options), help_text


def test_prepare_writes_the_four_files_and_says_what_it_found(fer_zip: Path, tmp_path: Path) -> None:
    answer = mien("prepare", "--data", str(fer_zip), cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "Total images:     42" in answer.stdout
    folder = tmp_path / "results" / "data_analysis"
    wanted = {"class_distribution.png", "sample_images.png", "class_weights.txt", "data_preparation_report.txt"}
    assert {path.name for path in folder.iterdir()} == wanted | {"audit.json", "audit.html", "clean_split.csv", "datasheet.md"}
    assert json.loads((folder / "audit.json").read_text())["splits"]["PublicTest"] == 14
    assert len((folder / "class_weights.txt").read_text().splitlines()) == 7


def test_train_evaluate_and_watch_with_ones_own_model(fer_folder: Path, tmp_path: Path) -> None:
    common = ("--data", str(fer_folder))
    trained = mien("train", *common, "--epochs", "1", "--batch-size", "7", "--out", "models/mine", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "best epoch" in trained.stdout
    again = mien("train", *common, "--epochs", "1", "--batch-size", "7", "--out", "models/mine", cwd=tmp_path)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "--resume" in again.stderr
    scored = mien("evaluate", *common, "--model", "models/mine/mien.onnx", "--split", "PrivateTest", cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    last = json.loads(scored.stdout.splitlines()[-1])
    assert last["n"] == 7
    assert {"accuracy", "accuracy_ci", "macro_f1", "ece", "confusion_matrix"} <= set(last)
    live = ("live", "--source", "demo", "--seconds", "0.2", "--headless", "--model", "models/mine/mien.onnx")
    assert mien(*live, cwd=tmp_path).returncode == 0


def test_evaluating_on_other_data_is_noted(fer_folder: Path, tmp_path: Path) -> None:
    answer = mien("evaluate", "--data", str(fer_folder), cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "was trained on other data than this: data set: hash" in answer.stderr


def test_a_headless_run_ends_in_one_json_document(tmp_path: Path) -> None:
    answer = mien("live", "--source", "demo", "--seconds", "0.4", "--headless", "--out", "out", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    last = json.loads(answer.stdout.splitlines()[-1])
    assert set(last) == {"frames", "frames_with_face", "faces_max", "fps", "distribution", "out", "policy"}
    assert (last["frames"], last["out"]) == (10, "out")
    assert "SESSION SUMMARY" in answer.stdout
    assert "mien fetch" in answer.stderr  # the fallback detector is said, not hidden


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
            preexec_fn=heeds_ctrl_c,  # noqa: PLW1509  no thread runs yet
        )
        assert run.stderr is not None
        said = ""
        while "is lost for" not in said:
            line = run.stderr.readline()
            assert line, said
            said += line
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=60)
        over.set()
    assert run.returncode == 0
    assert json.loads(out.splitlines()[-1])["frames"] > 0
    assert "source troubles     losses: 1" in out, out
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["interrupted"] is True


def test_auto_says_when_there_is_no_camera(tmp_path: Path) -> None:
    if any(Path("/dev").glob("video*")):
        pytest.skip("this machine has a camera")
    answer = mien("live", "--seconds", "0.2", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "No camera found" in answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1])["frames"] == 5


def test_system_says_what_is_ready_runs_what_is_missing_and_goes_live(fer_folder: Path, tmp_path: Path) -> None:
    checked = mien("system", "--check", cwd=tmp_path / "..")
    assert checked.returncode == 0
    assert "[ ] data" in checked.stdout
    assert "[x] model" in checked.stdout
    pictures = str(fer_folder / "train" / "happy")
    whole = mien("system", "--data", str(fer_folder), "--source", pictures, "--headless", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "DATA PREPARATION REPORT" in whole.stdout
    assert json.loads(whole.stdout.splitlines()[-1])["frames"] == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("prepare",), 3, "kaggle.com"),
        (("prepare", "--data", "cut.zip"), 3, "not a whole zip archive"),
        (("train", "--data", "none"), 3, "no FER2013 at none"),
        (("evaluate", "--model", "gone.onnx", "--data", "fer2013"), 3, "no model bundle at gone.onnx"),
        (("evaluate", "--split", "Test", "--data", "fer2013"), 2, "unknown split 'Test'"),
        (("live", "--source", "gone.mp4"), 3, "no file, folder or camera"),
        (("live", "--source", "text.mp4", "--headless"), 3, "not a video"),
        (("live", "--source", "97", "--headless"), 4, "no camera 97"),
        (("live", "--model", "half.onnx", "--source", "demo", "--headless"), 3, "not a whole ONNX model"),
        (("live", "--view", "hologram"), 2, "hologram"),
        (("live", "--source", "demmo"), 3, "Did you mean 'demo'?"),
        (("live", "--camera-size", "720p"), 2, "camera-size is '720p'"),
        (("live", "--source", "demo", "--camera-fps", "-3"), 2, "camera-fps is -3"),
        (("live", "--view", "window", "--source", "demo"), 4, "no screen"),
        (("live", "--source", "demo", "--out", "text.mp4/x", "--headless"), 4, "cannot write"),
        (("export", "none.pt", "--data", "fer2013"), 3, "no checkpoint"),
        (("train", "--epochs", "0", "--data", "fer2013"), 2, "epochs is 0"),
        (("live", "--frobnicate"), 2, "--frobnicate"),
    ],
)
def test_what_a_user_can_cause_is_one_clear_line_and_the_right_code(
    arguments: tuple[str, ...], code: int, said: str, fer_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("hello " * 1000)
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04" + bytes(1000))
    bundle = (REPOSITORY / "mien" / "bundles" / "mien-s.onnx").read_bytes()
    (tmp_path / "half.onnx").write_bytes(bundle[: len(bundle) // 2])
    answer = mien(*arguments, cwd=tmp_path)
    assert answer.returncode == code, answer.stderr
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr
    if "--frobnicate" not in arguments:
        errors = [line for line in answer.stderr.splitlines() if not line.startswith("Using the slower")]
        assert len(errors) == 1
        assert errors[0].startswith("error: ")


def test_a_run_writes_nowhere_else(fer_folder: Path, tmp_path: Path) -> None:
    """Neither below the home folder (ONNX Runtime's device id) nor beside the session's folder."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    answer = mien(
        "live", "--source", "demo", "--seconds", "0.4", "--headless", "--out", "out", cwd=work, HOME=str(home), XDG_CACHE_HOME=""
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
        preexec_fn=heeds_ctrl_c,  # noqa: PLW1509  no thread runs yet
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "models/mine/best.pt").exists() and time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.1)
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "everything is saved in models/mine" in said
    assert "Traceback" not in said
    assert (tmp_path / "models/mine/last.pt").is_file()
    assert list((tmp_path / "logs/mine").glob("events.*"))


def test_the_recipes_are_listed_with_every_setting(tmp_path: Path) -> None:
    answer = mien("train", "--list", cwd=tmp_path)
    assert answer.returncode == 0
    recipes = ("default: 1.7 M", "second_leg: on from", "tiny: 0.3 M", "speedrun:", "teacher:", "distil: mien-xs")
    for said in (*recipes, "muon_lr=", "cutmix"):
        assert said in answer.stdout
    assert list(tmp_path.iterdir()) == []

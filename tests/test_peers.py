"""The race against other programs: workers that behave, die, hang and talk nonsense; rounds, numbers, tables."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import peers
import pytest
from conftest import REPOSITORY
from datasets import make_dataset
from environments import Environment
from material import Pictures, canvases_file, crops_file, on_canvas, sample
from peers import PEERS
from rounds import Course, Entry, run, run_turn, turns
from scores import answers, numbers
from workers import Worker, WorkerFailure

from mien.emotions import EMOTIONS

PROGRAMS = Path(peers.__file__).parent
HONEST = """
from worker_loop import serve

class Reader:
    def __init__(self):
        print("a peer that chatters on standard output")
    def about(self):
        return {"note": "reads brightness"}
    def begin(self, video):
        pass
    def read_face(self, face):
        return self.named(int(face[0, 0]))
    def read_frame(self, frame, t_s):
        blue, green, red = (int(v) for v in frame[240, 320])
        return None if blue == green == red == 255 else self.named(blue)
    def named(self, value):
        return {name: float(k == value % 7) for k, name in enumerate(NAMES)}

NAMES = ["sad", "surprise", "angry", "disgust", "fear", "happy", "neutral"]
serve(Reader)
"""
DIES = "import sys; sys.stdin.readline(); print('out of luck', file=sys.stderr); sys.exit(3)"
HANGS = "import time; time.sleep(600)"
TALKS = "import sys\nfor line in sys.stdin: print('hello there', flush=True)"
OFF_TOPIC = """import sys\nfor line in sys.stdin: print('{"scores": [[1, 0]], "ms": [1]}', flush=True)"""


@pytest.fixture
def script(tmp_path: Path):
    def write(text: str) -> tuple[str, ...]:
        path = tmp_path / f"worker{len(list(tmp_path.glob('worker*.py')))}.py"
        path.write_text(text)
        return sys.executable, str(path)

    return write


def environment(command: tuple[str, ...]) -> Environment:
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join((str(PROGRAMS), str(REPOSITORY)))}
    return Environment(command, variables, 10.0, "1.0", {"thing": "1.0"}, "", "key")


def clip(folder: Path, frames: np.ndarray) -> Pictures:
    frames.tofile(folder / "clip.raw")
    return Pictures(folder / "clip.raw", frames.shape, tuple(k / 25 for k in range(len(frames))), video=True)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    frames = np.zeros((60, 480, 640, 3), np.uint8)
    frames[..., 2] = np.arange(60)[:, None, None]  # blue, in a file of red-green-blue
    images = np.tile(np.arange(14, dtype=np.uint8)[:, None, None], (1, 48, 48))
    return Course({"clip": clip(tmp_path, frames)}, images, 2, 14)


# workers


def test_a_worker_answers_and_ends(script, tmp_path: Path) -> None:
    echo = script("import sys, json\nfor line in sys.stdin: print(json.dumps({'heard': json.loads(line)}), flush=True)")
    with Worker(echo, tmp_path / "log") as worker:
        assert worker.ask({"do": "this"}, 30) == {"heard": {"do": "this"}}
        assert worker.ask({"do": "that"}, 30) == {"heard": {"do": "that"}}
        memory = worker.peak_memory_mb
    assert worker._process.returncode == 0
    if Path("/proc/self/status").exists():
        assert memory is not None
        assert 1 < memory < 500


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DIES, r"ended at 'frames' with exit code 3: out of luck"),
        ("import sys; sys.stdin.readline(); sys.exit('ValueError: no model\\nGood bye')", r"exit code 1: ValueError: no model"),
        (HANGS, r"no answer to 'frames' in 0.5 s"),
        (TALKS, r"answered 'frames' with something other than a JSON object: b'hello there"),
        ("import sys\nprint('[1]', flush=True); sys.stdin.read()", r"something other than a JSON object"),
        ("""import sys\nprint('{"error": "no model"}', flush=True); sys.stdin.read()""", r"'frames' failed: no model"),
    ],
)
def test_a_worker_that_fails_says_why_and_is_gone(script, tmp_path: Path, text: str, reason: str) -> None:
    worker = Worker(script(text), tmp_path / "log")
    started = time.monotonic()
    with pytest.raises(WorkerFailure, match=reason):
        worker.ask({"do": "frames"}, 0.5 if text is HANGS else 30)
    assert worker._process.poll() is not None
    assert time.monotonic() - started < 30
    worker.close()


def test_a_worker_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(WorkerFailure, match="cannot be started"):
        Worker(("/no/such/program",), tmp_path / "log")


# turns and rounds


def test_a_turn_reads_the_clip_the_crops_and_the_canvases_in_the_order_of_our_classes(
    script, tmp_path: Path, course: Course
) -> None:
    seen: list[str] = []
    turn = run_turn(Entry("it", environment(script(HONEST))), 1, course, tmp_path, lambda part, done, total: seen.append(part))
    order = ["sad", "surprise", "angry", "disgust", "fear", "happy", "neutral"]
    read = [EMOTIONS[int(np.argmax(row))] for row in turn["clips"]["clip"]["scores"]]
    assert read == [order[k % 7] for k in range(60)]
    assert [EMOTIONS[k] for k in answers([turn], "crops")] == order  # the second round's share: 7 to 13
    assert [EMOTIONS[k] for k in answers([turn], "canvases")] == order
    assert turn["about"] == {"note": "reads brightness"}
    assert turn["first_result_s"] > 0
    assert {len(turn[part]["ms"]) for part in ("crops", "canvases")} == {7}
    assert set(seen) == {"clip", "crops", "canvases"}


def test_a_missing_face_is_no_answer(script, tmp_path: Path, course: Course) -> None:
    white = replace(course, images=np.full((2, 48, 48), 255, np.uint8), canvases=2)
    turn = run_turn(Entry("it", environment(script(HONEST))), 0, white, tmp_path, lambda *_: None)
    assert answers([turn], "canvases").tolist() == [-1]


def test_rounds_alternate_and_begin_with_another_peer() -> None:
    entries = [SimpleNamespace(name=name) for name in "abc"]
    assert [(n, e.name) for n, e in turns(entries, 2)] == [(0, "a"), (0, "b"), (0, "c"), (1, "b"), (1, "c"), (1, "a")]


def test_shares_are_all_images_once(course: Course) -> None:
    thirds = replace(course, images=np.zeros((10, 48, 48), np.uint8), rounds=3, canvases=10)
    assert [thirds.share(k) for k in range(3)] == [(0, 3, 3), (3, 6, 6), (6, 10, 10)]
    fewer = replace(thirds, canvases=4)
    assert [fewer.share(k) for k in range(3)] == [(0, 3, 1), (3, 6, 4), (6, 10, 8)]


def test_who_fails_is_out_and_the_others_go_on(script, tmp_path: Path, course: Course) -> None:
    entries = [Entry(name, environment(script(text))) for name, text in (("good", HONEST), ("dies", DIES), ("vague", OFF_TOPIC))]
    said: list[str] = []
    found = run(entries, course, tmp_path / "work", said.append, lambda *_: None)
    assert len(found["good"]["turns"]) == 2
    assert not found["good"]["failure"]
    assert found["dies"] == {"turns": [], "failure": "round 1: ended at 'frames' with exit code 3: out of luck"}
    assert "7 scores each" in found["vague"]["failure"]
    assert len(said) == 4  # a failure is said once


def test_finished_turns_are_not_run_again(script, tmp_path: Path, course: Course) -> None:
    honest, broken = environment(script(HONEST)), environment(script(DIES))
    first = run([Entry("it", honest)], course, tmp_path / "work", lambda _: None, lambda *_: None)
    again = run([Entry("it", broken)], course, tmp_path / "work", lambda _: None, lambda *_: None)
    assert again == first
    changed = run([Entry("it", replace(broken, key="another"))], course, tmp_path / "work", lambda _: None, lambda *_: None)
    assert changed["it"]["failure"]


def test_mien_itself_runs(yunet: Path, tmp_path: Path, fer2013) -> None:
    part = sample(fer2013.split("PublicTest"), 12)
    frames = np.stack([on_canvas(image)[..., ::-1] for image in part.images[:4]])
    mien = environment((sys.executable, str(PROGRAMS / "worker_mien.py")))
    entry = Entry("mien", replace(mien, variables={**mien.variables, "MIEN_MODELS": str(yunet.parent)}))
    turn = run_turn(entry, 0, Course({"clip": clip(tmp_path, frames)}, part.images, 1, 12), tmp_path, lambda *_: None)
    row = numbers([turn], part.labels, 1.0)
    assert row["accuracy"] >= 0.3  # twelve faces, by labels that the live head does not learn
    assert row["detection_rate"] >= 0.8
    assert turn["about"]["note"].endswith("detector yunet, bundle mien-s")
    assert "Analyzer.stream(frames)" in turn["about"]["note"]  # what is timed is the public call that is named


def test_a_node_worker_speaks_the_same(tmp_path: Path, course: Course) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here")
    path = tmp_path / "worker.mjs"
    path.write_text(
        f"import {{ serve, largest }} from {json.dumps((PROGRAMS / 'worker_loop.mjs').as_uri())};\n"
        "const names = ['sad', 'surprise', 'angry', 'disgust', 'fear', 'happy', 'neutral'];\n"
        "const named = (value) => Object.fromEntries(names.map((name, k) => [name, Number(k === value % 7)]));\n"
        "console.log('a peer that chatters');\n"
        "await serve(() => ({\n"
        "  about: () => ({ note: String(largest([{ width: 1, height: 2 }, { width: 3, height: 1 }])) }),\n"
        "  begin: () => {},\n"
        "  tensor: (pixels, shape) => ({ pixels: pixels.slice(), shape, dispose() {} }),\n"
        "  readFace: async (face) => named(face.pixels[0]),\n"
        "  readFrame: async (frame) => named(frame.pixels[(240 * 640 + 320) * 3 + 2]),\n"
        "}));\n"
    )
    there = {**os.environ, "PEER_FOLDER": str(tmp_path)}
    entry = Entry("it", replace(environment((node, str(path))), variables=there))
    turn = run_turn(entry, 0, course, tmp_path, lambda *_: None)
    order = ["sad", "surprise", "angry", "disgust", "fear", "happy", "neutral"]
    assert [EMOTIONS[int(np.argmax(row))] for row in turn["clips"]["clip"]["scores"]] == [order[k % 7] for k in range(60)]
    assert [EMOTIONS[k] for k in answers([turn], "crops")] == [EMOTIONS[k] for k in answers([turn], "canvases")] == order
    assert turn["about"] == {"note": "1"}


# what is shown


def test_the_sample_is_seeded_and_the_canvas_is_the_face_enlarged() -> None:
    part = make_dataset((1, 6, 1)).split("PublicTest")
    assert sample(part, 5).names == sample(part, 5).names != part.names[:5]
    assert sorted(sample(part, 0).names) == sorted(part.names)
    canvas = on_canvas(np.full((48, 48), 9, np.uint8))
    assert canvas.shape == (480, 640, 3)
    assert (canvas[140:340, 220:420] == 9).all()
    assert (canvas == 9).sum() == 200 * 200 * 3
    assert (canvas[0, 0] == 127).all()


def test_pictures_that_are_no_film_are_asked_for_one_by_one() -> None:
    faces = np.zeros((3, 48, 48), np.uint8)
    with crops_file(faces) as crops, canvases_file(faces) as canvases:
        assert crops.request(1, 2)["do"] == "faces"
        assert canvases.request(1, 2)["new"]
        assert not canvases.request(1, 2)["video"]
        assert np.diff(canvases.times_s).min() >= 2  # no tracker takes one for the next frame of the other
        assert crops.path.stat().st_size == 3 * 48 * 48
    assert not crops.path.exists()


def test_every_peer_has_its_worker() -> None:
    assert [peer.name for peer in PEERS] == ["mien", "fer", "human", "face-api", "face-api-tiny"]
    assert all((PROGRAMS / peer.script).is_file() for peer in PEERS)

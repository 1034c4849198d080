"""What goes wrong in practice is answered with what to do."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from datasets import TINY, make_dataset
from test_data_as_people_have_it import run

from mien.cli.output import whole_words
from mien.cli.renamed import with_new_names
from mien.errors import DataError, DeviceError, install_command
from mien.monitoring.summary import NO_FACE, TOO_FEW, _no_result
from mien.vision.bundles import bundle_path
from mien.vision.tracker import Tracker, random_name


def test_no_track_name_looks_like_a_number_a_date_or_a_word() -> None:
    names = [random_name(Random(seed)) for seed in range(3000)]
    assert len(set(names)) == 3000
    assert all(re.fullmatch("[bcdfghjkmnpqrstvwxz]{6}", name) for name in names)
    assert random_name(Random(1)) == Tracker(Random(1))._new_name()


def test_a_checkpoint_given_as_a_model_is_answered_with_export(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"x")
    with pytest.raises(DataError, match=r"is a checkpoint.*mien export .*best\.pt --out .*best\.onnx"):
        bundle_path(str(tmp_path / "best.pt"))
    with pytest.raises(DataError, match="is a folder"):
        bundle_path(str(tmp_path))


def test_a_loss_that_is_not_finite_names_what_is_saved_and_the_cure(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from dataclasses import replace

    from mien.training.loop import Trainer

    data = make_dataset((30, 6, 0))
    settings = replace(TINY, optimiser="sgd", peak_lr=1e8)
    trainer = Trainer(data.split("Training"), data.split("PublicTest"), settings, tmp_path, torch.device("cpu"), {})
    with pytest.raises(DeviceError) as caught:
        trainer.run(lambda *_: None, lambda *_: None)
    said = str(caught.value)
    assert "training diverged" in said
    assert "--set peak_lr=1e+07" in said
    assert ("last.pt holds" in said) == (tmp_path / "last.pt").exists()


@pytest.mark.parametrize(
    ("counts", "what", "said"),
    [
        ({"pictures": 12, "broken": 0, "faces": 0}, NO_FACE, "no face was found in 12 pictures"),
        ({"pictures": 0, "broken": 3, "faces": 0}, NO_FACE, "none of 3 pictures can be read"),
        ({"sessions": 2, "broken": 1, "faces": 0}, NO_FACE, "no face was read in 2 sessions"),
        ({"pictures": 5, "broken": 0, "faces": 5}, TOO_FEW, "195 more are needed"),
    ],
)
def test_monitoring_without_a_result_says_why(counts: dict[str, int], what: str, said: str) -> None:
    cause, text, advice = _no_result(counts, 195)
    assert cause == what
    assert said in text
    assert advice


def test_the_first_week_of_monitoring_has_nothing_to_compare_with(here: Path) -> None:
    cv2.imwrite(str(here / "photo.png"), np.full((240, 320, 3), 90, np.uint8))
    run("live", "--source", "photo.png", "--headless", "--out", "results/sessions/one")
    said = run("monitor", "--since", "7d")  # an old name
    assert "is earlier than" in said
    assert "nothing to compare with yet" in said


def test_old_names_of_options_are_understood_and_noted(capsys: pytest.CaptureFixture[str]) -> None:
    known = {"--sessions", "--from", "--out"}
    assert with_new_names(["--root", "x", "--since=7d", "--out", "y"], known) == ["--sessions", "x", "--from=7d", "--out", "y"]
    assert capsys.readouterr().err == "--root is now called --sessions\n--since is now called --from\n"
    assert with_new_names(["--root"], {"--root", "--sessions"}) == ["--root"]


def test_a_hint_to_install_names_the_clone() -> None:
    assert re.search(r"-m pip install -e '.*\[audit\]'$", install_command("audit"))


def test_no_word_is_broken_at_the_edge_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert whole_words("one two", "a: ") == "a: one two"  # no terminal
    monkeypatch.setattr("sys.stdout", type("Terminal", (), {"isatty": lambda self: True})())
    text = "a face is there, it faces the screen, how good the picture is; no expression"
    lines = whole_words(text, "may be read         ").splitlines()
    assert max(map(len, lines)) < 60
    assert " ".join(line[20:] for line in lines) == text

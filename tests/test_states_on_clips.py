"""Results of the default rules on the shared clips, as documented."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from stating import PERMIT, answer, feed

from mien import Analyzer
from mien.records import FrameResult
from mien.states.answers import Verdict
from mien.states.engine import StateEngine
from mien.states.rules_file import read_rules
from mien.states.windows import SLICE_S


@pytest.fixture(scope="module")
def clips() -> dict[str, list[FrameResult]]:
    """The frames of the shared clips, read once."""
    return {}


def clip(clips: dict[str, list[FrameResult]], shared: Path, name: str) -> list[FrameResult]:
    if name not in clips:
        path = shared / "media" / name
        if path.suffix == ".jpg":
            still = Analyzer().image(path)
            clips[name] = [replace(still, t_s=k / 2, interval_s=0.5) for k in range(4)]
        else:
            clips[name] = list(Analyzer().video(path))
    return clips[name]


def repeated(results: Sequence[FrameResult], seconds: float) -> list[FrameResult]:
    """Return the frames repeated to a length in seconds."""
    length_s = results[-1].t_s - results[0].t_s + results[-1].interval_s
    return [replace(each, t_s=each.t_s + k * length_s) for k in range(math.ceil(seconds / length_s)) for each in results]


@pytest.mark.parametrize("name", ["sad_to_happy.mp4", "neutral_smile_neutral.mp4", "no_face.mp4"])
def test_the_clips_are_too_short_for_any_state(name: str, clips: dict[str, list[FrameResult]], shared: Path, yunet: Path) -> None:
    engine = StateEngine(read_rules(), PERMIT)
    assert feed(engine, clip(clips, shared, name)) == []
    facts = engine.facts()["rules"]
    assert not any(rule["holds_s"] for rule in facts.values())
    assert facts["may-be-boredom"]["no_sign_s"] == 0
    if name == "sad_to_happy.mp4":  # twenty seconds are enough for the shortest windows
        assert answer(engine, "may-be-confusion").verdict is Verdict.NO_SIGN
        assert answer(engine, "nobody-in-view").verdict is Verdict.NO_SIGN


def test_over_and_over_the_clips_say_what_stands_in_the_documentation(
    clips: dict[str, list[FrameResult]], shared: Path, yunet: Path
) -> None:
    held = {}
    for name in ("sad_to_happy.mp4", "neutral_smile_neutral.mp4", "no_face.mp4", "five_faces.jpg"):
        engine = StateEngine(read_rules(), PERMIT)
        feed(engine, repeated(clip(clips, shared, name), 200))
        facts = engine.facts()["rules"]
        held[name] = {rule for rule in facts if facts[rule]["holds_s"]}
        assert facts["may-be-boredom"]["no_sign_s"] == facts["may-be-boredom"]["holds_s"] == 0
        if name != "no_face.mp4":
            assert answer(engine, "may-be-boredom").reason.startswith("boredom was not told from a neutral face")
            assert facts["may-be-confusion"]["no_sign_s"] > 100
    assert held == {
        "sad_to_happy.mp4": set(),
        "neutral_smile_neutral.mp4": set(),
        "no_face.mp4": {"nobody-in-view"},
        "five_faces.jpg": {"several-in-view"},
    }


def test_the_sad_seconds_alone_may_be_frustration_and_make_one_suggestion(
    clips: dict[str, list[FrameResult]], shared: Path, yunet: Path
) -> None:
    sad = [each for each in clip(clips, shared, "sad_to_happy.mp4") if each.faces[0].label == "sad"]
    seconds = [replace(each, t_s=k / 24) for k, each in enumerate(sad)]
    engine = StateEngine(read_rules(), PERMIT)
    (due,) = feed(engine, repeated(seconds, 120))
    assert (due.rule, due.wording, due.track_id) == ("may-be-frustration", "May be frustration", sad[0].faces[0].track_id)
    assert 0.05 < due.confidence <= 0.25
    assert due.t_s >= 30 + 3 + 10 - SLICE_S
    page = (REPOSITORY / "docs" / "explanation" / "learning-states.md").read_text()
    assert "may be frustration" in " ".join(page.replace("*", "").split())


def test_a_dark_picture_is_said_to_be_dark(shared: Path, yunet: Path) -> None:
    from mien.sources.files import read_picture

    picture = read_picture(shared / "media" / "five_faces.jpg")
    assert picture is not None
    still = Analyzer().image((picture // 12).astype(np.uint8))
    if not still.faces:
        pytest.fail("no face was found in the darkened photo")
    engine = StateEngine(read_rules(), PERMIT)
    dues = feed(engine, [replace(still, t_s=k / 4, interval_s=0.25) for k in range(200)])
    assert answer(engine, "too-dark").holds
    assert [due.rule for due in dues] == ["too-dark"]
    assert all(each.verdict is Verdict.NO_EVIDENCE for each in engine.now if each.rule == "may-be-confusion")

"""Drift detection in a live session: status, text and files; and the observer interface of the pipeline."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from datasets import pattern
from photos import photo

from mien.errors import UsageError
from mien.monitoring.live_drift import LiveDrift, LiveDriftSettings
from mien.monitoring.open_live import NoDrift, open_live_drift
from mien.monitoring.reference_file import reference_path, write_reference
from mien.pipeline import ExpressionReader, Pipeline
from mien.privacy.level import Level
from mien.privacy.policy import decide, permit_expressions
from mien.records import Box, Detection, Prediction
from mien.sources.recorded import VideoSource
from mien.vision.bundles import bundle_path
from mien.vision.detector_choice import open_detector
from mien.vision.predictor import Predictor

PEOPLE = 10
BASELINE = 80  # rounds of ten people, two seconds apart, until the baseline is learned


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(bundle_path("mien-xs"), 1)


def rounds(count: int, first: int = 0, light: float = 1.0, every_s: float = 2.0) -> Iterator[tuple]:
    """Yield frames as the pipeline passes them to an observer: ten people, each with a new crop."""
    names = [f"p{k}" for k in range(PEOPLE)]
    places = [Detection(Box(10.0 * k, 0, 80 + k, 80 + k), 0.9, None) for k in range(PEOPLE)]
    for number in range(first, first + count):
        pictures = [
            cv2.addWeighted(photo(97 * number + k), 0.5, pattern((number + k) % 7, number + k), 0.5, 0) for k in range(PEOPLE)
        ]
        crops = np.stack([cv2.convertScaleAbs(picture, alpha=light) for picture in pictures])[:, None]
        yield number * every_s, names, crops, places


def play(drift: LiveDrift, predictor: Predictor | None, frames: Iterator[tuple]) -> None:
    for t_s, names, crops, places in frames:
        drift.observe(t_s, names, crops, places, None if predictor is None else predictor.predict(crops))


def idle(drift: LiveDrift) -> None:
    """Pass frames without faces until the limits are computed."""
    nobody = np.zeros((0, 1, 48, 48), np.uint8)
    for _ in range(20_000):
        if drift.start is not None:
            return
        drift.observe(BASELINE * 2.0, [], nobody, [], None)
    raise AssertionError(drift.sentence)


@pytest.mark.parametrize("level", [Level.FULL, Level.OBSERVABLES])
def test_a_session_learns_its_baseline_and_detects_low_light(level: Level, predictor: Predictor, tmp_path: Path) -> None:
    drift = open_live_drift(bundle_path("mien-xs"), level)
    assert isinstance(drift, LiveDrift)
    reads = predictor if level is Level.FULL else None
    assert drift.status == "watching"
    assert "0 of 800" in drift.sentence
    play(drift, reads, rounds(BASELINE))
    assert drift.write(tmp_path, "short") == ()
    idle(drift)
    assert "the first 3 minutes" in drift.facts()["baseline"]
    assert "200" in drift.sentence
    play(drift, reads, rounds(60, BASELINE))
    assert drift.status == "ok", drift.sentence
    assert drift.new_events() == ()
    assert drift.write(tmp_path, "a lesson") == ("drift.html", "drift.json")

    play(drift, reads, rounds(40, BASELINE + 60, light=0.35))
    assert drift.status == "drift"
    (event,) = drift.new_events()
    assert drift.new_events() == ()
    assert event.cause == "picture"
    facts = drift.facts()
    assert facts["events"][0]["what"] == "picture"
    assert facts["looks"] == (BASELINE + 100) * PEOPLE
    assert (facts["estimated_accuracy"] is None) == (level is Level.OBSERVABLES)
    assert "retrain_request.json" in drift.write(tmp_path, "a lesson")
    written = json.loads((tmp_path / "drift.json").read_text())
    expected = {"quality"} if level is Level.OBSERVABLES else {"embedding", "components", "quality", "confidence", "expressions"}
    assert set(written["detectors"]) == expected
    assert json.loads((tmp_path / "retrain_request.json").read_text())["what"] == "picture"
    page = (tmp_path / "drift.html").read_text()
    assert ('id="expressions"' in page) == (level is Level.FULL)
    json.dumps(facts, allow_nan=False)


def test_a_face_is_sampled_at_most_once_a_second(predictor: Predictor) -> None:
    drift = open_live_drift(bundle_path("mien-xs"), Level.FULL)
    play(drift, predictor, rounds(31, every_s=1 / 30))
    assert drift.facts()["looks"] == 2 * PEOPLE
    _, names, crops, places = next(rounds(1))
    drift.observe(0.1, names, crops, places, predictor.predict(crops))  # the clock was set back
    assert drift.facts()["looks"] == 3 * PEOPLE


def test_the_baseline_of_a_session_can_be_reused(predictor: Predictor, tmp_path: Path) -> None:
    first = open_live_drift(bundle_path("mien-xs"), Level.FULL)
    assert isinstance(first, LiveDrift)
    play(first, predictor, rounds(BASELINE))
    idle(first)
    assert first.start is not None
    write_reference(tmp_path / "start.npz", first.start)
    second = open_live_drift(bundle_path("mien-xs"), Level.FULL, start=tmp_path / "start.npz")
    assert isinstance(second, LiveDrift)
    play(second, predictor, rounds(30, 500))
    assert second.status == "ok"
    other = open_live_drift(bundle_path("mien-s"), Level.FULL, start=tmp_path / "start.npz")
    assert other.status == "unavailable"
    narrower = open_live_drift(bundle_path("mien-xs"), Level.OBSERVABLES, start=tmp_path / "start.npz")
    assert narrower.status == "unavailable"
    assert "'picture'" in narrower.sentence


def test_missing_parts_are_reported_and_raise_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert open_live_drift(bundle_path("mien-xs"), Level.REFUSED).status == "unavailable"
    bundle = tmp_path / "mine.onnx"
    shutil.copy(bundle_path("mien-xs"), bundle)
    drift = open_live_drift(bundle, Level.FULL)
    assert isinstance(drift, NoDrift)
    assert drift.status == "unavailable"
    assert "mien monitor reference --model" in drift.sentence
    shutil.copy(reference_path(bundle_path("mien-xs")), reference_path(bundle))
    assert open_live_drift(bundle, Level.FULL).status == "watching"
    reference_path(bundle).write_bytes(b"broken")
    assert reference_path(bundle).name in open_live_drift(bundle, Level.FULL).sentence
    monkeypatch.setitem(sys.modules, "scipy", None)
    drift = open_live_drift(bundle_path("mien-xs"), Level.FULL)
    facts = drift.facts()
    assert facts["status"] == "unavailable"
    assert "pip install" in facts["in_words"]
    assert "[monitor]'" in facts["in_words"]
    drift.observe(0.0, ["a"], np.zeros((1, 1, 48, 48), np.uint8), [], None)
    assert drift.write(tmp_path, "x") == ()
    assert drift.new_events() == ()


def test_a_false_alarm_interval_below_an_hour_is_refused() -> None:
    with pytest.raises(UsageError, match=r"0\.1"):
        LiveDriftSettings(false_alarm_every_h=0.1)


def test_nan_predictions_are_ignored(predictor: Predictor) -> None:
    drift = open_live_drift(bundle_path("mien-xs"), Level.FULL)
    for t_s, names, crops, places in rounds(20):
        found = predictor.predict(crops)
        drift.observe(t_s, names, crops, places, Prediction(found.probabilities * np.nan, found.embedding))
    assert "0 of 800" in drift.sentence


class RecordingObserver:
    """An observer that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def observe(self, *arguments: object) -> None:
        self.calls.append(arguments)


@pytest.mark.parametrize("permitted", [True, False])
def test_a_pipeline_passes_permitted_predictions_to_its_observer(
    permitted: bool, yunet: Path, shared: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_MODELS", str(yunet.parent))
    permit = permit_expressions(decide(None))
    assert permit is not None
    reader = ExpressionReader(predictor, permit) if permitted else None
    observer = RecordingObserver()
    watched = Pipeline(open_detector(), reader, Random(0), 0.4, observer)
    plain = Pipeline(open_detector(), reader, Random(0), 0.4)
    for _, frame in zip(range(5), VideoSource(shared / "media" / "neutral_smile_neutral.mp4").frames(), strict=False):
        result, same = watched.update(frame), plain.update(frame)
        assert [face.track_id for face in result.faces] == [face.track_id for face in same.faces]
        t_s, names, crops, places, prediction = observer.calls[-1]
        assert t_s == frame.t_s
        assert names == [face.track_id for face in result.faces]
        assert crops.shape == (1, 1, 48, 48)
        assert places[0].landmarks is not None
        assert (prediction is not None) == permitted
        if permitted:
            assert np.array_equal(prediction.probabilities[0], result.faces[0].raw)

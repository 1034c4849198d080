"""Released results contain no pixels, crops, landmarks or embeddings, and under observables no expressions."""

from __future__ import annotations

import gc
import math
import pickle
import subprocess
import sys
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import REPOSITORY
from factories import probabilities, reading
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.emotions import EMOTIONS
from mien.errors import NotPermittedError
from mien.privacy.deployment import Deployment
from mien.privacy.level import Level
from mien.privacy.policy import ExpressionPermit, Policy, decide, permit_expressions
from mien.privacy.release import ReleasedExpression, ReleasedFace, ReleasedResult, release
from mien.records import Box, Detection, FaceReading, FrameResult, HeadPose

SCHOOL = Deployment(
    "education-institution",
    "EU",
    "feedback-to-the-learner",
    operator="School",
    contact="x@example.org",
    minors=False,
    legal_basis="consent",
)
FULL, OBSERVABLES, REFUSED = decide(), decide(SCHOOL), decide(replace(SCHOOL, purpose="grading"))


@dataclass(frozen=True, slots=True)
class RicherReading(FaceReading):
    """A reading as a later version might have it: with everything that must not go on."""

    crop: np.ndarray = field(default_factory=lambda: np.full((48, 48), 77, np.uint8))
    embedding: np.ndarray = field(default_factory=lambda: np.linspace(100.1, 200.1, 64, dtype=np.float32))
    picture: bytes = b"\xff\xd8 a picture of somebody \xff\xd9"
    state: str = "confused"


def rich_result(**changes: object) -> FrameResult:
    plain = reading("happy", 0.8, (100.0, 50.0, 60.0, 80.0))
    row = probabilities("happy", 0.8)
    values = {"pose": HeadPose(5.0, -3.0, 1.0)} | changes
    face = RicherReading(
        track_id=plain.track_id, detection=plain.detection, raw=row, smoothed=row, label="happy", uncertain_below=0.5, **values
    )
    return FrameResult(4, 1.5, (640, 480), (face, replace(face, track_id="ab12cd")), 0.04)


def reachable(root: object) -> list[object]:
    """Return every object that can be reached from ``root`` without going through types and modules."""
    found, queue, seen = [], [root], set()
    while queue:
        thing = queue.pop()
        if id(thing) in seen or isinstance(thing, (type, ModuleType, Level)):
            continue
        seen.add(id(thing))
        found.append(thing)
        queue += gc.get_referents(thing)
        if is_dataclass(thing):
            queue += [getattr(thing, each.name) for each in fields(thing)]
    return found


@pytest.mark.parametrize("policy", [FULL, OBSERVABLES])
def test_no_pixel_crop_landmark_or_embedding_can_be_reached(policy: Policy) -> None:
    result = rich_result()
    released = release(policy, result)
    things = reachable(released)
    allowed = (ReleasedResult, ReleasedFace, ReleasedExpression, Box, HeadPose, tuple, str, int, float, bool, type(None))
    assert [thing for thing in things if not isinstance(thing, allowed)] == []
    values = {thing for thing in things if isinstance(thing, float)}
    face = result.faces[0]
    for secret in (face.detection.landmarks, face.embedding):
        assert not values & {float(value) for value in np.asarray(secret).ravel()}
    packed = pickle.dumps(release_as_plain(released))
    for secret in (face.crop.tobytes(), face.detection.landmarks.tobytes(), face.embedding.tobytes(), face.picture, b"confused"):
        assert secret not in packed


def release_as_plain(released: ReleasedResult) -> object:
    return [
        [getattr(released, name) for name in ("index", "t_s", "interval_s", "size", "level")],
        [[getattr(face, each.name) for each in fields(face)] for face in released.faces],
    ]


def test_the_test_would_find_a_landmark() -> None:
    result = rich_result()
    assert any(isinstance(thing, np.ndarray) for thing in reachable(result))
    assert any(thing == b"\xff\xd8 a picture of somebody \xff\xd9" for thing in reachable(result))


def test_full_releases_what_the_stores_write() -> None:
    result = rich_result()
    released = release(FULL, result)
    face, before = released.faces[0], result.faces[0]
    assert (released.index, released.t_s, released.interval_s, released.size) == (4, 1.5, 0.04, (640, 480))
    assert released.level is Level.FULL
    assert face.expression is not None
    assert (face.track_id, face.box, face.pose) == (before.track_id, before.detection.box, before.pose)
    assert (face.expression.label, face.expression.uncertain) == ("happy", False)
    assert face.expression.confidence == before.confidence
    assert face.expression.smoothed == tuple(before.smoothed.tolist())
    assert all(type(value) is float for value in (*face.expression.raw, face.box.x, face.score))


def test_observables_release_presence_facing_and_quality_alone() -> None:
    face = release(OBSERVABLES, rich_result()).faces[0]
    assert face == ReleasedFace(track_id="k3f9", score=0.95, side_px=60, facing=True, unread="")
    assert face.expression is face.box is face.pose is None


@settings(max_examples=60, deadline=None)
@given(label=st.sampled_from(EMOTIONS), confidence=st.floats(0.2, 1.0), doubt=st.floats(0, 1))
def test_under_observables_all_expressions_look_alike(label: str, confidence: float, doubt: float) -> None:
    row = probabilities(label, confidence)
    changed = replace(rich_result().faces[0], raw=row, smoothed=row, label=label, uncertain_below=doubt, state=label)
    one = release(OBSERVABLES, FrameResult(4, 1.5, (640, 480), (changed,), 0.04))
    other = release(OBSERVABLES, replace(rich_result(), faces=rich_result().faces[:1]))
    assert one == other


def test_a_face_that_was_not_read_has_no_expression() -> None:
    nothing = np.full(7, math.nan, np.float32)
    face = FaceReading(
        track_id="a",
        detection=Detection(Box(0, 0, 12, 9), 0.7, None),
        raw=nothing,
        smoothed=nothing,
        label="",
        unread="too small",
    )
    released = release(FULL, FrameResult(0, 0.0, (640, 480), (face,))).faces[0]
    assert (released.expression, released.unread, released.side_px, released.facing) == (None, "too small", 9, None)


def test_where_nothing_is_permitted_nothing_is_released() -> None:
    with pytest.raises(NotPermittedError, match="excluded-purpose"):
        release(REFUSED, rich_result())
    with pytest.raises(NotPermittedError, match="excluded-purpose"):
        permit_expressions(REFUSED)


def test_a_released_result_cannot_be_made_by_hand() -> None:
    released = release(OBSERVABLES, rich_result())
    with pytest.raises(TypeError):
        ReleasedResult(0, 0.0, 0.0, (1, 1), Level.FULL, ())
    with pytest.raises(TypeError, match="release"):
        ReleasedResult(0, 0.0, 0.0, (1, 1), Level.FULL, (), object())
    with pytest.raises((TypeError, ValueError)):
        replace(released, level=Level.FULL)
    with pytest.raises(AttributeError):
        released.faces = ()


def test_the_permit_to_read_expressions_comes_from_a_full_policy_alone() -> None:
    assert permit_expressions(FULL).rule == "own-use"
    assert permit_expressions(OBSERVABLES) is None
    with pytest.raises(TypeError, match="permit_expressions"):
        ExpressionPermit("own-use", object())


@pytest.mark.parametrize(
    ("pose", "facing"),
    [
        (HeadPose(0, 0, 0), True),
        (HeadPose(35, 28, 90), True),
        (HeadPose(-35.1, 0, 0), False),
        (HeadPose(0, 28.1, 0), False),
        (HeadPose(math.nan, 0, 0), False),
    ],
)
def test_who_faces_the_screen(pose: HeadPose, facing: bool) -> None:
    assert pose.faces_screen() is facing


SINK = """
from mien.privacy.policy import ExpressionPermit, permit_expressions
from mien.privacy.policy import Policy
from mien.privacy.release import ReleasedResult, release
from mien.records import FrameResult


class Sink:
    def update(self, result: ReleasedResult) -> None: ...


def reader(permit: ExpressionPermit) -> None: ...


def wire(policy: Policy, result: FrameResult) -> None:
    permit = permit_expressions(policy)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Sink().update(release(policy, result))", ""),
        ("Sink().update(result)", 'incompatible type "FrameResult"; expected "ReleasedResult"'),
        ("reader(permit)", 'incompatible type "ExpressionPermit | None"; expected "ExpressionPermit"'),
        (
            "print(release(policy, result).faces[0].expression.label)",
            'Item "None" of "ReleasedExpression | None" has no attribute "label"',
        ),
        ("print(release(policy, result).faces[0].landmarks)", 'has no attribute "landmarks"'),
    ],
)
def test_the_type_checker_keeps_what_is_not_released_out_of_a_sink(line: str, said: str, tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SINK + f"    {line}\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml", "--no-error-summary", str(snippet)]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert said in answer.stdout
    assert answer.returncode == bool(said), answer.stdout + answer.stderr

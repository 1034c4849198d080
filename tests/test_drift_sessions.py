"""Drift over stored sessions: input, comparison and errors."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.cli.monitor_sessions import parse_time
from mien.emotions import EMOTIONS
from mien.errors import DataError, MienError, UsageError
from mien.sessions.layout import observations_path
from mien.sessions.observations import COLUMNS, FaceAnswer, read_answers
from mien.sessions.stored import StoredSession
from mien.watch import sessions_with_observations

NOW = datetime.now().astimezone().replace(microsecond=0)
USUAL = np.array([0.08, 0.02, 0.06, 0.3, 0.34, 0.12, 0.08])
SAD = np.array([0.15, 0.02, 0.15, 0.03, 0.2, 0.4, 0.05])


def row(t_s: float, track: str, answer: np.ndarray | None) -> str:
    """Return a line of observations.csv; None is an unread face."""
    values = dict.fromkeys(COLUMNS, "")
    values |= {"t_s": f"{t_s:.4f}", "frame": str(int(25 * t_s)), "track_id": track, "x": "1", "y": "1", "w": "90", "h": "90"}
    values |= {"unread": "too dark"} if answer is None else {"label": EMOTIONS[int(answer.argmax())], "confidence": "0.5"}
    if answer is not None:
        values |= {f"{name}_raw": f"{p:.4f}" for name, p in zip(EMOTIONS, answer, strict=True)}
    return ",".join(values[name] for name in COLUMNS)


def session(
    root: Path,
    hours_ago: float,
    seed: int,
    *,
    shares: np.ndarray = USUAL,
    doubt: float = 0.6,
    samples: int = 400,
    model: str = "mien-xs",
) -> Path:
    """Write a session of four people, each with a prediction every two seconds."""
    folder = root / f"{NOW - timedelta(hours=hours_ago):%Y-%m-%d_%H-%M-%S}-ab{seed:02d}"
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    lines = [",".join(COLUMNS)]
    for number in range(samples):
        shown = random.choice(7, p=shares)
        answer = random.dirichlet(np.where(np.arange(7) == shown, 6, doubt))
        lines.append(row(2.0 * (number // 4), f"t{number % 4}", answer))
    (folder / "observations.csv").write_text("\n".join(lines) + "\n")
    (folder / "summary.json").write_text(json.dumps({"model": model}))
    return folder


def run(root: Path, out: Path, *more: object, code: int = 0) -> dict:
    options = ("--from", "7d", "--sessions", root, "--model", "mien-xs", "--out", out, *more)
    answer = CliRunner().invoke(app, ["monitor", "sessions", *(str(a) for a in options)])
    assert answer.exit_code == code, answer.output
    return json.loads(answer.stdout.splitlines()[-1])


def error_of(*arguments: object) -> str:
    answer = CliRunner().invoke(app, ["monitor", "sessions", *(str(a) for a in arguments)])
    assert isinstance(answer.exception, MienError), answer.output
    return str(answer.exception)


def answers(stored: StoredSession) -> list[FaceAnswer]:
    assert stored.folder is not None
    path = observations_path(stored.folder)
    assert path is not None
    return list(read_answers(path))


@pytest.fixture
def usual(tmp_path: Path) -> Path:
    """Ten earlier sessions."""
    for number in range(10):
        session(tmp_path / "sessions", 24 * (8 + 3 * number), number)
    return tmp_path / "sessions"


def test_changed_expressions_are_detected(usual: Path, tmp_path: Path) -> None:
    for number in range(3):
        session(usual, 24 * (number + 1), 50 + number, shares=SAD)
    last = run(usual, tmp_path / "out", "--prometheus", tmp_path / "mien.prom", code=10)
    assert (last["what"], last["sessions"], last["sessions_before"]) == ("content", 3, 10)
    facts = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert set(facts["detectors"]) == {"confidence", "expressions"}
    assert facts["sight"] == "answers"
    assert [s["from_s"] for s in facts["sessions"]] == [0, 258, 516]
    assert facts["windows"][-1]["estimated_accuracy"] is None
    assert facts["events"][0]["drifted"][0]["detector"] == "expressions"
    page = (tmp_path / "out" / "drift.html").read_text()
    assert 'id="statistics"' not in page  # stored sessions have no pictures
    assert facts["sessions"][0]["name"] in page
    assert 'mien_drift{model="mien-xs"} 1' in (tmp_path / "mien.prom").read_text()
    assert (tmp_path / "out" / "retrain_request.json").exists()


def test_lower_confidence_is_detected(usual: Path, tmp_path: Path) -> None:
    for number in range(3):
        session(usual, 24 * (number + 1), 50 + number, doubt=2.0)
    assert run(usual, tmp_path / "out", code=10)["what"] == "confidence"


def test_similar_sessions_are_no_drift(usual: Path, tmp_path: Path) -> None:
    for number in range(3):
        session(usual, 24 * (number + 1), 50 + number)
    last = run(usual, tmp_path / "out")
    assert not last["drift"]
    assert last["faces"] == 1200


def test_other_models_invalid_files_and_unread_faces_are_skipped(usual: Path, tmp_path: Path) -> None:
    for number in range(2):
        session(usual, 24 * (number + 1), 50 + number)
    session(usual, 5, 60, shares=SAD, model="mien-s")
    broken = session(usual, 4, 61)
    (broken / "observations.csv").write_text("a,b\n1,2\n")
    running = session(usual, 3, 62, samples=40)
    (running / "observations.csv").rename(running / "observations.partial.csv")
    with (running / "observations.partial.csv").open("a") as handle:
        handle.write(row(90.0, "t0", None) + "\n" + row(91.0, "t0", USUAL)[:30])
    last = run(usual, tmp_path / "out")
    assert (last["of_other_models"], last["broken"], last["sessions"]) == (1, 1, 4)
    assert last["faces"] == 840


def test_too_few_sessions_are_reported(tmp_path: Path) -> None:
    root = tmp_path / "sessions"
    assert str(root) in error_of("--from", "7d", "--sessions", root)
    root.mkdir()
    assert "mien-xs" in error_of("--from", "7d", "--sessions", root, "--model", "mien-xs")
    session(root, 5, 1)
    assert "choose a later --from" in error_of("--from", "7d", "--sessions", root, "--model", "mien-xs")
    session(root, 24 * 9, 2, samples=4)
    assert "800" in error_of("--from", "7d", "--sessions", root, "--model", "mien-xs")


def test_without_a_subcommand_the_help_is_shown() -> None:
    answer = CliRunner().invoke(app, ["monitor"])
    assert answer.exit_code == 2
    assert all(name in answer.output for name in ("sessions", "images", "reference"))


def test_times_are_parsed() -> None:
    assert parse_time("--from", "12h", NOW) == NOW - timedelta(hours=12)
    assert parse_time("--from", " 2 w", NOW) == NOW - timedelta(weeks=2)
    assert parse_time("--from", "2026-03-01", NOW).tzinfo is not None
    for wrong in ("week", "7", "7y", "-3d", "31.12.2026", "0001-01-01"):
        with pytest.raises(UsageError, match="--from is "):
            parse_time("--from", wrong, NOW)


def test_a_session_is_dated_by_its_name_else_by_its_folder(tmp_path: Path) -> None:
    named = session(tmp_path, 30, 1, samples=4)
    other = named.with_name("lesson")
    (tmp_path / "empty").mkdir()
    session(tmp_path, 40, 2, samples=4).rename(other)
    (other / "summary.json").write_text("{")
    first, second = sessions_with_observations(tmp_path)
    assert first.record.started_at == NOW - timedelta(hours=30)
    assert (second.name, second.record.model) == ("lesson", "")
    found = answers(first)
    assert [answer.track_id for answer in found] == ["t0", "t1", "t2", "t3"]
    assert found[0].probabilities.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("damage", ["x" * 40, "nonsense\n", "1\x00,2\n"])
def test_an_invalid_line_is_refused(damage: str, tmp_path: Path) -> None:
    path = session(tmp_path, 30, 1, samples=4) / "observations.csv"
    with path.open("a") as handle:
        handle.write(damage)
    (found,) = sessions_with_observations(tmp_path)
    if damage.endswith("\n"):
        with pytest.raises(DataError, match=r"observations\.csv"):
            answers(found)
    else:  # a line that is still being written
        assert len(answers(found)) == 4

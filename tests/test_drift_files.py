"""Files of drift monitoring (references, requests, pages, metrics) and the trigger."""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drifting import make_faces, reference_of, stream, verdicts

from mien.emotions import EMOTIONS
from mien.errors import DataError
from mien.monitoring.accuracy_estimate import AccuracyModel
from mien.monitoring.detectors import DETECTORS, DetectorResult
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.page import drift_page, write_page
from mien.monitoring.prometheus import metrics_text
from mien.monitoring.reference import Reference
from mien.monitoring.reference_file import MAX_BYTES, read_reference, reference_path, write_reference
from mien.monitoring.summary import TOO_FEW, summarise
from mien.monitoring.timeline import timeline
from mien.monitoring.trigger import EXIT_DRIFT, EXIT_NONE, DriftTrigger, retrain_request, write_request
from mien.monitoring.verdict import WindowVerdict
from mien.vision.bundles import bundle_names, bundle_path, read_record

OWNER = "a" * 64
ERRORS = {"new_photographs_p90": 0.05, "new_damage_p90": 0.1, "confidence_p90": 0.2}


@pytest.fixture(scope="module")
def reference() -> Reference:
    made = reference_of(*make_faces(800, seed=0))
    weights = np.append(np.random.default_rng(0).normal(size=512), 0.5)
    return replace(made, accuracy=AccuracyModel(weights, ERRORS))


@pytest.fixture
def file(reference: Reference, tmp_path: Path) -> Path:
    path = tmp_path / "toy.reference.npz"
    write_reference(path, reference)
    return path


# --- references as files ------------------------------------------------------------------------


def test_a_reference_is_read_back(reference: Reference, file: Path, tmp_path: Path) -> None:
    found = read_reference(file, OWNER)
    for name in ("bundle", "source", "dataset_hash", "faces", "repeat_s"):
        assert getattr(found, name) == getattr(reference, name)
    assert found.features.width == reference.features.width
    assert np.array_equal(found.features.grid, reference.features.grid)
    assert found.baseline.means == pytest.approx(reference.baseline.means, abs=1e-5, rel=1e-5)
    assert found.accuracy is not None
    assert found.accuracy.errors == ERRORS
    faces = stream(make_faces(300, seed=3, darker=1.0)[0])
    one, other = (DriftMonitor(r, 1.0, 20_000) for r in (reference, found))
    assert one.level == pytest.approx(other.level, abs=0.1)
    for face in faces:
        first, second = one.update(face), other.update(face)
    assert first is not None
    assert second is not None
    assert first.flagged == second.flagged
    again = tmp_path / "again.npz"
    write_reference(again, reference)
    assert again.read_bytes() == file.read_bytes()


def test_a_stream_reference_is_read_back(reference: Reference, tmp_path: Path) -> None:
    own = Reference.from_stream(list(stream(make_faces(900, seed=1)[0])), reference, source="camera 0", runs=3, steps=20)
    write_reference(tmp_path / "own.npz", own)
    found = read_reference(tmp_path / "own.npz", OWNER)
    assert found.repeat_s == own.repeat_s
    assert np.isnan(found.label_shares).all()


def test_a_reference_contains_no_single_face(reference: Reference, file: Path) -> None:
    faces, _ = make_faces(800, seed=0)
    with np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert all(len(faces) not in values.shape for values in arrays.values())
    depth = faces.embedding.shape[1]
    for values in arrays.values():
        if values.shape and values.shape[-1] == depth:
            rows = values.reshape(-1, depth).astype(np.float64)
            nearest = np.linalg.norm(faces.embedding[:, None] - rows, axis=2).min()
            assert nearest > 1


@pytest.mark.parametrize("kept", [0, 1, 100, 0.3, 0.9, -1])
def test_a_truncated_file_is_refused(file: Path, kept: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data)) if 0 < kept < 1 else int(kept)])
    with pytest.raises(DataError, match=r"toy\.reference\.npz"):
        read_reference(file, OWNER)


def test_a_flipped_byte_is_refused(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"toy\.reference\.npz"):
        read_reference(file, OWNER)


def rewritten(file: Path, **changes: object) -> Path:
    """Rewrite the file with changed arrays, without those that are None; ``facts`` is a dictionary of changes."""
    with np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    facts = json.loads(arrays["facts"].tobytes()) | (changes.pop("facts", None) or {})
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    arrays |= {name: values for name, values in changes.items() if values is not None}
    np.savez_compressed(
        file, **{name: values for name, values in arrays.items() if name not in changes or changes[name] is not None}
    )
    return file


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"means": np.full((7, 1), 0.0)}, "means"),
        ({"grid": None}, "grid"),
        ({"scores_all": np.empty((2, 0, 5))}, "scores_all"),
        ({"scores_picture": np.empty((2, 5, 2))}, "scores_picture"),
        ({"shares": np.full(7, 0.5)}, "shares"),
        ({"shares": np.full(7, np.nan)}, "shares"),
        ({"components": np.full((12, 16), np.inf, np.float32)}, "components"),
        ({"centre": np.array(["a"] * 16)}, "toy.reference.npz"),
        ({"facts": {"version": 1}}, "version 1"),
        ({"facts": {"detectors": ["other"]}}, "detectors"),
        ({"facts": {"width": -1.0}}, "width is -1.0"),
        ({"facts": {"seed": "x"}}, "seed is 'x'"),
        ({"facts": {"faces": True}}, "faces is True"),
        ({"facts": {"repeat_s": 0}}, "repeat_s is 0"),
        ({"facts": {"source": None}}, "source is None"),
    ],
)
def test_inconsistent_arrays_and_facts_are_refused(file: Path, changes: dict, named: str) -> None:
    with pytest.raises(DataError, match=r"mien monitor reference") as error:
        read_reference(rewritten(file, **changes), OWNER)
    assert named in str(error.value)


def test_a_reference_of_another_bundle_is_refused(file: Path) -> None:
    with pytest.raises(DataError, match="'toy'"):
        read_reference(file, "c" * 64)


def test_nothing_is_unpickled(file: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("a pickle was loaded",)

    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([Trap()], object), allow_pickle=True)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("trap.npy", buffer.getvalue())
    with pytest.raises(DataError):
        read_reference(file, OWNER)
    file.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError):
        read_reference(file, OWNER)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npz"):
        read_reference(tmp_path / "none.npz", OWNER)
    huge = tmp_path / "huge.npz"
    huge.write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(DataError, match="500,000"):
        read_reference(huge, OWNER)
    other = tmp_path / "other.npz"
    np.savez(other, a=np.zeros(3))
    with pytest.raises(DataError, match=r"other\.npz"):
        read_reference(other, OWNER)


@pytest.mark.parametrize("name", bundle_names())
def test_every_packaged_bundle_has_a_reference(name: str) -> None:
    bundle = bundle_path(name)
    record = read_record(bundle)
    assert record is not None
    path = reference_path(bundle)
    assert path.stat().st_size <= MAX_BYTES
    found = read_reference(path, record["sha256"])
    assert found.dataset_hash == record["card"]["dataset_hash"]
    assert found.accuracy is not None
    assert found.accuracy.errors["new_photographs_p90"] < 0.08
    monitor = DriftMonitor(found, 100.0, 1000.0)
    assert 1 < monitor.level < 5


# --- the trigger --------------------------------------------------------------------------------


def verdict_at(
    to_s: float, persistent: tuple[str, ...] = (), flagged: tuple[str, ...] | None = None, accuracy: float = 0.7
) -> WindowVerdict:
    """Return a window of a hundred seconds that ends at ``to_s``."""
    results = {name: DetectorResult(1.0, 0.5, {"part": 0.1}) for name in DETECTORS}
    surprises = dict.fromkeys(DETECTORS, 3.0)
    even = np.full(7, 1 / 7)
    found = persistent if flagged is None else flagged
    return WindowVerdict(
        to_s - 100, to_s, 200, results, surprises, found, persistent, even, even,
        {"brightness": 90.0}, {"brightness": 0.3}, 0.6, accuracy,
    )  # fmt: skip


def test_an_event_is_repeated_after_the_cooldown(reference: Reference) -> None:
    trigger = DriftTrigger(reference, cooldown_h=1.0)
    assert trigger.update(verdict_at(100)) is None
    assert trigger.update(verdict_at(200, flagged=("quality",))) is None
    event = trigger.update(verdict_at(300, ("quality",)))
    assert event is not None
    assert (event.since_s, event.by_s, event.t_s) == (100, 200, 300)
    assert trigger.exit_code == EXIT_DRIFT == 10
    assert trigger.update(verdict_at(3899, ("quality",))) is None
    assert trigger.update(verdict_at(3900, ("quality",))) is not None
    assert len(trigger.events) == 2


def test_an_interrupted_run_restarts(reference: Reference) -> None:
    trigger = DriftTrigger(reference)
    trigger.update(verdict_at(200, flagged=("quality",)))
    trigger.update(verdict_at(300))
    event = trigger.update(verdict_at(900, ("quality",)))
    assert event is not None
    assert event.since_s == 800


def test_a_clock_set_back_ends_the_cooldown(reference: Reference) -> None:
    trigger = DriftTrigger(reference, cooldown_h=24)
    assert trigger.update(verdict_at(90_000, ("embedding",))) is not None
    assert trigger.update(verdict_at(500, ("embedding",))) is not None
    assert trigger.events[1].since_s == 400


def test_drift_without_loss_of_accuracy_can_be_ignored(reference: Reference) -> None:
    assert reference.accuracy is not None
    expected = reference.accuracy.estimate(reference.baseline.overall)
    trigger = DriftTrigger(reference, min_drop=0.05)
    assert trigger.update(verdict_at(100, ("quality",), accuracy=expected - 0.04)) is None
    assert trigger.exit_code == EXIT_NONE == 0
    assert trigger.update(verdict_at(200, ("quality",), accuracy=expected - 0.06)) is not None
    assert DriftTrigger(reference).update(verdict_at(100, ("quality",), accuracy=expected + 0.2)) is not None
    assert DriftTrigger(replace(reference, accuracy=None), min_drop=0.5).update(verdict_at(100, ("quality",))) is not None


@pytest.mark.parametrize(
    ("persistent", "cause"),
    [
        (("expressions",), "content"),
        (("confidence",), "confidence"),
        (("confidence", "expressions"), "content"),
        (("components", "expressions"), "picture"),
        (("quality",), "picture"),
    ],
)
def test_the_cause_follows_from_the_persistent_detectors(reference: Reference, persistent: tuple[str, ...], cause: str) -> None:
    event = DriftTrigger(reference).update(verdict_at(100, persistent))
    assert event is not None
    assert event.cause == cause


def test_a_small_effect_is_ignored_however_significant() -> None:
    reference = reference_of(*make_faces(800, seed=0))
    monitor = DriftMonitor(reference, 1.0, 400 * 50)
    for detector in monitor._detectors:
        if detector.name == "quality":
            detector.min_effect = 2.0
    found = verdicts(monitor, stream(make_faces(400, seed=1, darker=2.0)[0]))
    assert found[-1].surprises["quality"] > monitor.level
    assert "quality" not in found[-1].flagged


def test_a_request_has_cause_time_size_and_commands(reference: Reference, tmp_path: Path) -> None:
    event = DriftTrigger(reference).update(verdict_at(300, ("quality",)))
    assert event is not None
    path = write_request(tmp_path, retrain_request(event, reference, (), {"m": 3}))
    request = json.loads(path.read_text())
    assert path.name == "retrain_request.json"
    assert request["what"] == "picture"
    assert (request["since_s"], request["noticed_s"]) == (200, 300)
    assert request["drifted"][0]["detector"] == "quality"
    assert request["statistics"]["brightness"]["now"] == 90
    assert request["statistics"]["brightness"]["psi"] == 0.3
    assert request["model"]["sha256"] == OWNER
    assert "mien retrain --request retrain_request.json --new-data NEW_FACES" in request["commands"]


def write_requests(folder: Path, names: list[str]) -> None:
    """Write requests in order, as a monitor does."""
    for name in names:
        write_request(folder, {"what": name})


def test_concurrent_monitors_lose_no_request(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    requests = [[f"{writer}-{k}" for k in range(25)] for writer in "ab"]
    writers = [context.Process(target=write_requests, args=(tmp_path, names)) for names in requests]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    written = [json.loads(path.read_text())["what"] for path in tmp_path.glob("retrain_request*.json")]
    assert sorted(written) == sorted(requests[0] + requests[1])
    assert json.loads((tmp_path / "retrain_request.json").read_text())["what"] in ("a-24", "b-24")


def test_an_equal_request_is_kept_once_and_an_invalid_one_renamed(tmp_path: Path) -> None:
    for _ in range(3):
        write_request(tmp_path, {"what": "picture", "pair": (1, 2)})
    assert [path.name for path in tmp_path.glob("*.json")] == ["retrain_request.json"]
    (tmp_path / "retrain_request.json").write_bytes(b"\xff{")
    write_request(tmp_path, {"what": "content"})
    assert (tmp_path / "retrain_request-1.json").read_bytes() == b"\xff{"


# --- pages and metrics --------------------------------------------------------------------------


def facts_of(reference: Reference, faces: int, **planted: object) -> dict:
    monitor, trigger = DriftMonitor(reference, 1.0, 20_000), DriftTrigger(reference)
    found = verdicts(monitor, stream(make_faces(faces, seed=2, **planted)[0]))
    for verdict in found:
        trigger.update(verdict)
    settings = {"false_alarm_every_h": 1.0, "faces_per_h": 20_000.0, "m": 3, "n": 4, "cooldown_h": 24.0}
    return summarise("a <stream>", reference, monitor, trigger, found, {"faces": faces}, settings)


def test_the_page_is_complete_and_self_contained(reference: Reference, tmp_path: Path) -> None:
    facts = facts_of(reference, 600, darker=1.5)
    json.dumps(facts, allow_nan=False)
    write_page(tmp_path / "drift.html", facts)
    page = (tmp_path / "drift.html").read_text()
    assert facts["what"] == "picture"
    assert facts["in_words"].lower() in page.lower()
    assert "a &lt;stream&gt;" in page
    assert "<img" not in page
    assert "src=" not in page
    assert "http" not in page
    for anchor in ("verdict", "timelines", "statistics", "accuracy", "expressions", "method"):
        assert f'id="{anchor}"' in page
    assert page.count("<svg") >= len(DETECTORS) + 4
    assert "brightness" in page


def test_a_page_without_drift(reference: Reference) -> None:
    facts = facts_of(reference, 400)
    assert not facts["drift"]
    assert facts["in_words"].lower() in drift_page(facts).lower()


def test_too_few_faces_are_reported(reference: Reference) -> None:
    facts = facts_of(reference, 150)
    assert facts["what"] == TOO_FEW
    assert "50" in facts["in_words"]
    assert TOO_FEW in drift_page(facts)
    assert "mien_drift_windows_total" in metrics_text(facts)
    assert "mien_drift_surprise" not in metrics_text(facts)


def test_a_page_without_accuracy_estimates(reference: Reference) -> None:
    facts = facts_of(replace(reference, accuracy=None), 400)
    assert facts["windows"][-1]["estimated_accuracy"] is None
    assert "Estimated accuracy</h3>" not in drift_page(facts)
    assert "mien_drift_estimated_accuracy" not in metrics_text(facts)


def test_metrics_are_in_prometheus_format(reference: Reference) -> None:
    facts = facts_of(reference, 600, darker=1.5)
    facts["reference"]["bundle"] = 'odd "name"\\'
    text = metrics_text(facts)
    sample = re.compile(r'^[a-z_]+\{([a-z]+="(\\.|[^"\\\n])*",?)+\} -?[0-9.e+-]+$')
    typed = set()
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            assert sample.match(line), line
            assert line.split("{")[0] in typed
    assert text.endswith("\n")
    assert re.search(r"^mien_drift\{.*\} 1\.0$", text, re.MULTILINE)
    assert sum(line.startswith("mien_drift_expression_share{") for line in text.splitlines()) == len(EMOTIONS)


def test_a_timeline_stays_within_its_bounds() -> None:
    drawn = timeline([0.0, 1.0, 2.0], [0.0, 100.0, 5.0], mark=3.0, mark_text="limit", beyond=[False, True, False], top=8.0)
    assert drawn is not None
    for pair in drawn.points.split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= drawn.width
        assert 0 <= y <= drawn.height
    assert len(drawn.beyond) == 1
    assert timeline([], []) is None
    flat = timeline([1.0], [math.pi])
    assert flat is not None
    assert "nan" not in flat.points

"""Every kind of file that Mien reads: a valid file, its damage, and its use.

``use`` does what commands do with the file. Any exception other than ``MienError`` is a fault.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from fuzz_mutations import (
    Damage,
    Draw,
    csv_file,
    damaged_bytes,
    damaged_json,
    json_file,
    json_lines,
    npz_file,
    one_of,
    some_bytes,
    sqlite_file,
    toml_file,
    zip_file,
)
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mien.audit.annotators import read_annotations, summarise
from mien.data.class_table import read_class_table
from mien.data.dataset import FaceDataset
from mien.data.decoding import decode_face
from mien.data.reader import read_dataset
from mien.data.split_file import SplitFile, read_split_file, split_text
from mien.data.votes import read_votes
from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.card_page import card_page
from mien.evaluation.groups import read_groups
from mien.evaluation.private_log import COLUMNS as LOG_COLUMNS
from mien.evaluation.private_log import append_scoring
from mien.files import file_hash, write_json
from mien.insight import Insight
from mien.messaging.outbox import Outbox
from mien.modelcard import METADATA_KEY, read_card, results_by_truth
from mien.monitoring.live_drift import LiveDrift
from mien.monitoring.open_live import open_live_drift
from mien.monitoring.reference_file import read_reference
from mien.monitoring.trigger import write_request
from mien.privacy.audit_log import AuditLog
from mien.privacy.chain import Chain, state_folder
from mien.privacy.consent import ConsentLedger
from mien.privacy.deployment import deployment_text, read_deployment
from mien.privacy.level import Level
from mien.privacy.notice import notice_for
from mien.privacy.oversight import Oversight
from mien.privacy.policy import decide
from mien.privacy.release import ReleasedResult, release
from mien.recordings.annotation import _stored_faces
from mien.recordings.assembly import assemble
from mien.recordings.frame_times import FrameTimes
from mien.recordings.segment_rows import segment_text
from mien.recordings.segments import split as split_recording
from mien.recordings.work_folder import WorkFolder
from mien.records import Box, Detection, FaceReading, Frame, FrameResult, HeadPose, Prediction
from mien.retraining.candidate import BUNDLE_NAME, read_candidate, write_candidate
from mien.retraining.gates import Gate
from mien.retraining.request import read_request
from mien.retraining.retrain import _refuse_other_plan
from mien.sessions.archive import Archive
from mien.sessions.database import Database
from mien.sessions.folder import SessionFolder
from mien.sessions.groups import GroupRequest, publish_groups, read_groups_file
from mien.sessions.layout import observations_path
from mien.sessions.observations import read_answers
from mien.sessions.recorder import SessionRecorder
from mien.sessions.records import EventRecord, KeptSession, SessionRecord
from mien.sessions.recovery import load_folder
from mien.sessions.rights import Rights
from mien.states.engine import StateEngine
from mien.states.rules_file import default_rules_text, read_rules
from mien.summaries.export import FORMS, export_session
from mien.summaries.text import session_text
from mien.summaries.views import write_views
from mien.training.checkpoint import load_checkpoint
from mien.training.loop import Trainer
from mien.training.network import network_from
from mien.training.origins import networks_from
from mien.training.recipe import parse_changes, read_recipe, with_changes
from mien.training.settings import TrainSettings
from mien.vision.bundles import bundle_path, packaged_bundle, read_record
from mien.vision.predictor import Predictor
from mien.vision.promoted import Change, failed_change, history, promote, roll_back
from mien.watch import sessions_with_observations

torch.set_num_threads(1)
cv2.setNumThreads(1)
SESSION = "2026-03-04_09-30-00-k3f9"
START = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
BUNDLE = packaged_bundle("mien-xs")
FACES: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (3, 1, 48, 48), np.uint8)
TINY = TrainSettings(epochs=2, batch_size=6, widths=(8, 8, 8), blocks=(1, 1, 1))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file.

    Attributes:
        name: name in the report.
        make: writes valid files into an empty folder.
        damage: damages one of them.
        use: reads them as Mien does.
        slow: takes more than 0.1 s, so it gets fewer inputs.
    """

    name: str
    make: Callable[[Path], object]
    damage: Damage
    use: Callable[[Path], object]
    slow: bool = False


@contextmanager
def said() -> Iterator[None]:
    """Ignore errors that a user can cause, and continue with the next use."""
    with suppress(MienError):
        yield


# --- models


def _copy_bundle(folder: Path, *endings: str) -> None:
    for ending in (".onnx", *endings):
        shutil.copyfile(BUNDLE.with_suffix(ending), (folder / "m.onnx").with_suffix(ending))


def _use_bundle(folder: Path) -> None:
    predictor = Predictor(folder / "m.onnx", threads=1)
    predictor.predict(FACES)
    predictor.predict(FACES[:0])
    card_page(predictor.card, "0" * 64, 1)
    with said():
        predictor.explain(FACES)


_GRAPH_DAMAGE = (*("shape", "type", "op", "attribute", "weights", "dims", "output", "rename", "external", "card", "card"),)
_TYPES = (TensorProto.FLOAT, TensorProto.STRING, TensorProto.INT64, TensorProto.BOOL, 99)
_OPERATORS = ("Relu", "Exp", "Identity", "Sigmoid", "Add", "Nothing", "Loop", "If")
_ELSEWHERE = ("x.bin", "/etc/passwd", "../x", "*/_ORT_MEM_ADDR_/*")


def _damage_graph(draw: Draw, folder: Path) -> None:
    """Change one thing in the graph of a bundle."""
    model = onnx.load(folder / "m.onnx")
    graph = model.graph
    kind = draw(
        st.sampled_from(("shape", "type", "op", "attribute", "weights", "dims", "output", "rename", "external", "card", "card"))
    )
    if kind in ("shape", "type", "rename"):
        value = draw(st.sampled_from([*graph.input, *graph.output]))
        if kind == "rename":
            value.name = draw(st.sampled_from(("x", "", "faces", "probabilities")))
        elif kind == "type":
            value.type.tensor_type.elem_type = draw(st.sampled_from(_TYPES))
        elif value.type.tensor_type.shape.dim:
            dims = value.type.tensor_type.shape.dim
            dims[draw(st.integers(0, len(dims) - 1))].dim_value = draw(st.sampled_from((1, 2, 7, 0, -1, 10**9)))
    elif kind == "op":
        draw(st.sampled_from(list(graph.node))).op_type = draw(st.sampled_from(_OPERATORS))
    elif kind == "attribute":
        nodes = [node for node in graph.node if node.attribute]
        attribute = draw(st.sampled_from(list(draw(st.sampled_from(nodes)).attribute)))
        attribute.i = draw(st.sampled_from((0, -1, 1, 2, 10**6, 2**62)))
        for number in range(len(attribute.ints)):
            attribute.ints[number] = draw(st.sampled_from((0, 1, 2, -1, 10**6)))
    elif kind in ("weights", "dims", "external"):
        tensor = draw(st.sampled_from(list(graph.initializer)))
        if kind == "external":
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=draw(st.sampled_from(_ELSEWHERE)))
            tensor.ClearField("raw_data")
        elif kind == "dims" and tensor.dims:
            tensor.dims[0] = draw(st.sampled_from((0, 1, -1, 10**6, 10**12)))
        elif tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).copy()
            values[...] = draw(st.sampled_from((0.0, np.nan, np.inf, 1e30, -1e30)))
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    elif kind == "output":
        del graph.output[draw(st.integers(0, len(graph.output) - 1))]
    else:
        meta = {entry.key: entry.value for entry in model.metadata_props}
        meta[METADATA_KEY] = damaged_json(draw, json.loads(meta[METADATA_KEY])).encode("utf-8", "replace").decode()
        helper.set_model_props(model, meta)
    with suppress(ValueError):  # larger than the limit of a message
        (folder / "m.onnx").write_bytes(model.SerializeToString())


def _make_card(folder: Path) -> None:
    (folder / "card.json").write_text(Predictor(packaged_bundle("mien-s"), threads=1).card.to_json(), encoding="utf-8")


def _use_card(folder: Path) -> None:
    card = read_card((folder / "card.json").read_bytes().decode("utf-8", "replace"), "the bundle")
    card_page(card)
    assert all(0 <= share <= 1 for share in card.uncertain_below.values())


def _use_record(folder: Path) -> None:
    record = read_record(folder / "m.onnx")
    if record is not None:
        card = Predictor(folder / "m.onnx", threads=1).card
        page = card_page(card, record["sha256"], 1, record["evaluations"])
        assert page
        for numbers in (card.metrics | record["evaluations"]).values():
            assert [f"{part['accuracy']:.1%}" for part in results_by_truth(numbers).values()]


@contextmanager
def _at_home(folder: Path) -> Iterator[None]:
    """Place the user data folder in ``folder``."""
    before = os.environ.get("XDG_DATA_HOME")
    os.environ["XDG_DATA_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["XDG_DATA_HOME"]
        else:
            os.environ["XDG_DATA_HOME"] = before


class _Unlogged:
    """A log of changes that keeps nothing."""

    place = ""

    def record(self, change: Change) -> None:
        pass

    def record_failure(self, name: str, sha256: str, place: str) -> None:
        pass


UNLOGGED = _Unlogged()


def _make_promoted(folder: Path) -> None:
    _copy_bundle(folder, ".json")
    with _at_home(folder):
        packaged = file_hash(packaged_bundle("mien-s"))
        promote("mien-s", folder / "m.onnx", packaged, packaged, UNLOGGED)


def _use_promoted(folder: Path) -> None:
    with _at_home(folder):
        for name in ("mien-s", "mien-xs"):
            with said():
                assert file_hash(bundle_path(name))
        json.dumps([asdict(change) for change in history()])
        roll_back("mien-s", UNLOGGED)


def _make_begun(folder: Path) -> None:
    _make_promoted(folder)
    (change,) = json.loads((folder / "mien" / "promoted.json").read_text())
    write_json(folder / "mien" / "promoted.begun.json", {"place": str(folder), "change": change | {"action": "rollback"}})


def _use_begun(folder: Path) -> None:
    with _at_home(folder):
        failed_change()
        roll_back("mien-s", UNLOGGED)
        assert failed_change() is None


def _use_reference(folder: Path) -> None:
    opened = open_live_drift(folder / "m.onnx", Level.FULL, start=folder / "m.reference.npz")
    opened.facts()  # a session continues with any file: nothing may be raised
    open_live_drift(folder / "m.onnx", Level.OBSERVABLES)
    drift = LiveDrift(read_reference(folder / "m.reference.npz", file_hash(BUNDLE)))
    width = len(drift._base.features.centre)
    answers = np.full((1, 7), 1 / 7, np.float32)
    for second in range(30):
        prediction = Prediction(answers, np.full((1, width), second / 30, np.float32))
        drift.observe(2.0 * second, ("k3f9",), FACES[:1], [Detection(Box(10, 10, 90, 90), 0.9, None)], prediction)
    json.dumps(drift.facts(), allow_nan=False)


def _dataset() -> FaceDataset:
    count = 12
    images = np.random.default_rng(1).integers(0, 256, (count * 2, 48, 48), np.uint8)
    labels = np.arange(count * 2, dtype=np.int64) % 7
    splits = np.repeat(np.array([0, 1], np.int64), count)
    names = tuple(f"train/{EMOTIONS[label]}/Training_{n}.jpg" for n, label in enumerate(labels))
    return FaceDataset(images, labels, splits, names)


def _trainer(folder: Path) -> Trainer:
    data = _dataset()
    facts = {"dataset_hash": data.content_hash(), "split_file": "", "votes": "", "teachers": [], "start": ""}
    return Trainer(data.split("Training"), data.split("PublicTest"), TINY, folder, torch.device("cpu"), facts)


def _make_checkpoint(folder: Path) -> None:
    trainer = _trainer(folder)
    with suppress(MienError):
        trainer.run(lambda *_: None, lambda *_: None)


def _damage_checkpoint(draw: Draw, folder: Path) -> None:
    state = torch.load(folder / "last.pt", weights_only=True)
    for _ in range(draw(st.integers(1, 2))):
        part = draw(st.sampled_from(sorted(state)))
        kind = draw(st.sampled_from(("replace", "inside", "inside", "inside", "leave out")))
        values: tuple[Any, ...] = (
            *(None, -1, 0, 1.5, "x", [], {}, [1, 2], {"x": 1}, True, 10**12, float("nan"), [[[]]], {1: 2}, torch.zeros(2)),
            *(torch.zeros(1).expand(10**11), torch.zeros(3, dtype=torch.complex64), torch.full((8,), float("inf")), [10**5] * 3),
            *(torch.zeros(8, dtype=torch.float64), torch.zeros(0), torch.zeros(2).to_sparse(), torch.zeros(2, device="meta")),
        )
        value = draw(st.sampled_from(values))
        if kind == "leave out":
            del state[part]
        elif kind == "replace" or not isinstance(state[part], (dict, list)) or not state[part]:
            state[part] = value
        else:
            _set_inside(draw, state[part], value)
    with suppress(Exception):  # values that cannot be saved are not valid input
        torch.save(state, folder / "last.pt")


def _set_inside(draw: Draw, holder: Any, value: Any) -> None:
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    key = draw(st.sampled_from(keys))
    inner = holder[key]
    if isinstance(inner, (dict, list)) and inner and draw(st.booleans()):
        _set_inside(draw, inner, value)
    else:
        holder[key] = value


def _use_checkpoint(folder: Path) -> None:
    with said():
        network_from(load_checkpoint(folder / "last.pt"))(torch.zeros(2, 1, 48, 48))
    with said():
        networks_from(str(folder / "last.pt"), _dataset())
    trainer = _trainer(folder)
    trainer.resume()
    with said():
        trainer.run(lambda *_: None, lambda *_: None)


# --- sessions


def _results() -> list[FrameResult]:
    """Return two seconds of a recording: a face that is read, then unread, then another face."""
    found = []
    for n in range(20):
        row = np.full(7, 0.05, np.float32)
        row[3 if n < 12 else 5] = 0.7
        label, unread = "happy" if n < 12 else "sad", "" if n % 5 else "too small"
        where = Detection(Box(100.0 + n, 80, 120, 120), 0.9, None)
        face = FaceReading(
            track_id="k3f9",
            detection=where,
            raw=row,
            smoothed=row,
            label=label,
            uncertain_below=0.5,
            pose=HeadPose(4, 2, 1),
            unread=unread,
        )
        found.append(FrameResult(n, n / 10, (640, 480), (face,) if n not in (7, 8) else (), 0.1))
    return found


def _released() -> list[ReleasedResult]:
    return [release(decide(None), result) for result in _results()]


def _keep(folder: Path, finish: bool = True) -> None:
    record = SessionRecord(folder.name, START, source="camera 0", model="mien-s", folder=str(folder), policy="full")
    recorder = SessionRecorder(record, lambda: [SessionFolder(folder, KeptSession(record), write_views)])
    for result in _released():
        recorder.update(result, result.index + 1)
    write_json(folder / "privacy.json", {"level": "full", "rule": "own-use", "person": "ab12", "notice": "1"}, private=True)
    recorder.add(EventRecord(0.5, "intervention", "k3f9", {"rule": "pause", "wording": "w", "message": "m"}))
    recorder.add(EventRecord(1.5, "intervention"))
    if finish:
        more = {"drift": {"status": "ok", "in_words": "no drift"}, **Insight(None, True, decide(None), None).facts()}
        recorder.finish("ended", more)
    else:
        with suppress(MienError):
            recorder._sinks[0].tick(recorder.kept())  # as a kill leaves it
            recorder._sinks[0].abandon()


def _make_sessions(folder: Path) -> None:
    _keep(folder / "sessions" / SESSION)
    _keep(folder / "sessions" / "2026-03-05_09-30-00-aaaa")


def _make_killed(folder: Path) -> None:
    _keep(folder / "sessions" / SESSION, finish=False)
    _keep(folder / "sessions" / "2026-03-05_09-30-00-aaaa")


def _use_sessions(folder: Path) -> None:
    root, out = folder / "sessions", folder / "out"
    archive = Archive(root)
    found = archive.sessions()
    assert len(found) == 2, "a broken session hides another one"
    rights = Rights(archive)
    json.dumps([asdict(session) for session in rights.sessions()], default=str)
    with said():
        rights.export()
    with said():
        for session in sessions_with_observations(root):
            assert session.folder is not None
            list(read_answers(observations_path(session.folder) or session.folder))
    for item in found:
        with said():
            kept = archive.load(item, write_views)
            session_text(kept, ["x"], "here")
            for form in FORMS:
                target = out / f"{kept.session.session_id}.{form}"
                export_session(kept, item.folder, form, target)
                assert target.parent == out
                if form == "zip":
                    _check_names(target)
        with said():
            assert item.folder is not None
            _stored_faces(item.folder / "observations.csv")(Frame(3, 0.3, np.zeros((48, 48, 3), np.uint8)))
        with said():
            archive.eraser.erase([archive.find(str(item.folder))], spare_foreign=True)
    strangers = {path.name for path in folder.iterdir()} - {"sessions", "out"}
    assert not strangers, f"something was written outside: {strangers}"


def _check_names(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            assert ".." not in Path(name).parts, f"a name that leads outside: {name}"
            assert not Path(name).is_absolute(), f"a name that leads outside: {name}"


def _make_database(folder: Path) -> None:
    with closing(Database(f"sqlite:///{folder / 's.db'}")) as database:
        _keep(folder / "made" / SESSION)
        kept = load_folder(folder / "made" / SESSION)
        database.save(replace(kept, session=replace(kept.session, folder="")))
        database.save(replace(kept, session=replace(kept.session, folder="", session_id="other")))
    shutil.rmtree(folder / "made")
    for ending in ("-wal", "-shm"):
        (folder / f"s.db{ending}").unlink(missing_ok=True)


def _use_database(folder: Path) -> None:
    with closing(Database(f"sqlite:///{folder / 's.db'}")) as database:
        archive = Archive(folder / "none", database)
        for item in archive.sessions():
            with said():
                kept = archive.load(item, write_views)
                session_text(kept, [], "the database")
                for form in FORMS:
                    export_session(kept, None, form, folder / f"x.{form}")
                database.save(kept)
        for item in archive.sessions():
            with said():
                json.dumps(archive.content(item), allow_nan=False)
            with said():
                archive.eraser.erase([item])


def _make_outbox(folder: Path) -> None:
    outbox = Outbox(folder / "o.db", "lrs http://x", clock=lambda: 1e9)
    outbox.put("9d7b1c1e-0000-4000-8000-000000000000", '{"id": "x"}')
    outbox.put("msg_1", "{}")
    outbox.refused(outbox.take(1)[0], "no")
    outbox.close()
    for ending in ("-wal", "-shm"):
        (folder / f"o.db{ending}").unlink(missing_ok=True)


def _use_outbox(folder: Path) -> None:
    outbox = Outbox(folder / "o.db", "lrs http://x", clock=lambda: 2e9)
    with closing(outbox):
        for message in outbox.take(5):
            message.body.encode()
            message.message_id.encode("ascii")
            assert "\n" not in message.message_id
            outbox.postpone(message, 2.0 ** min(message.attempts, 30), "later")
        outbox.count()
        " ".join(outbox.reasons())
        outbox.put("msg_2", "{}")
        outbox.drop(["msg_1", "msg_2"])


# --- privacy


def _make_ledger(folder: Path) -> None:
    root = folder / "sessions"
    ledger, notice = ConsentLedger(state_folder(root)), notice_for(decide(None))
    for person in ("Ada", "Ben"):
        for purpose in ("show", "keep", "groups"):
            ledger.record(person, purpose, "granted", notice, START)
    log = AuditLog(state_folder(root))
    log.record("consent", START, purpose="show", state="granted", notice="0" * 64)
    log.record("exported", START, sessions=3)


def _damage_chain(draw: Draw, folder: Path) -> None:
    """Rewrite a ledger or log with changed lines and valid hashes."""
    name = draw(st.sampled_from(("consents.jsonl", "audit.jsonl")))
    path = folder / "sessions" / "privacy" / name
    rows = list(Chain(path).rows())
    for each in (path, path.with_name(f"{name}.head")):
        each.unlink()
    at = draw(st.integers(0, len(rows) - 1))
    with suppress(ValueError, RecursionError):
        found = json.loads(damaged_json(draw, rows[at]))
        rows[at] = found if isinstance(found, dict) else {}
    for row in rows:
        with suppress(ValueError, TypeError, RecursionError):
            Chain(path).append({key: value for key, value in row.items() if key not in ("n", "prev", "hash")})


def _use_ledger(folder: Path) -> None:
    root = folder / "sessions"
    notice = notice_for(decide(None))
    with said():
        ledger = ConsentLedger(state_folder(root))
        for person in ledger.people():
            ledger.states(person)
            json.dumps(ledger.history(person))
            ledger.allows(person, "groups", notice)
    with said():
        Oversight(None, root, "Ada")
    log = AuditLog(state_folder(root))
    with said():
        log.verify()
    with said():
        json.dumps(list(log.events()))
    with said():
        Rights(Archive(root)).record_consent("Ada", "keep", "withdrawn", notice)
    with said():
        ConsentLedger(state_folder(root)).forget("Ada")
    log.record("exported", sessions=1)


_CLASS = frozenset({"Ada", "Ben", "Cem", "Dia", "Eva", "Fin"})
REQUEST = GroupRequest(START, START.replace(hour=10), {"class": _CLASS}, k=5)


def _make_groups(folder: Path) -> None:
    _make_sessions(folder)
    _make_ledger(folder)
    publish_groups(folder / "sessions", decide(None), REQUEST)
    (folder / "class.csv").write_text("person,group\n" + "".join(f"{name},class\n" for name in sorted(_CLASS)), encoding="utf-8")


def _on_day(day: int) -> GroupRequest:
    return replace(REQUEST, start=START.replace(day=day), end=START.replace(day=day, hour=10))


def _use_groups(folder: Path) -> None:
    root = folder / "sessions"
    with said():
        _, cells = publish_groups(root, decide(None), REQUEST)
        for cell in cells:
            assert f"{cell.group:<16} {cell.from_s:>6.0f} {cell.people}" + "".join(f"{each:>8.0%}" for each in cell.shares or ())
    with said():
        publish_groups(root, decide(None), _on_day(5))
    publish_groups(root, decide(None), replace(_on_day(6), groups=read_groups_file(folder / "class.csv")))


def _make_deployment(folder: Path) -> None:
    deployment = replace(
        decide(None).deployment, context="education-institution", operator="A school", contact="a@b.c", legal_basis="consent",
        purpose="improving-material", jurisdiction="EU", declared=True,
    )  # fmt: skip
    (folder / "d.toml").write_text(deployment_text(deployment), encoding="utf-8")


def _use_deployment(folder: Path) -> None:
    notice = notice_for(decide(read_deployment(folder / "d.toml")))
    assert notice.text.encode()


# --- rules, recipes, data


def _use_rules(folder: Path) -> None:
    rules = read_rules(folder / "r.toml")
    engine = StateEngine(rules, None)
    for result in _released():
        engine.update(result)
    json.dumps(engine.facts(), allow_nan=False)


RECIPE = """description = "x"
epochs = 3
batch_size = 64
peak_lr = 0.1
optimiser = "sgd"
widths = [16, 16, 32]
small_until = 0.5

[augment]
rotation_deg = 5
erase_size = [0.1, 0.2]
cutmix = 0.5
"""


def _use_recipe(folder: Path) -> None:
    _, settings = read_recipe(str(folder / "r.toml"))
    json.dumps(settings.as_dict(), allow_nan=False)
    for line in (folder / "r.toml").read_text(encoding="utf-8", errors="replace").splitlines():
        with said():
            with_changes(TrainSettings(), parse_changes([line]))


def _picture(seed: int, ending: str) -> bytes:
    rough = np.random.default_rng(seed).integers(0, 256, (6, 6), np.uint8)
    return bytes(cv2.imencode(ending, cv2.resize(rough, (48, 48)))[1])


def _make_faces(folder: Path) -> None:
    for split in ("train", "test"):
        for number, emotion in enumerate(EMOTIONS):
            place = folder / "faces" / split / emotion
            place.mkdir(parents=True)
            for k in range(2):
                name = f"{'Training' if split == 'train' else 'PublicTest'}_{number}{k}"
                (place / f"{name}{('.png', '.jpg')[k]}").write_bytes(
                    _picture(number * 10 + k + 100 * (split == "test"), (".png", ".jpg")[k])
                )


def _make_faces_zip(folder: Path) -> None:
    _make_faces(folder)
    with zipfile.ZipFile(folder / "faces.zip", "w") as archive:
        for path in sorted((folder / "faces").rglob("*.*")):
            archive.write(path, path.relative_to(folder / "faces"))
    shutil.rmtree(folder / "faces")


def _damage_tree(draw: Draw, folder: Path) -> None:
    paths = sorted((folder / "faces").rglob("*.*"))
    path = draw(st.sampled_from(paths))
    kind = draw(st.sampled_from(("bytes", "bytes", "bytes", "empty", "link", "folder", "rename", "pipe", "mode")))
    if kind == "bytes":
        path.write_bytes(damaged_bytes(draw, path.read_bytes()))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "mode":
        path.parent.rename(path.parent.with_name(draw(st.sampled_from(("x", "happy2", "Happy", "é", " ")))))
    else:
        path.unlink()
        if kind == "link":
            path.symlink_to(draw(st.sampled_from((path, path.parent, Path("/dev/zero"), Path("/nowhere")))))
        elif kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            Path(os.fsdecode(bytes(path.parent) + b"/\xff\xfe.png")).write_bytes(b"x")


def _use_faces(place: str) -> Callable[[Path], None]:
    def use(folder: Path) -> None:
        data = read_dataset(folder / place).dataset
        data.content_hash()
        data.split_counts()

    return use


def _make_csv(folder: Path) -> None:
    lines = ["emotion,pixels,Usage"]
    for n, usage in enumerate(("Training", "Training", "PublicTest", "PrivateTest", "Training", "PublicTest", "Training")):
        pixels = " ".join(map(str, np.random.default_rng(n).integers(0, 256, 2304).tolist()))
        lines.append(f"{n % 7},{pixels},{usage}")
    (folder / "faces.csv").write_text("\n".join(lines) + "\n")


def _use_photo(folder: Path) -> None:
    for path in folder.iterdir():
        decode_face(path.read_bytes())


def _make_split(folder: Path) -> None:
    data = _dataset()
    actions = tuple("keep" if split == 0 else "clean" for split in data.splits)
    (folder / "t.csv").write_text(
        split_text(data, SplitFile(actions, np.ones(len(data), np.float32), ("",) * len(data))), encoding="utf-8"
    )


def _make_votes(folder: Path) -> None:
    head = ["path", *EMOTIONS, "contempt", "unknown", "NF"]
    rows = [[name, "8", "1", *["0"] * 7, "1"] for name in _dataset().names]
    (folder / "t.csv").write_text("\n".join(",".join(row) for row in [head, *rows]) + "\n", encoding="utf-8")


def _make_annotations(folder: Path) -> None:
    rows = [f"{name},{who},{EMOTIONS[(n + (who == 'b')) % 7]}" for n, name in enumerate(_dataset().names) for who in "ab"]
    (folder / "t.csv").write_text("\n".join(["image,annotator,label", *rows]) + "\n", encoding="utf-8")


def _make_log(folder: Path) -> None:
    row = ["2026-01-01", "mien-s", "0" * 64, "abc", "10", *["0.5"] * (len(LOG_COLUMNS) - 5)]
    (folder / "t.csv").write_text(",".join(LOG_COLUMNS) + "\n" + ",".join(row) + "\n", encoding="utf-8")


def _use_log(folder: Path) -> None:
    numbers = {"n": 1, "accuracy": 0.5, "accuracy_ci": [0.4, 0.6], "macro_f1": 0.5, "ece": 0.1, "views": {}}
    append_scoring(folder / "t.csv", "0" * 64, {"model": "m", "truths": {"fer2013": numbers, "people": numbers}})


# --- retraining and recordings


def _make_retraining(folder: Path) -> None:
    shutil.copyfile(BUNDLE, folder / BUNDLE_NAME)
    gate = {"name": "g", "passed": True, "before": 0.5, "after": 0.6, "noise": 0.01, "sentence": "better. really"}
    lineage = {
        "parent": {"name": "mien-xs", "sha256": file_hash(BUNDLE)},
        "request": None,
        "plan": {},
        "data": {"to_learn": 1, "replayed": 1, "to_judge": 1, "problems": []},
    }
    write_candidate(folder, lineage, [Gate(**gate)])
    request = {"what": "content", "in_words": "x", "model": {"name": "m", "sha256": file_hash(BUNDLE)}, "drifted": {"a": 1}}
    write_json(folder / "retrain_request.json", request)
    write_json(folder / "plan.json", {"parent": "a", "settings": {"x": 1}, "plan": "p"})


def _use_retraining(folder: Path) -> None:
    with said():
        read_candidate(folder)
    with said():
        request = read_request(folder / "retrain_request.json", BUNDLE)
        json.dumps({key: request.get(key) for key in ("what", "in_words", "since_s", "noticed_s", "model")})
    with said():
        write_request(folder, {"what": "content"})
    (folder / "candidate.lineage.json").unlink()
    _refuse_other_plan(folder, {"parent": "a", "settings": {"x": 1}, "plan": "p"})


def _frame_times() -> FrameTimes:
    t_s = np.arange(20) / 10
    return FrameTimes(t_s * 1000, t_s, np.full(20, 0.1), 0, 0.0, 0)


def _make_recording(folder: Path) -> None:
    work = WorkFolder(folder / "recording")
    work.begin(
        {"format": 1, "made_with": {"file": "a.mp4", "segment": 1.0}, "started_at": "2026-03-04T09:30:00.000+00:00"}, False
    )
    times = _frame_times()
    work.keep_times(times)
    results = _results()
    for segment in split_recording(times, 1.0, 0.5):
        shown = results[max(0, segment.first - 1) : segment.last + 1]
        work.keep(segment.number, segment_text(shown, True, (segment.first - 1, segment.last)))
    work.finish({**(work.begun or {}), "frames": 20, "video_s": 2.0, "damage": "", "annotated": ""})


def _use_recording(folder: Path) -> None:
    work = WorkFolder(folder / "recording")
    with said():
        work.check({"file": "a.mp4", "segment": 1.0})
    with said():
        finished = work.finished or {"frames": 1, "video_s": 1.0, "damage": ""}
        assert finished["frames"] / max(finished["video_s"], 1e-3) is not None
        f"{finished['damage']:>3}"
    begun = work.begun or {"started_at": "2026-03-04T09:30:00.000+00:00"}
    start = datetime.fromisoformat(begun["started_at"])
    times = work.times or _frame_times()
    segments = split_recording(times, 1.0, 0.5)
    assert times.seconds >= 0
    record = SessionRecord(f"{start:%Y-%m-%d_%H-%M-%S}-ab12", start, folder=str(work.folder), policy="full")
    missing = [segment for segment in segments if not work.has(segment.number)]
    if not missing:
        oversight = Oversight(None, folder / "sessions")
        assemble(work, segments, times, record, oversight, "ab12", Insight(None, False, oversight.policy, None))


def _text(name: str, text: str) -> Callable[[Path], object]:
    """Return a function that writes a text to a file."""
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


_PICTURES = tuple(f"p{ending}" for ending in (".png", ".jpg", ".bmp", ".webp", ".tiff", ".pgm", ".jp2", ".gif"))


def _make_pictures(folder: Path) -> None:
    for name in _PICTURES:
        (folder / name).write_bytes(_picture(1, Path(name).suffix))


def _make_groups_of_images(folder: Path) -> None:
    rows = [f"{name},{'ab'[n % 2]}" for n, name in enumerate(_dataset().names)]
    (folder / "t.csv").write_text("\n".join(["image,group", *rows]) + "\n")


_SESSION = f"sessions/{SESSION}"
_SUMMARY = json_file(f"{_SESSION}/summary.json")
_STATE = "sessions/privacy"

KINDS: tuple[Kind, ...] = (
    Kind("bundle", _copy_bundle, one_of(_damage_graph, _damage_graph, some_bytes("m.onnx")), _use_bundle, slow=True),
    Kind("card", _make_card, json_file("card.json"), _use_card),
    Kind("record beside a bundle", lambda folder: _copy_bundle(folder, ".json"), json_file("m.json"), _use_record),
    Kind(
        "promoted.json",
        _make_promoted,
        one_of(json_file("mien/promoted.json"), json_file("mien/promoted.json"), some_bytes("mien/promoted.json")),
        _use_promoted,
    ),
    Kind(
        "promoted.begun.json",
        _make_begun,
        one_of(json_file("mien/promoted.begun.json"), some_bytes("mien/promoted.begun.json")),
        _use_begun,
    ),
    Kind(
        "drift reference",
        lambda folder: _copy_bundle(folder, ".reference.npz"),
        npz_file("m.reference.npz"),
        _use_reference,
        slow=True,
    ),
    Kind(
        "checkpoint",
        _make_checkpoint,
        one_of(_damage_checkpoint, _damage_checkpoint, _damage_checkpoint, some_bytes("last.pt")),
        _use_checkpoint,
        slow=True,
    ),
    Kind("summary.json", _make_sessions, _SUMMARY, _use_sessions, slow=True),
    Kind(
        "readings, events, marks",
        _make_sessions,
        one_of(
            csv_file(f"{_SESSION}/observations.csv"),
            json_lines(f"{_SESSION}/events.jsonl"),
            json_file(f"{_SESSION}/privacy.json"),
        ),
        _use_sessions,
        slow=True,
    ),
    Kind(
        "killed session",
        _make_killed,
        one_of(csv_file(f"{_SESSION}/observations.partial.csv"), json_file(f"{_SESSION}/session.partial.json")),
        _use_sessions,
        slow=True,
    ),
    Kind("database", _make_database, sqlite_file("s.db"), _use_database, slow=True),
    Kind("outbox", _make_outbox, sqlite_file("o.db"), _use_outbox),
    Kind("people.json", _make_ledger, json_file(f"{_STATE}/people.json"), _use_ledger),
    Kind(
        "ledger and log",
        _make_ledger,
        one_of(
            json_lines(f"{_STATE}/consents.jsonl", f"{_STATE}/audit.jsonl"),
            some_bytes(f"{_STATE}/consents.jsonl.head", f"{_STATE}/audit.jsonl.head"),
            _damage_chain,
        ),
        _use_ledger,
    ),
    Kind(
        "published groups",
        _make_groups,
        one_of(
            json_file(f"{_STATE}/groups.json"),
            json_file(f"{_STATE}/groups.json"),
            some_bytes(f"{_STATE}/noise.key"),
            csv_file("class.csv"),
        ),
        _use_groups,
        slow=True,
    ),
    Kind("deployment.toml", _make_deployment, toml_file("d.toml"), _use_deployment),
    Kind("rules", _text("r.toml", default_rules_text()), toml_file("r.toml"), _use_rules),
    Kind("recipe", _text("r.toml", RECIPE), toml_file("r.toml"), _use_recipe),
    Kind("faces in a folder", _make_faces, _damage_tree, _use_faces("faces")),
    Kind("faces in a zip", _make_faces_zip, zip_file("faces.zip"), _use_faces("faces.zip")),
    Kind("faces in a CSV", _make_csv, csv_file("faces.csv"), _use_faces("faces.csv")),
    Kind("picture", _make_pictures, some_bytes(*_PICTURES), _use_photo),
    Kind(
        "split file",
        _make_split,
        csv_file("t.csv"),
        lambda folder: read_split_file(folder / "t.csv", _dataset()).apply(_dataset()),
    ),
    Kind("votes", _make_votes, csv_file("t.csv"), lambda folder: read_votes(folder / "t.csv", _dataset()).clear),
    Kind(
        "annotations",
        _make_annotations,
        csv_file("t.csv"),
        lambda folder: summarise(read_annotations(folder / "t.csv", _dataset().names)),
    ),
    Kind(
        "class table",
        _text("t.csv", "folder,class\njoy,happy\nwut,anger\nbored,-\n"),
        csv_file("t.csv"),
        lambda folder: read_class_table(folder / "t.csv"),
    ),
    Kind(
        "groups of images",
        _make_groups_of_images,
        csv_file("t.csv"),
        lambda folder: read_groups(folder / "t.csv", _dataset().names),
    ),
    Kind("log of scorings", _make_log, csv_file("t.csv"), _use_log),
    Kind(
        "candidate, request, plan",
        _make_retraining,
        json_file("candidate.lineage.json", "retrain_request.json", "plan.json"),
        _use_retraining,
    ),
    Kind(
        "recording's work",
        _make_recording,
        one_of(
            json_file("recording/segments/begun.json", "recording/analysis.json"),
            npz_file("recording/segments/times.npz"),
            csv_file("recording/segments/00001.csv"),
        ),
        _use_recording,
        slow=True,
    ),
)
"""All kinds. Mien writes but never reads ``run.json``, ``history.csv``, ``drift.json``, pages and generated documents."""

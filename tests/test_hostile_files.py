"""Damaged files of every kind that is read: an answer or a sentence, never a traceback; and one broken file hides no other.

This is a slice of ``benchmarks/fuzz/fuzz.py``, which takes ten thousand.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzz import attempt
from fuzz_kinds import KINDS, SESSION, Kind, _make_checkpoint, _make_sessions
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kept_sessions import kept

from mien.errors import BundleError, DataError
from mien.messaging.outbox import Outbox
from mien.modelcard import METADATA_KEY, read_card
from mien.privacy.chain import Chain
from mien.privacy.consent import ConsentLedger
from mien.sessions.archive import Archive
from mien.sessions.database import Database
from mien.summaries.views import write_views
from mien.training.checkpoint import load_checkpoint
from mien.vision.bundles import packaged_bundle
from mien.vision.predictor import Predictor


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_damaged_file_is_read_or_refused(kind: Kind, tmp_path: Path) -> None:
    template, current = tmp_path / "template", tmp_path / "current"
    template.mkdir()
    kind.make(template)
    assert attempt(kind, shutil.copytree(template, current, symlinks=True)) == "read"

    @settings(
        max_examples=3 if kind.slow else 12,
        derandomize=True,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def once(data: st.DataObject) -> None:
        shutil.rmtree(current)
        shutil.copytree(template, current, symlinks=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.damage(data.draw, current)
        attempt(kind, current)

    once()


BROKEN_SUMMARIES = {
    "types": {"frames": "many"},
    "time": {"started_at": 5},
    "no zone": {"started_at": "2026-03-04T09:30:00"},
    "too early": {"started_at": "0001-01-01T00:00:00+14:00"},
    "long": {"duration_s": 1e14},
    "state": {"state": "gone"},
    "list": {"unread": [1]},
    "name": {"session_id": {"a": 1}},
    "what rules said": {"states": {"rules": {"away": "x"}}},
    "drift": {"drift": {"status": "ok"}},
    "deep": {"source": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]},
}


@pytest.mark.parametrize("name", BROKEN_SUMMARIES)
def test_a_broken_summary_hides_no_session(name: str, tmp_path: Path) -> None:
    _make_sessions(tmp_path)
    path = tmp_path / "sessions" / SESSION / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | BROKEN_SUMMARIES[name]))
    archive = Archive(tmp_path / "sessions")
    found = archive.sessions()
    assert [item.record.session_id for item in found] == [SESSION, "2026-03-05_09-30-00-aaaa"]
    with pytest.raises(DataError, match="is not a session summary"):
        archive.load(found[0], write_views)
    assert archive.load(found[1], write_views).session.frames == 20
    archive.eraser.erase([found[0]], spare_foreign=True)
    assert not path.exists()


def test_a_pipe_in_place_of_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    _make_sessions(tmp_path)
    mark = tmp_path / "sessions" / SESSION / "privacy.json"
    mark.unlink()
    os.mkfifo(mark)
    assert [session.person for session in Archive(tmp_path / "sessions").sessions()] == ["", "ab12"]


WRONG_COLUMNS = {
    "frames": "many",
    "duration_s": "1e400",
    "started_at": "yesterday",
    "state": "gone",
    "unread": "[" * 2000,
    "source": b"\xff",
    "person": b"\x01",
}


@pytest.mark.parametrize("column", WRONG_COLUMNS)
def test_a_row_with_another_type_hides_no_other(column: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with closing(Database(url)) as database:
        for name in ("broken", "fine"):
            database.save(kept(name, folder="", person="ab12"))
    with closing(sqlite3.connect(tmp_path / "s.db")) as raw, raw:
        raw.execute(f"UPDATE sessions SET {column} = ? WHERE session_id = 'broken'", (WRONG_COLUMNS[column],))
    with closing(Database(url)) as database:
        sessions = {session.session_id: session for session in database.sessions()}
        assert sessions.keys() == {"broken", "fine"}
        assert sessions["broken"].person == ("" if column == "person" else "ab12")  # whose it is, so that it can be erased
        with pytest.raises(DataError, match="Delete it: mien sessions delete broken"):
            database.load("broken")
        assert database.load("fine") is not None
        assert database.delete("broken")
        assert [session.session_id for session in database.sessions()] == ["fine"]


def test_what_is_no_message_is_not_sent(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "o.db", "webhook x")) as outbox:
        outbox.put("msg_1", "{}")
    with closing(sqlite3.connect(tmp_path / "o.db")) as raw, raw:
        rows: list[tuple[Any, ...]] = [
            ("a\r\nX-Evil: 1", "{}", 0),
            ("msg_2", b"\x00", 0),
            ("msg_3", "{}", "often"),
            ("x" * 200, "{}", 0),
        ]
        for name, body, attempts in rows:
            raw.execute("INSERT INTO messages VALUES ('webhook x', ?, ?, 0, 'waiting', ?, 0, '', '')", (name, body, attempts))
    with closing(Outbox(tmp_path / "o.db", "webhook x")) as outbox:
        assert [message.message_id for message in outbox.take(5)] == ["msg_1"]
        assert outbox.count() == 1


CARD = json.loads(Predictor(packaged_bundle("mien-xs")).card.to_json())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"uncertain_below": float("nan")}, "nan"),
        ({"uncertain_below": "0.5"}, "uncertain_below"),
        ({"uncertain_below": 7}, "uncertain_below"),
        ({"temperature": 0}, "temperature"),
        ({"parameters": "many"}, "parameters"),
        ({"metrics": {"PublicTest": {"n": 3}}}, "is missing in metrics.PublicTest"),
        ({"metrics": []}, "metrics"),
        ({"training": [{"history": {"epoch": [1]}}]}, "history"),
        ({"training": [3]}, "training"),
        ({"export": {"images": "x"}}, "export"),
        ({"data_steps": {"read": 3}}, "data_steps"),
        ({"command": ["rm"]}, "command"),
    ],
)
def test_a_card_with_another_type_is_refused(change: dict[str, Any], said: str) -> None:
    assert read_card(json.dumps(CARD), METADATA_KEY).name == CARD["name"]
    with pytest.raises(BundleError, match=f"card .*{said}"):
        read_card(json.dumps(CARD | change), "it")


@pytest.mark.parametrize("field", ["person", "purpose", "state", "notice", "at"])
@pytest.mark.parametrize("value", [None, 3, ["show"]])
def test_a_ledger_whose_hashes_fit_and_whose_lines_do_not_is_refused(field: str, value: object, tmp_path: Path) -> None:
    line: dict[str, Any] = {
        "at": "2026-03-04T09:30:00Z",
        "person": "ab12",
        "purpose": "show",
        "state": "granted",
        "notice": "0" * 64,
    }
    Chain(tmp_path / "consents.jsonl").append({key: each for key, each in line.items() if key != field or value is not None} | (
        {field: value} if value is not None else {}
    ))  # fmt: skip
    (tmp_path / "people.json").write_text(json.dumps({"Ada": "ab12"}))
    ledger = ConsentLedger(tmp_path)
    for ask in (ledger.states, ledger.history):
        with pytest.raises(DataError, match=field):
            ask("Ada")


CHECKPOINTS: dict[str, dict[str, Any]] = {
    "weights": {"ema": [1]},
    "no tensors": {"ema": {"stem.0.weight": 3}},
    "sparse": {"ema": {"stem.0.weight": torch.eye(2).to_sparse()}},
    "no values": {"ema": {"stem.0.weight": torch.zeros(2, device="meta")}},
    "size": {"input_size": torch.zeros(2)},
    "labels": {"labels": torch.zeros(2)},
    "claims": {"ema": {"stem.0.weight": torch.zeros(1).expand(10**11)}},
    "settings": {"settings": 3},
    "widths": {"settings": {"widths": [10**5] * 3, "blocks": [1, 1, 1]}},
    "blocks": {"settings": {"widths": [8, 8, 8], "blocks": [10**9, 1, 1]}},
    "history": {"history": [{"epoch": "x"}]},
    "facts": {"facts": None},
    "tensor in facts": {"facts": {"dataset_hash": torch.zeros(2)}},
}


def test_a_checkpoint_with_other_types_is_refused(tmp_path: Path) -> None:
    _make_checkpoint(tmp_path)
    state = load_checkpoint(tmp_path / "last.pt")
    for change in CHECKPOINTS.values():
        torch.save(state | change, tmp_path / "x.pt")
        with pytest.raises(BundleError, match="with wrong values"):
            load_checkpoint(tmp_path / "x.pt")

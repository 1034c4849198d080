"""A session's folder: whole, on a full disk, removed, killed; what stood in it is never harmed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
from factories import released
from kept_sessions import kept
from writing import SESSION, frames, kill, recorder, rows

from mien.errors import DataError, DeviceError, UsageError
from mien.privacy.policy import decide
from mien.sessions.append_file import end_of_last_line
from mien.sessions.archive import Archive
from mien.sessions.document import read_summary, summary_document
from mien.sessions.erasure import erase_folder
from mien.sessions.events import EventsFile, read_events
from mien.sessions.folder import mark_session, write_facts
from mien.sessions.layout import check_folder, person_of, set_aside
from mien.sessions.observations import COLUMNS
from mien.sessions.records import EventRecord, KeptSession
from mien.sessions.recovery import load_folder, recover
from mien.summaries.page import summary_page
from mien.summaries.views import write_views


def test_a_whole_session_leaves_its_files_and_nothing_partial(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    running = recorder(folder)
    for result in frames(100):
        running.update(result, captured=result.index + 3, dropped=2)
    assert {path.name for path in folder.iterdir()} == {"observations.partial.csv", "session.partial.json"}
    running.add(EventRecord(2.0, "intervention", "k3f9", {"rule": "away"}))
    found = running.finish("ended")
    tables, texts = ["observations.csv", "observations.parquet"], ["events.jsonl", "summary.json", "summary.html", "summary.png"]
    assert running.files == tables + texts
    assert sorted(running.files) == sorted(path.name for path in folder.iterdir())
    assert running.take_notices() == []
    assert (found.session.frames, found.session.captured, found.session.dropped, found.session.state) == (100, 102, 2, "ended")
    assert len(rows(folder / "observations.csv")) == 100
    assert [json.loads(line)["kind"] for line in (folder / "events.jsonl").read_text().splitlines()] == ["intervention"]
    assert load_folder(folder).events == found.events


def test_the_parquet_file_is_the_csv_with_types(tmp_path: Path) -> None:
    running = recorder(tmp_path / "s")
    for result in frames(3000):
        running.update(result)
    running.finish("ended")
    table = pyarrow.parquet.read_table(tmp_path / "s" / "observations.parquet")
    assert table.column_names == list(COLUMNS)
    assert str(table.schema.field("uncertain").type) == "bool"
    written = rows(tmp_path / "s" / "observations.csv")
    assert table.num_rows == len(written) == 3000
    columns = table.to_pydict()
    for k in range(0, 3000, 397):
        for name, text in written[k].items():
            value = columns[name][k]
            if text == "":
                assert value in (None, "")
            elif isinstance(value, str):
                assert value == text
            else:
                assert float(value) == pytest.approx(float(text), rel=1e-6)


def test_a_summary_comes_back_as_what_was_kept(tmp_path: Path) -> None:
    whole = kept(state="ended")
    (tmp_path / "summary.json").write_text(json.dumps(summary_document(whole)))
    found = read_summary(tmp_path / "summary.json", whole.events)
    assert found.session == replace(whole.session, folder=str(tmp_path))
    assert found.transitions == whole.transitions
    assert found.events == whole.events
    for row, wanted in zip((*found.tracks, *found.intervals), (*whole.tracks, *whole.intervals), strict=True):
        assert row.label_s == pytest.approx(wanted.label_s, abs=1e-3)
        assert (row.facing_s, row.away_s) == (wanted.facing_s, wanted.away_s)


def test_what_else_is_known_of_a_session_stays_in_its_summary(tmp_path: Path) -> None:
    running = recorder(tmp_path / "s")
    for result in frames(30):
        running.update(result)
    running.finish("ended", {"fps": 12.5, "valence": 0.25, "frames": -1, "source_health": {"losses": 2}})
    document = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert (document["fps"], document["valence"], document["source_health"]) == (12.5, 0.25, {"losses": 2})
    assert document["frames"] == 30
    again = summary_document(load_folder(tmp_path / "s"), document["out"])
    assert again == document


def test_a_summary_of_an_older_mien_is_completed_from_the_readings(tmp_path: Path) -> None:
    running = recorder(tmp_path / "s")
    for result in frames(100):
        running.update(result)
    whole = running.finish("ended")
    old = json.loads((tmp_path / "s" / "summary.json").read_text())
    for name in ("tracks", "session_id", "started_at", "state", "attention", "unread"):
        del old[name]
    for row in old["timeline"]:
        del row["facing_s"], row["away_s"], row["unread_s"], row["empty_s"]
    (tmp_path / "s" / "summary.json").write_text(json.dumps(old))
    found = load_folder(tmp_path / "s")
    assert (found.session.session_id, found.session.state, found.session.frames) == ("s", "ended", 100)
    assert found.transitions == whole.transitions
    assert found.tracks[0].label_s == pytest.approx(whole.tracks[0].label_s, abs=0.05)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"timeline": 3}', '{"frames": 1}', '{"timeline": [], "started_at": "soon"}'])
def test_a_broken_summary_is_an_error_that_says_so_and_hides_no_other_session(text: str, tmp_path: Path) -> None:
    for name in ("good", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "good" / "summary.json").write_text(json.dumps(summary_document(kept())))
    (tmp_path / "broken" / "summary.json").write_text(text)
    with pytest.raises(DataError, match="broken"):
        load_folder(tmp_path / "broken")
    assert sorted(session.name for session in Archive(tmp_path).sessions()) == ["broken", "good"]


@pytest.mark.parametrize("moved", range(9))
@pytest.mark.parametrize("then", ["the next session", "the list", "an erasure"])
def test_a_kill_while_a_session_is_set_aside_does_not_split_it(
    moved: int, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "lesson"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "privacy.json").write_text('{"person": "0123456789abcdef"}')
    (folder / "summary.json").write_text(json.dumps(summary_document(kept())))
    (folder / "screenshot-00001.000s.png").write_bytes(b"png")
    for name in ("observations.csv", "summary.html", "summary.png", "annotated.mp4"):
        (folder / name).write_bytes(name.encode())
    names = {path.name for path in folder.iterdir()}
    rename, steps = Path.rename, iter([True] * moved)

    def rename_until_killed(path: Path, target: Path) -> Path:
        if not next(steps, False):
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as context:
        context.setattr(Path, "rename", rename_until_killed)
        if moved < 8:
            with pytest.raises(KeyboardInterrupt):
                set_aside(folder)
        else:
            set_aside(folder)
    if then == "the next session":
        check_folder(folder, "0123456789abcdef")
        set_aside(folder)
    elif then == "the list":
        (session,) = (found for each in Archive(tmp_path).sessions() for found in (each, *Archive(tmp_path).earlier(each)))
        assert person_of(session.folder or tmp_path) == "0123456789abcdef"
    else:
        erase_folder(folder, tmp_path, earlier=True)
        assert [path.name for path in folder.rglob("*")] == ["notes.txt"]
        return
    whole = {path.name for path in folder.rglob("*") if path.is_file()}
    assert whole == names
    if moved or then == "the next session":
        assert {path.name for path in folder.iterdir()} == {"notes.txt", "earlier-1"}


def test_a_second_session_in_the_same_folder_harms_neither_a_whole_nor_a_killed_one(tmp_path: Path) -> None:
    first = recorder(tmp_path)
    for result in frames(10):
        first.update(result)
    first.finish("ended")
    before = (tmp_path / "observations.csv").read_bytes()
    killed = recorder(tmp_path)
    assert (tmp_path / "earlier-1" / "observations.csv").read_bytes() == before
    for result in frames(20):
        killed.update(result)
    with pytest.raises(DeviceError, match="is being written by another session"):
        recorder(tmp_path)
    kill(killed)  # lets go of the file as a kill does, and finishes nothing
    third = recorder(tmp_path)
    assert len(rows(tmp_path / "earlier-2" / "observations.partial.csv")) == 20
    assert recover(tmp_path / "earlier-2", write_views).session.frames == 20
    third.finish("ended")


def test_events_survive_a_line_cut_off(tmp_path: Path) -> None:
    file = EventsFile(tmp_path)
    events = [EventRecord(float(k), "note", details={"text": "Grüße\u2028 \x85 zum Schluß"}) for k in range(3)]
    for event in events:
        file.add(event)
    file.close()
    whole = (tmp_path / "events.jsonl").read_bytes()
    for cut in range(1, 60):
        (tmp_path / "events.jsonl").write_bytes(whole[:-cut])
        assert list(read_events(tmp_path / "events.jsonl")) == events[:2]
    (tmp_path / "events.jsonl").write_bytes(b"{}\n" + whole)
    with pytest.raises(DataError, match="line 1 is not an event"):
        list(read_events(tmp_path / "events.jsonl"))


def test_the_end_of_the_last_line_is_found_in_long_files(tmp_path: Path) -> None:
    for text, wanted in [("", 0), ("a", 0), ("a\n", 2), ("a\nb", 2), ("a\n" + "x" * 200_000, 2), ("y" * 200_000 + "\n", 200_001)]:
        (tmp_path / "f").write_text(text)
        assert end_of_last_line(tmp_path / "f") == wanted


def test_a_single_picture_has_no_rate() -> None:
    assert summary_document(KeptSession(replace(SESSION, frames=1)))["fps"] == 0.0


def test_a_folder_that_failed_is_erased_when_consent_is_withdrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = recorder(tmp_path / "s")
    for k, result in enumerate(frames(20)):
        if k == 10:
            monkeypatch.setattr("mien.sessions.folder.ObservationsFile.update", disk_is_full)
        running.update(result)
    assert [failure.erasing for failure in running.failures] == [False]
    assert running.erase() == 2
    assert not (tmp_path / "s").exists()


def disk_is_full(*_: object) -> None:
    raise DeviceError("the disk is full")


def test_a_recovered_session_counts_the_time_without_a_face_as_absence(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    running = recorder(folder)
    for result in frames(100):
        running.update(result if result.index < 25 else released(result.index, result.t_s, [], 1 / 25))
    before = running.kept()
    kill(running)
    write_facts(folder, before)
    found = recover(folder, write_views)
    assert found.session.duration_s == pytest.approx(before.session.duration_s)
    assert before.session.presence_share == pytest.approx(0.25)
    assert found.session.presence_share == pytest.approx(0.25)
    assert sum(row.empty_s for row in found.intervals) == pytest.approx(sum(row.empty_s for row in before.intervals))


def test_a_folder_named_after_another_age_hides_no_session(tmp_path: Path) -> None:
    for name in ("3026-03-04_09-30-00-abcd", "0001-01-01_00-00-00-abcd", "2026-03-04_09-30-00-k3f9"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.jsonl").write_text("")
    assert len(Archive(tmp_path).sessions()) == 3


def test_a_folder_takes_no_session_of_another_participant(tmp_path: Path) -> None:
    folder = tmp_path / "lesson"
    folder.mkdir()
    check_folder(folder, "ada")
    mark_session(folder, decide(), "ada")
    check_folder(folder, "ada")
    for person in ("", "ben"):
        with pytest.raises(UsageError, match="another participant"):
            check_folder(folder, person)
    with pytest.raises(UsageError, match="consent ledger"):
        check_folder(tmp_path / "privacy", "")


@pytest.mark.parametrize(("name", "value"), [("from_s", 10.0), ("to_s", 1e15)])
def test_a_summary_with_an_impossible_time_slice_is_refused(name: str, value: float, tmp_path: Path) -> None:
    document = summary_document(kept(state="ended"))
    document["timeline"][0][name] = value
    (tmp_path / "summary.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="a time slice"):
        read_summary(tmp_path / "summary.json")


def test_a_rule_of_an_older_summary_may_lack_a_time() -> None:
    rule = {"kind": "observable", "text": "Away.", "holds_s": 0.0, "no_evidence_s": 0.0, "times": 0, "confidence_highest": None}
    more = {"states": {"rules": {"away": rule}}}
    assert "Away." in summary_page(replace(kept(), more=more))


def test_a_session_that_is_erased_leaves_the_earlier_ones_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "lesson"
    monday = recorder(folder)
    for result in frames(10):
        monday.update(result)
    monday.finish("ended")
    (folder / "screenshot-00001.000s.png").write_bytes(b"monday")
    (folder / "notes.txt").write_text("mine")
    before = sorted(path.name for path in folder.iterdir())
    tuesday = recorder(folder)
    (folder / "screenshot-00002.000s.png").write_bytes(b"tuesday")
    assert tuesday.erase() == 3
    assert sorted(path.name for path in folder.rglob("*")) == sorted(["earlier-1", *before])
    assert load_folder(folder / "earlier-1").session.frames == 10

"""The class server through its HTTP interface: who may do what, what is refused, what is published, what is erased."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from classes import PLAN, URL, Server, class_server, message
from lti_platform import UNIVERSITY
from sqlalchemy import select

from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError, NotPermittedError, UsageError
from mien.privacy.deployment import read_deployment
from mien.privacy.lesson_bins import MAX_SIGNALS, LessonPlan
from mien.web.classroom import schema
from mien.web.classroom.closing import Closer
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.links import LinkKind, new_token, token_hash
from mien.web.classroom.messages import MAX_BYTES, parse_message
from mien.web.classroom.operation import Metrics
from mien.web.classroom.settings import ClassSettings
from mien.web.classroom.store import SHORT_LINK_S, ClassStore, OpenedClass
from mien.web.classroom.streams import Streams


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built pages, small and made on the spot."""
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    for name in ("learner", "teacher"):
        (folder / f"{name}.html").write_text(f"<!doctype html><title>{name}</title>")
    monkeypatch.setattr("mien.web.classroom.app.static_folder", lambda: folder)


@pytest.fixture
def start(here: Path, yunet: Path) -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:
        yield lambda where, **more: stack.enter_context(class_server(where, **more))


@pytest.fixture
def server(start: Callable[..., Server], tmp_path: Path) -> Server:
    return start(f"sqlite:///{tmp_path / 'classes.db'}")


def opened(server: Server, people: int = 0, plan: LessonPlan = PLAN) -> tuple[OpenedClass, list[str]]:
    """Return a running class with participants."""
    made = server.store.open_class("Algebra", plan=plan)
    joined = [server.join(made.join) for _ in range(people)]
    assert server.call("POST", "/api/class/start", made.teach).status_code == 204
    return made, joined


def whole_bin(server: Server, participants: list[str], first: int, **changes: Any) -> None:
    """Let participants send what a bin needs, and close it."""
    for step in range(2):
        for person in participants:
            assert server.send(person, first + step, **changes) == 204
    server.pass_bin()


def test_a_lesson_from_its_opening_to_its_erasure(database_url: str, start: Callable[..., Server]) -> None:
    server = start(database_url)
    made = server.call("POST", "/api/classes", server.invitation(), {"title": "Algebra", "bin_s": 30, "bins": 6}).json()
    teach, join = (made[name].partition("#")[2] for name in ("teach", "join"))
    assert made["join"].startswith(f"{URL}/join#")
    assert made["qr"].startswith("<svg")
    people = [server.join(join) for _ in range(15)]
    assert server.send(people[0], 1) == 425  # the lesson has not started
    assert server.call("POST", "/api/class/start", teach).status_code == 204
    assert server.call("POST", "/api/class/start", teach).status_code == 409
    for step in (1, 2):
        for k, person in enumerate(people):
            label = "happy" if k < 5 else "neutral"
            signal = "lost" if k < 4 and step == 1 else None
            assert server.send(person, step, expression_s={label: 10.0}, signal=signal) == 204
    assert server.pass_bin() == 1
    lesson = server.call("GET", "/api/class", teach).json()
    (row,) = lesson["timeline"]
    assert (row["state"], row["people"], row["measured"], row["facing"]) == ("published", 15, 15, 0.9)
    assert dict(zip(lesson["categories"], row["expressions"], strict=True))["happy"] == pytest.approx(1 / 3, abs=0.001)
    assert row["signals"] == [4, 0, 0]
    assert (lesson["title"], lesson["state"], lesson["bin_s"], lesson["k"]) == ("Algebra", "running", 30, 10)

    for person in people[:6]:
        assert server.call("DELETE", "/api/participants", person).status_code == 204
    whole_bin(server, people[6:], 3)
    assert server.call("GET", "/api/class", teach).json()["timeline"][1]["state"] == "too few"
    assert server.call("GET", "/api/class", teach).json()["timeline"][1]["people"] is None

    assert server.call("POST", "/api/class/marks", teach, {"text": "slide 12"}).status_code == 201
    note = server.call("POST", "/api/class/marks", teach, {"kind": "note", "text": "=lost here", "at_s": 10}).json()
    table = server.call("GET", "/api/class/table.csv", teach)
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [each["state"] for each in rows] == ["published", "too few", ""]
    assert (rows[2]["from_s"], rows[2]["people"], rows[2]["marks"]) == ("60", "", "slide 12")  # its bin goes on
    assert (rows[0]["happy"], rows[0]["lost"], rows[0]["marks"]) == ("0.333", "4", "'=lost here")
    assert server.call("DELETE", f"/api/class/marks/{note['mark_id']}", teach).status_code == 204
    assert server.call("DELETE", f"/api/class/marks/{note['mark_id']}", teach).status_code == 404

    assert server.call("POST", "/api/class/end", teach).status_code == 204
    assert server.send(people[8], 9) == 401  # participants end with their lesson
    assert server.call("POST", "/api/participants", join, {"notice": "x"}).status_code == 409
    assert server.call("GET", "/api/class", teach).json()["state"] == "ended"
    following = server.call("POST", "/api/class/next", teach, {"title": "Algebra 2"}).json()
    lessons = server.call("GET", "/api/class/series", following["teach"].partition("#")[2]).json()
    assert [(each["title"], each["is_this"]) for each in lessons] == [("Algebra", False), ("Algebra 2", True)]
    assert lessons[0]["lesson"]["people"] == 15
    assert server.call("DELETE", "/api/class", teach).status_code == 204
    assert server.call("GET", "/api/class", teach).status_code == 401


def test_what_was_sent_is_gone_when_its_bin_is_closed(database_url: str, start: Callable[..., Server]) -> None:
    server = start(database_url)
    made, people = opened(server, 12)
    count = "SELECT count(*) FROM class_contributions"
    with server.store.database.reading() as connection:
        assert connection.exec_driver_sql(count).scalar() == 0
    for person in people:
        server.send(person, 1)
    with server.store.database.reading() as connection:
        assert connection.exec_driver_sql(count).scalar() == 12
    server.pass_bin()
    with server.store.database.reading() as connection:
        assert connection.exec_driver_sql(count).scalar() == 0
    server.call("POST", "/api/class/end", made.teach)
    with server.store.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM class_participants").scalar() == 0


def test_all_pages_are_told_that_the_lesson_is_over(server: Server) -> None:
    """They may share one address, and send one more message each; a page that is told to wait goes on reading faces."""
    made, people = opened(server, 80)
    assert server.call("POST", "/api/class/end", made.teach).status_code == 204
    assert {server.send(person, 1) for person in people} == {401}
    assert server.call("GET", "/api/lesson", "y" * 22).status_code == 401  # they used up nothing


def test_a_bin_that_is_over_is_published_when_the_lesson_ends(database_url: str, start: Callable[..., Server]) -> None:
    server = start(database_url)
    made, people = opened(server, 12)
    for step in (1, 2):
        for person in people:
            assert server.send(person, step) == 204
    server.clock.now_s += PLAN.bin_s  # not a moment later
    assert server.call("POST", "/api/class/end", made.teach).status_code == 204
    lesson = server.call("GET", "/api/class", made.teach).json()
    assert [(row["state"], row["measured"]) for row in lesson["timeline"]] == [("published", 12)]
    assert lesson["state"] == "ended"
    made, _ = opened(server)
    server.clock.now_s += PLAN.bin_s * PLAN.bins  # the last bin ends the lesson
    assert server.call("POST", "/api/class/end", made.teach).status_code == 204
    assert server.call("POST", "/api/class/end", made.teach).status_code == 409
    lesson = server.call("GET", "/api/class", made.teach).json()
    assert (lesson["state"], len(lesson["timeline"])) == ("ended", PLAN.bins)


def test_who_leaves_is_erased_from_the_bin_that_is_open(server: Server) -> None:
    made, people = opened(server, 12)
    for step in (1, 2):
        for person in people:
            assert server.send(person, step, label="sad" if person == people[0] else "happy") == 204
    assert server.call("DELETE", "/api/participants", people[0]).status_code == 204
    assert server.send(people[0], 3) == 401
    server.pass_bin()
    (row,) = server.call("GET", "/api/class", made.teach).json()["timeline"]
    assert row["measured"] == 11
    assert dict(zip(EMOTIONS, row["expressions"], strict=True))["happy"] == 1.0


def erase_after(server: Server, s: float) -> None:
    server.clock.now_s += s
    server.store.erase_old()


CHANGES: dict[str, Callable[[Server, OpenedClass, list[str], str], Any]] = {
    "message": lambda server, _, people, __: server.send(people[0], 2),
    "join": lambda server, made, _, __: server.join(launched(server, made.class_id, "p1")),
    "leave": lambda server, _, people, __: server.call("DELETE", "/api/participants", people[0]),
    "end": lambda server, made, _, __: server.closer.end(made.class_id),
    "close": lambda server, *_: server.pass_bin(),
    "erase": lambda server, made, _, __: server.store.erase(made.class_id),
    "expire": lambda server, *_: erase_after(server, 31 * 86_400),
    "expire links": lambda server, *_: erase_after(server, 2 * 86_400),
    "revoke": lambda server, made, _, __: server.store.revoke(LinkKind.JOIN, made.class_id),
    "unmark": lambda server, made, _, mark: server.store.remove_mark(made.class_id, mark),
}


@pytest.mark.parametrize("name", CHANGES)
def test_who_waits_for_a_class_locks_nothing_else(name: str, postgres_url: str, start: Callable[..., Server]) -> None:
    """A transaction that locks a class after its other rows can wait for one that locked the class first, and that for it."""
    server = start(postgres_url)
    made, people = opened(server, 2)
    people.append(server.join(launched(server, made.class_id, "p1")))
    launched(server, made.class_id, "p2")
    for person in people:
        assert server.send(person, 1) == 204
    record = server.store.get(made.class_id)
    assert record is not None
    mark = server.store.add_mark(record, "mark", "slide 1", 1.0)
    engine = server.store.database.engine
    one = select(schema.classes).where(schema.classes.c.class_id == made.class_id).with_for_update()
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    thread = threading.Thread(target=lambda: CHANGES[name](server, made, people, mark.mark_id))
    with engine.begin() as connection:
        connection.execute(one)
        thread.start()
        deadline = time.monotonic() + 60
        with engine.connect() as observer:
            while not observer.exec_driver_sql(waits).scalar():
                assert thread.is_alive(), "it did not wait"
                assert time.monotonic() < deadline
                observer.rollback()
                time.sleep(0.02)
        for table in (*schema.OF_PARTICIPANTS, schema.marks):
            connection.execute(select(table).with_for_update(nowait=True))  # raises if anything is locked
    thread.join(60)
    assert not thread.is_alive()


def test_messages_and_the_end_of_lessons_do_not_block_each_other(postgres_url: str, start: Callable[..., Server]) -> None:
    """Learners send and leave while their lesson ends and is erased, in any order."""
    from concurrent.futures import ThreadPoolExecutor

    server = start(postgres_url)

    def take_part(person: str) -> set[int]:
        return {server.send(person, 1), server.send(person, 2), server.call("DELETE", "/api/participants", person).status_code}

    for _ in range(4):
        made, people = opened(server, 20)
        with ThreadPoolExecutor(12) as pool:
            answers = [pool.submit(take_part, person) for person in people]
            ended, erased = pool.submit(server.closer.end, made.class_id), pool.submit(server.store.erase, made.class_id)
            assert set.union(*(each.result() for each in answers)) <= {204, 401}
            ended.result()
            assert erased.result()


def test_a_pause_leaves_no_trace(server: Server) -> None:
    made, people = opened(server, 12)
    whole_bin(server, people, 1)
    whole_bin(server, people[1:], 3)  # one pauses: they send nothing
    rows = server.call("GET", "/api/class", made.teach).json()["timeline"]
    assert [(row["people"], row["measured"]) for row in rows] == [(12, 12), (12, 11)]


def launched(server: Server, class_id: str, person: str) -> str:
    """Return a link to join as a launch from a learning platform gets it."""
    return server.store.issue(LinkKind.JOIN, class_id, SHORT_LINK_S, person)


def test_who_comes_twice_from_a_course_counts_once(database_url: str, start: Callable[..., Server]) -> None:
    server = start(database_url)
    made, people = opened(server, 9)
    first = server.join(launched(server, made.class_id, "p1"))
    assert server.send(first, 1) == 204
    second = server.join(launched(server, made.class_id, "p1"))  # the phone
    assert server.send(second, 1) == 204  # a new page begins with 1
    assert server.send(first, 2) == 403
    whole_bin(server, people, 1, label="happy")
    (row,) = server.call("GET", "/api/class", made.teach).json()["timeline"]
    # ten people: those are just enough; each half of what one sent counts, and no more
    assert (row["state"], row["people"], row["measured"]) == ("published", 10, 10)
    assert dict(zip(EMOTIONS, row["expressions"], strict=True))["happy"] == 0.9
    assert server.call("DELETE", "/api/participants", people[0]).status_code == 204
    server.join(launched(server, made.class_id, "p1"))
    whole_bin(server, people[1:], 3)
    assert server.call("GET", "/api/class", made.teach).json()["timeline"][1]["state"] == "too few"  # they do not help reach k


def test_an_earlier_page_cannot_end_what_goes_on_elsewhere(server: Server) -> None:
    made, _ = opened(server)
    link = launched(server, made.class_id, "p1")
    first, second = server.join(link), server.join(link)
    assert server.call("DELETE", "/api/participants", first).status_code == 410
    assert server.send(second, 1) == 204
    assert server.call("DELETE", "/api/participants", second).status_code == 204
    assert server.send(second, 2) == 401
    assert server.call("DELETE", "/api/participants", second).status_code == 204


def test_who_leaves_and_comes_again_has_one_budget(server: Server) -> None:
    plan = LessonPlan(bin_s=30, bins=8)
    made, _ = opened(server, 12, plan)
    says = {"measured_s": None, "facing_s": None, "expression_s": None, "signal": "lost"}
    for _ in range(MAX_SIGNALS + 2):
        person = server.join(launched(server, made.class_id, "p1"))
        assert server.send(person, 1, **says) == 204
        server.pass_bin(plan)
        assert server.call("DELETE", "/api/participants", person).status_code == 204
    person = server.join(launched(server, made.class_id, "p1"))
    sent = [server.send(person, number) for number in range(1, 8)]
    assert sent == [204] * 6 + [429]
    person = server.join(launched(server, made.class_id, "p1"))
    assert server.send(person, 1) == 429  # nor do they send more in a bin
    rows = server.call("GET", "/api/class", made.teach).json()["timeline"]
    assert [row["signals"] for row in rows] == [[1, 0, 0]] * MAX_SIGNALS + [[0, 0, 0]] * 2
    assert {row["people"] for row in rows} == {13}


def test_who_left_is_not_there(server: Server) -> None:
    made, people = opened(server, 11)
    person = server.join(launched(server, made.class_id, "p1"))
    server.send(person, 1)
    assert server.call("DELETE", "/api/participants", person).status_code == 204
    with server.store.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM class_contributions").scalar() == 0
    whole_bin(server, people, 1)
    assert server.call("GET", "/api/class", made.teach).json()["timeline"][0]["people"] == 11


def test_consent_is_asked_again_for_another_notice_or_after_leaving(server: Server) -> None:
    made, _ = opened(server)

    def agreed(link: str) -> bool:
        return bool(server.call("GET", "/api/lesson", link).json()["agreed"])

    first, second = (launched(server, made.class_id, "p1") for _ in range(2))
    assert [agreed(link) for link in (first, second, made.join)] == [False] * 3
    person = server.join(first)
    assert [agreed(link) for link in (first, second, made.join)] == [True, True, False]
    assert not agreed(launched(server, made.class_id, "p2"))
    assert not agreed(launched(server, server.store.open_class("Other").class_id, "p1"))
    with server.store.database.writing() as connection:
        connection.exec_driver_sql("UPDATE class_participants SET notice = 'of last week'")
    assert not agreed(second)
    person = server.join(second)
    assert agreed(first)
    server.call("DELETE", "/api/participants", person)
    assert not agreed(first)


def test_hashes_of_persons_end_with_the_lesson(server: Server, tmp_path: Path) -> None:
    from mien.web.classroom.backup import backup

    def stored(path: Path) -> bool:
        with sqlite3.connect(path) as database:
            return "p1-of-this-class" in "\n".join(database.iterdump())

    here = tmp_path / "classes.db"
    for end in (
        lambda made: server.call("POST", "/api/class/end", made.teach),
        lambda made: server.call("DELETE", "/api/class", made.teach),
        lambda made: [server.pass_bin() for _ in range(PLAN.bins)],
    ):
        made, _ = opened(server)
        server.join(launched(server, made.class_id, "p1-of-this-class"))
        launched(server, made.class_id, "p1-of-this-class")  # never joined with
        assert stored(here)
        backup(server.store.database, tmp_path / "backup.db")
        assert not stored(tmp_path / "backup.db")
        end(made)
        assert not stored(here)
        (tmp_path / "backup.db").unlink()
    made, _ = opened(server)
    launched(server, made.class_id, "p1-of-this-class")
    server.clock.now_s += SHORT_LINK_S + 1
    server.store.erase_old()
    assert not stored(here)


def test_of_many_pages_of_one_person_at_once_one_goes_on(database_url: str, start: Callable[..., Server]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    server = start(database_url)
    made, _ = opened(server, 9)
    links = [launched(server, made.class_id, "p1") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(server.join, links))
    assert sorted(server.send(token, 1) for token in tokens)[0] == 204
    assert sum(server.send(token, 2) == 204 for token in tokens) == 1
    with server.store.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM class_participants").scalar() == 10


def test_signals_count_without_a_face_and_a_few_times_only(server: Server) -> None:
    plan = LessonPlan(bin_s=30, bins=8)
    made, people = opened(server, 12, plan)
    for number in range(MAX_SIGNALS + 2):
        assert server.send(people[0], 2 * number + 1, measured_s=None, facing_s=None, expression_s=None, signal="lost") == 204
        assert server.send(people[0], 2 * number + 2, measured_s=None, facing_s=None, expression_s=None, signal="got it") == 204
        server.pass_bin(plan)
    rows = server.call("GET", "/api/class", made.teach).json()["timeline"]
    assert [row["signals"] for row in rows] == [[0, 0, 1]] * MAX_SIGNALS + [[0, 0, 0]] * 2
    assert {row["state"] for row in rows} == {"too few"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"number": NaN}',
        b"\xff" * 20,
        b"[" * 250,
        b'{"number": 1, "number": 2, "measured_s": 1, "expression_s": {}}',
        json.dumps(message(0)).encode(),
        json.dumps(message(True)).encode(),
        json.dumps(message(10**9)).encode(),
        json.dumps(message(1, measured_s=-1)).encode(),
        json.dumps(message(1, measured_s=13)).encode(),
        json.dumps(message(1, measured_s="10")).encode(),
        json.dumps(message(1, facing_s=11)).encode(),
        json.dumps(message(1, expression_s={"bored": 1})).encode(),
        json.dumps(message(1, expression_s={"happy": 10, "sad": 10})).encode(),
        json.dumps(message(1, expression_s=[1])).encode(),
        json.dumps(message(1, signal="bored")).encode(),
        json.dumps(message(1, name="Ada")).encode(),
        json.dumps(message(1, at="2026-12-01T09:00:00Z")).encode(),  # the server's clock counts
        json.dumps({"number": 1}).encode(),
    ],
    ids=lambda body: body.decode("latin-1")[:40],
)
def test_messages_that_cannot_be_are_refused_and_change_nothing(body: bytes, server: Server) -> None:
    made, people = opened(server, 12)
    answer = server.call("POST", "/api/messages", people[0], body)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")
    for step in (1, 2):
        for person in people:
            assert server.send(person, step) == 204
    server.pass_bin()
    assert server.call("GET", "/api/class", made.teach).json()["timeline"][0]["measured"] == 12


def test_long_repeated_and_too_many_messages_are_refused(server: Server) -> None:
    _, people = opened(server, 12)
    assert server.call("POST", "/api/messages", people[0], b" " * (MAX_BYTES + 1)).status_code == 413
    assert server.send(people[0], 5) == 204
    assert server.send(people[0], 5) == 409
    assert server.send(people[0], 4) == 409
    assert [server.send(people[0], number) for number in range(6, 12)] == [204] * 5 + [429]
    server.pass_bin()
    assert server.send(people[0], 5) == 409  # in another bin as well
    assert server.send(people[0], 12) == 204


def test_the_largest_message_that_the_page_sends_fits() -> None:
    body = message(100_000, expression_s=dict.fromkeys(EMOTIONS, 1.4), signal="slower")
    assert len(json.dumps(body)) <= MAX_BYTES
    assert parse_message(json.dumps(body).encode()).expression_ms == (1400,) * 7
    with pytest.raises(DataError):
        parse_message(b"1")


def test_links_permit_one_thing_each(server: Server) -> None:
    made, people = opened(server, 1)
    other = server.store.open_class("Other", plan=PLAN)
    invitation = server.invitation()
    routes = [
        ("POST", "/api/classes", LinkKind.OPEN),
        ("GET", "/api/class", LinkKind.TEACH),
        ("GET", "/api/class/events", LinkKind.TEACH),
        ("POST", "/api/class/start", LinkKind.TEACH),
        ("POST", "/api/class/end", LinkKind.TEACH),
        ("POST", "/api/class/next", LinkKind.TEACH),
        ("POST", "/api/class/links", LinkKind.TEACH),
        ("DELETE", "/api/class/links/join", LinkKind.TEACH),
        ("POST", "/api/class/marks", LinkKind.TEACH),
        ("DELETE", "/api/class/marks/x", LinkKind.TEACH),
        ("GET", "/api/class/table.csv", LinkKind.TEACH),
        ("GET", "/api/class/series", LinkKind.TEACH),
        ("DELETE", "/api/class", LinkKind.TEACH),
        ("GET", "/api/lesson", LinkKind.JOIN),
        ("POST", "/api/participants", LinkKind.JOIN),
    ]
    tokens = {LinkKind.OPEN: invitation, LinkKind.TEACH: made.teach, LinkKind.JOIN: made.join}
    for method, path, kind in routes:
        wrong = [token for each, token in tokens.items() if each is not kind]
        for token in (*wrong, people[0], "", "x" * 22, made.class_id, made.teach[:-1]):
            if path == "/api/messages":
                continue
            answer = server.call(method, path, token, {"title": "x", "text": "x"} if method == "POST" else None)
            assert answer.status_code in (401, 429), (method, path)
    assert server.call("GET", "/api/class", other.teach).json()["title"] == "Other"
    for token in (made.teach, made.join, invitation, ""):
        assert server.call("POST", "/api/messages", token, message(1)).status_code in (401, 429)


def test_links_are_revoked_and_expire(server: Server) -> None:
    made, people = opened(server, 1)
    second = server.call("POST", "/api/class/links", made.teach, {"kind": "teach"}).json()["url"].partition("#")[2]
    assert server.call("GET", "/api/class", second).status_code == 200
    assert server.call("DELETE", "/api/class/links/teach", made.teach).json() == {"revoked": 1}
    assert server.call("GET", "/api/class", second).status_code == 401
    assert server.call("GET", "/api/class", made.teach).status_code == 200
    assert server.call("DELETE", "/api/class/links/join", made.teach).json() == {"revoked": 1}
    assert server.call("GET", "/api/lesson", made.join).status_code == 401
    assert server.send(people[0], 1) == 204  # who joined stays
    third = server.call("POST", "/api/class/links", made.teach, {"kind": "join"}).json()["url"].partition("#")[2]
    server.clock.now_s += 86_401
    assert server.call("GET", "/api/lesson", third).status_code == 401
    server.clock.now_s += 30 * 86_400
    assert server.call("GET", "/api/class", made.teach).status_code == 401
    assert server.store.erase_old() == 1


def test_the_database_has_no_token_and_the_log_nothing_personal(server: Server, tmp_path: Path) -> None:
    made, people = opened(server, 3)
    tokens = [made.teach, made.join, *people]
    server.call("GET", "/api/class", "x" * 22)
    with sqlite3.connect(tmp_path / "classes.db") as database:
        dump = "\n".join(database.iterdump())
    assert "Algebra" in dump
    assert not any(token in dump for token in tokens)
    log = server.log.getvalue()
    assert log
    for line in log.splitlines():
        assert {"time", "event"} <= json.loads(line).keys()
    assert not any(text in log for text in (*tokens, made.class_id, "Algebra", "testclient"))


def test_wrong_links_are_slowed_down_and_right_ones_are_not(server: Server) -> None:
    made, _ = opened(server)
    found = [server.call("GET", "/api/class", "y" * 22) for _ in range(70)]
    assert found[0].status_code == 401
    assert found[-1].status_code == 429
    assert int(found[-1].headers["retry-after"]) >= 1
    assert server.call("GET", "/api/class", made.teach).status_code == 200


def test_consent_refers_to_the_notice(server: Server) -> None:
    made, _ = opened(server)
    lesson = server.call("GET", "/api/lesson", made.join).json()
    assert "300 bytes" in lesson["notice"]["text"]
    assert lesson["notice"]["hash"].startswith(lesson["notice"]["version"])
    for body in ({}, {"notice": "other"}, {"notice": None}):
        assert server.call("POST", "/api/participants", made.join, body).status_code == 409


def test_the_notice_of_a_trial_says_that_nobody_is_responsible(server: Server) -> None:
    made, _ = opened(server)
    text = server.call("GET", "/api/lesson", made.join).json()["notice"]["text"]
    lines = text.splitlines()
    assert lines[0] == "Who: This is a trial on this computer; nobody has declared responsibility for it."
    assert lines[1] == "What for: to try out the class server."
    assert "OPERATOR" not in text
    assert "for every 30 seconds" in text


def test_the_notice_names_the_institution_that_answers_for_the_class(server: Server) -> None:
    usual = server.store.open_class("Algebra", plan=PLAN)
    theirs = server.store.open_class("Algebra", plan=PLAN, declaration=replace(UNIVERSITY, retention_days=7))
    notices = [server.call("GET", "/api/lesson", made.join).json()["notice"] for made in (usual, theirs)]
    assert "Who: a university. Ask, complain or change your mind: office@example.org." in notices[1]["text"]
    assert "to show learners their own sessions" in notices[1]["text"]
    assert "erased after 7 days" in notices[1]["text"]
    assert "erased after 30 days" in notices[0]["text"]
    assert "a university" not in notices[0]["text"]
    assert ["from your course" in each["text"] for each in notices] == [False, True]
    assert notices[0]["version"] != notices[1]["version"]
    assert server.call("POST", "/api/participants", theirs.join, {"notice": notices[0]["hash"]}).status_code == 409
    assert server.call("POST", "/api/participants", theirs.join, {"notice": notices[1]["hash"]}).status_code == 201
    server.call("POST", "/api/class/end", theirs.teach)
    following = server.call("POST", "/api/class/next", theirs.teach, {}).json()["join"].partition("#")[2]
    assert server.call("GET", "/api/lesson", following).json()["notice"] == notices[1]
    server.clock.now_s += 8 * 86_400
    assert server.store.erase_old() == 2
    assert server.store.get(usual.class_id) is not None


def test_the_table_has_all_marks_and_notes(server: Server) -> None:
    made, people = opened(server, 12)
    whole_bin(server, people, 1)
    for text, at_s in (("first", 0), ("second", 30), ("=third", 95), ("also third", 119.9), ("last", 6 * 30)):
        body = {"kind": "note", "text": text, "at_s": at_s}
        assert server.call("POST", "/api/class/marks", made.teach, body).status_code == 201
    expected = [("0", "first"), ("30", "second"), ("90", "'=third; also third"), ("150", "last")]

    def rows() -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(server.call("GET", "/api/class/table.csv", made.teach).text)))

    assert [(row["from_s"], row["marks"]) for row in rows()] == expected  # the lesson goes on
    server.call("POST", "/api/class/end", made.teach)
    assert [(row["from_s"], row["marks"]) for row in rows()] == expected
    assert [(row["state"], row["people"], row["to_s"]) for row in rows()][:2] == [("published", "12", "30"), ("", "", "60")]
    made, _ = opened(server)
    for _ in range(PLAN.bins):
        server.pass_bin()
    server.call("POST", "/api/class/marks", made.teach, {"text": "applause", "at_s": 6 * 30})
    assert [(row["from_s"], row["marks"]) for row in rows() if row["marks"]] == [("150", "applause")]


def test_the_next_lesson_is_opened_after_the_last_one_and_not_many_times(server: Server) -> None:
    teach = server.store.open_class("Algebra", plan=PLAN).teach
    assert server.call("POST", "/api/class/next", teach, {}).status_code == 409
    server.call("POST", "/api/class/start", teach)
    assert server.call("POST", "/api/class/next", teach, {}).status_code == 409
    found = []
    for _ in range(35):  # each lesson comes with a new link
        server.call("POST", "/api/class/end", teach)
        answer = server.call("POST", "/api/class/next", teach, {})
        found.append(answer.status_code)
        if answer.status_code == 201:
            teach = answer.json()["teach"].partition("#")[2]
    assert found == [201] * 30 + [429] * 5
    other = server.store.open_class("Geometry", plan=PLAN).teach
    server.call("POST", "/api/class/end", other)
    assert server.call("POST", "/api/class/next", other, {}).status_code == 201


def test_marks_with_names_that_no_mark_has(database_url: str, start: Callable[..., Server]) -> None:
    server = start(database_url)
    made, _ = opened(server)
    for name in ("%00", "x", "f" * 32, "%ED%A0%80"):
        assert server.call("DELETE", f"/api/class/marks/{name}", made.teach).status_code == 404


def test_the_notice_names_who_runs_the_server_for_an_institution(
    start: Callable[..., Server], school: Path, tmp_path: Path
) -> None:
    server = start(f"sqlite:///{tmp_path / 'c.db'}", deployment=school, url="https://class.example.org")
    server.client.base_url = "https://class.example.org"
    host = read_deployment(school)
    made = server.store.open_class("Algebra", plan=PLAN, declaration=UNIVERSITY)
    notice = server.call("GET", "/api/lesson", made.join).json()["notice"]["text"]
    assert "Who: a university." in notice
    assert f"The operator of the server ({host.operator}, {host.contact}) can read" in notice
    own = server.store.open_class("Algebra", plan=PLAN)
    assert f"Who: {host.operator}." in server.call("GET", "/api/lesson", own.join).json()["notice"]["text"]


def test_under_observables_no_expression_is_served_counted_or_taken(
    start: Callable[..., Server], school: Path, tmp_path: Path
) -> None:
    server = start(f"sqlite:///{tmp_path / 'c.db'}", deployment=school, url="https://class.example.org")
    server.client.base_url = "https://class.example.org"
    made = server.call("POST", "/api/classes", server.invitation(), {"title": "x", "bin_s": 30, "expressions": True}).json()
    teach, join = (made[name].partition("#")[2] for name in ("teach", "join"))
    assert server.call("GET", "/api/lesson", join).json()["model"] is None
    people = [server.join(join) for _ in range(12)]
    server.call("POST", "/api/class/start", teach)
    assert server.send(people[0], 1) == 422
    for step in (1, 2):
        for person in people:
            assert server.send(person, step, expression_s=None) == 204
    server.pass_bin()
    lesson = server.call("GET", "/api/class", teach).json()
    assert (lesson["level"], lesson["categories"]) == ("observables", [])
    assert (lesson["timeline"][0]["facing"], lesson["timeline"][0]["expressions"]) == (0.9, [])


def test_a_teacher_may_ask_for_less_than_the_policy_permits_and_never_for_more(server: Server) -> None:
    invitation = server.invitation()
    made = server.call("POST", "/api/classes", invitation, {"title": "x", "expressions": False, "budget": 2.0}).json()
    lesson = server.call("GET", "/api/class", made["teach"].partition("#")[2]).json()
    assert (lesson["categories"], lesson["budget"]) == ([], 0.75)
    assert [server.call("GET", "/api/plan", token).status_code for token in (invitation, "wrong", "")] == [200, 401, 401]
    for body in ({"title": ""}, {"title": "x" * 81}, {"title": "x", "bin_s": 5}, {"title": "x", "k": 3}, {"title": 3}, []):
        assert server.call("POST", "/api/classes", invitation, body).status_code == 400


def test_other_computers_need_a_declaration(here: Path) -> None:
    with pytest.raises(NotPermittedError, match="mien policy init"):
        ClassSettings(url="https://class.example.org").policy()
    for url in ("class.example.org", "https://class.example.org/path", "ftp://x", "https://a@b"):
        with pytest.raises(UsageError):
            ClassSettings(url=url)


@pytest.mark.parametrize("listen_host", ["0.0.0.0", "::", "192.0.2.1", ""])
def test_other_computers_cannot_connect_without_a_declaration(listen_host: str, here: Path) -> None:
    with pytest.raises(NotPermittedError, match="mien policy init"):
        ClassSettings(url=URL, listen_host=listen_host).policy()


@pytest.mark.parametrize("listen_host", ["127.0.0.1", "localhost", "::1"])
def test_addresses_of_this_computer_need_no_declaration(listen_host: str, here: Path) -> None:
    assert not ClassSettings(url=URL, listen_host=listen_host).policy()[0].leaves_machine


def test_a_declared_server_listens_on_any_address(school: Path) -> None:
    assert ClassSettings(url="https://class.example.org", listen_host="0.0.0.0").policy()[0].leaves_machine


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://localhost:80", "http://localhost"),
        ("http://LOCALHOST:8732", "http://localhost:8732"),
        ("http://[0:0::1]:80", "http://[::1]"),
        ("https://class.example.org:443", "https://class.example.org"),
        ("https://bücher.example:443", "https://xn--bcher-kva.example"),
    ],
)
def test_addresses_are_kept_as_browsers_write_them(url: str, normal: str) -> None:
    settings = ClassSettings(url=url, embedders=(url,))
    assert (settings.url, settings.embedders) == (normal, (normal,))


def test_pages_may_post_however_the_address_is_written(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(f"sqlite:///{tmp_path / 'c.db'}", url="http://localhost:80")
    server.client.base_url = "http://localhost"
    made, people = opened(server, 1)
    headers = {"Origin": "http://localhost"}  # as every browser sends it
    assert server.call("POST", "/api/messages", people[0], message(1), headers=headers).status_code == 204
    assert server.call("POST", "/api/class/end", made.teach, headers=headers).status_code == 204


def test_bins_in_which_no_server_ran_are_gaps(server: Server) -> None:
    made, people = opened(server, 12)
    whole_bin(server, people, 1)
    for step in (3, 4):
        for person in people:
            server.send(person, step)
    server.clock.now_s += 1000
    assert server.closer.close_due() == 5
    lesson = server.call("GET", "/api/class", made.teach).json()
    assert [row["state"] for row in lesson["timeline"]] == ["published", "gap", "gap", "gap", "gap", "gap"]
    assert lesson["state"] == "ended"


def test_a_restored_backup_cannot_publish_a_bin_again(server: Server, start: Callable[..., Server], tmp_path: Path) -> None:
    from mien.web.classroom.backup import backup

    made, people = opened(server, 12)
    whole_bin(server, people, 1)
    for person in people:
        server.send(person, 3)
    backup(server.store.database, tmp_path / "backup.db")
    with sqlite3.connect(tmp_path / "backup.db") as database:
        for table in ("class_contributions", "class_participants", "class_persons"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    restored = start(f"sqlite:///{tmp_path / 'backup.db'}")
    assert [row["state"] for row in restored.call("GET", "/api/class", made.teach).json()["timeline"]] == ["published"]


def test_a_link_for_one_person_is_for_nobody_after_a_restore(
    database_url: str, start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start(database_url)
    made, _ = opened(server)
    link = launched(server, made.class_id, "p1")
    server.join(link)
    with server.store.database.writing() as connection:
        for table in schema.OF_PARTICIPANTS:  # these are not in a backup
            connection.execute(table.delete())
    assert server.call("GET", "/api/lesson", link).status_code == 410
    notice = server.call("GET", "/api/lesson", made.join).json()["notice"]["hash"]
    answer = server.call("POST", "/api/participants", link, {"notice": notice})
    assert (answer.status_code, "from your course" in answer.json()["error"]) == (410, True)
    server.join(launched(server, made.class_id, "p1"))  # the next launch
    server.join(made.join)
    server.call("POST", "/api/class/end", made.teach)
    assert server.call("GET", "/api/lesson", link).json()["state"] == "ended"


def test_a_database_that_is_away_is_said_so_and_nothing_is_lost(server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    made, people = opened(server, 12)
    engine = server.store.database.engine
    from sqlalchemy.exc import OperationalError

    def away(*_: object, **__: object) -> None:
        raise OperationalError("", {}, Exception("away"))

    with monkeypatch.context() as context:
        context.setattr(engine, "connect", away)
        assert server.send(people[0], 1) == 503
        assert server.call("GET", "/api/class", made.teach).status_code == 503
        assert server.call("GET", "/health").status_code == 503
    assert server.call("GET", "/health").status_code == 200
    assert server.send(people[0], 1) == 204  # the page tries again with the same number


class Gone(io.StringIO):
    """A log whose reader is gone."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def soon(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline_s = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert condition()


def test_bins_are_closed_whether_or_not_the_log_can_be_written(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(f"sqlite:///{tmp_path / 'c.db'}", tick_s=0.01, log=Gone())
    made, _ = opened(server)
    for closed in (1, 2):
        server.clock.now_s += PLAN.bin_s + 2
        soon(lambda: len(server.call("GET", "/api/class", made.teach).json()["timeline"]) == closed)  # noqa: B023


def test_an_unexpected_error_ends_neither_ticks_nor_other_lessons(
    start: Callable[..., Server], tmp_path: Path, monkeypatch: Any
) -> None:
    server = start(f"sqlite:///{tmp_path / 'c.db'}", tick_s=0.01, metrics_token="m" * 16)
    first, second = opened(server)[0], opened(server)[0]
    close, erased = Closer._close, []
    monkeypatch.setattr(ClassStore, "erase_old", lambda _: erased.append(1))
    monkeypatch.setattr("mien.web.classroom.app._ERASE_EVERY", 1)
    with monkeypatch.context() as context:
        context.setattr(Closer, "_close", lambda self, class_id: 1 / 0 if class_id == first.class_id else close(self, class_id))
        server.clock.now_s += PLAN.bin_s + 2
        soon(lambda: len(server.call("GET", "/api/class", second.teach).json()["timeline"]) == 1)
        soon(lambda: len(erased) > 1)
        assert server.call("GET", "/health").json() == {"status": "ok"}
        assert "mien_class_bins_closed_total 1\n" in server.call("GET", "/metrics", "m" * 16).text
    soon(lambda: len(server.call("GET", "/api/class", first.teach).json()["timeline"]) == 1)
    soon(lambda: "closing-works-again" in server.log.getvalue())
    events = [json.loads(line) for line in server.log.getvalue().splitlines()]
    (failed,) = [event["reason"] for event in events if event["event"] == "closing-failed"]
    assert failed.startswith("unexpected ZeroDivisionError")
    assert [event["bins"] for event in events if event["event"] == "bins-closed"] == [1, 1]
    assert "mien_class_unexpected_errors_total" in server.call("GET", "/metrics", "m" * 16).text


def test_a_class_with_an_invalid_plan_keeps_no_other_open(database_url: str, start: Callable[..., Server]) -> None:
    server = start(database_url, metrics_token="m" * 16)
    broken, closed = opened(server)[0], []
    with server.store.database.writing() as connection:
        connection.execute(schema.classes.update().where(schema.classes.c.class_id == broken.class_id).values(k=5))
    others = [opened(server)[0] for _ in range(2)]
    server.clock.now_s += PLAN.bin_s + 2
    closer = Closer(server.store.database, server.clock, on_close=closed.append)
    with pytest.raises(UsageError, match="k is 5"):
        closer.close_due()
    assert closed == [2]
    for made in others:
        record = server.store.get(made.class_id)
        assert record is not None
        assert record.closed == 1


def test_what_was_closed_is_counted_even_if_the_database_then_fails(server: Server, monkeypatch: Any) -> None:
    for _ in range(3):
        opened(server)
    close, closed, calls = Closer._close, [], []

    def fail(self: Closer, class_id: str) -> Iterator[int]:
        calls.append(class_id)
        if len(calls) == 2:
            raise DeviceError("cannot use the database")
        return close(self, class_id)

    monkeypatch.setattr(Closer, "_close", fail)
    server.clock.now_s += PLAN.bin_s + 2
    with pytest.raises(DeviceError):
        Closer(server.store.database, server.clock, on_close=closed.append).close_due()
    assert (closed, len(calls)) == ([1], 2)


def test_health_says_that_bins_cannot_be_closed(start: Callable[..., Server], tmp_path: Path, monkeypatch: Any) -> None:
    server = start(f"sqlite:///{tmp_path / 'c.db'}", tick_s=0.01)
    made, _ = opened(server)
    with closing(sqlite3.connect(tmp_path / "c.db")) as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON class_bins BEGIN SELECT RAISE(ABORT, 'full'); END")
        server.clock.now_s += PLAN.bin_s + 2
        soon(lambda: server.call("GET", "/health").json() == {"status": "bins cannot be closed"})
        connection.execute("DROP TRIGGER full")
    soon(lambda: server.call("GET", "/health").status_code == 200)
    assert len(server.call("GET", "/api/class", made.teach).json()["timeline"]) == 1


def test_health_says_that_the_database_cannot_be_written(start: Callable[..., Server], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("mien.web.classroom.app._PROBE_EVERY", 1)
    server = start(f"sqlite:///{tmp_path / 'c.db'}", tick_s=0.01)
    with closing(sqlite3.connect(tmp_path / "c.db")) as connection:
        connection.execute("CREATE TRIGGER full BEFORE UPDATE ON class_schema BEGIN SELECT RAISE(ABORT, 'full'); END")
        soon(lambda: server.call("GET", "/health").json() == {"status": "the database cannot be written"})
        connection.execute("DROP TRIGGER full")
    soon(lambda: server.call("GET", "/health").status_code == 200)


def test_the_end_of_a_lesson_is_reported_until_that_succeeds(database_url: str, start: Callable[..., Server]) -> None:
    reported: list[str] = []
    failing = True

    def on_end(class_id: str) -> None:
        if failing:
            raise DeviceError("cannot use the message queue")
        reported.append(class_id)

    server = start(database_url, on_end=on_end)
    one, other = (opened(server, plan=LessonPlan(bin_s=30, bins=2))[0] for _ in range(2))
    assert server.closer.end(other.class_id)
    for _ in range(2):
        server.pass_bin()  # a queue that cannot be written is no fault of the database
    with pytest.raises(DeviceError, match="message queue"):
        server.closer.report_ended()
    failing = False
    Closer(server.store.database, server.clock).report_ended()  # a server without a learning record store
    assert reported == []
    again = Closer(ClassDatabase(database_url), server.clock, on_end=on_end)  # after a restart
    again.report_ended()
    again.report_ended()
    assert sorted(reported) == sorted([one.class_id, other.class_id])
    again._database.close()


def test_a_running_server_reports_the_end_of_a_lesson(start: Callable[..., Server], tmp_path: Path) -> None:
    reported: list[str] = []
    server = start(f"sqlite:///{tmp_path / 'c.db'}", tick_s=0.01, on_end=reported.append)
    made, _ = opened(server)
    assert server.call("POST", "/api/class/end", made.teach).status_code == 204
    soon(lambda: reported == [made.class_id])


def test_events_tell_changes_and_end_when_the_link_is_revoked(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(f"sqlite:///{tmp_path / 'c.db'}", tick_s=0.05)
    made, _ = opened(server)
    second = server.call("POST", "/api/class/links", made.teach, {"kind": "teach"}).json()["url"].partition("#")[2]
    seen: list[str] = []

    def read() -> None:
        with server.client.stream("GET", "/api/class/events", headers={"Authorization": f"Bearer {second}"}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            seen.extend(line for line in answer.iter_lines() if line.startswith("event"))

    reader = threading.Thread(target=read)
    timers = [
        threading.Timer(1.0, lambda: server.call("POST", "/api/class/marks", made.teach, {"text": "slide 1"})),
        threading.Timer(2.0, lambda: server.call("DELETE", "/api/class/links/teach", made.teach)),
    ]
    for each in (reader, *timers):
        each.start()
    reader.join(30)
    assert not reader.is_alive()
    assert seen == ["event: changed", "event: changed", "event: gone"]


def test_a_page_that_connects_during_a_query_is_not_told_that_its_link_is_gone(server: Server, monkeypatch: Any) -> None:
    one, other = (opened(server)[0] for _ in range(2))
    streams = Streams(server.store, Metrics())
    asked, answered = threading.Event(), threading.Event()
    real = ClassStore.revisions

    def slow(store: ClassStore, watched: dict[str, str]) -> dict[str, int]:
        asked.set()
        assert answered.wait(30)
        return real(store, watched)

    async def connect() -> list[bytes]:
        first, second = (streams.events(each.teach, each.class_id) for each in (one, other))
        await anext(first)
        monkeypatch.setattr(ClassStore, "revisions", slow)
        looking = asyncio.create_task(streams.look())
        assert await asyncio.to_thread(asked.wait, 30)
        await anext(second)
        answered.set()
        await looking
        await streams.look()
        return [await anext(first), await anext(second)]

    assert [event.split(b"\n")[0] for event in asyncio.run(connect())] == [b"event: changed"] * 2


def test_metrics_are_for_the_operator_and_name_nobody(start: Callable[..., Server], tmp_path: Path) -> None:
    token = "operator-0123456789"
    server = start(f"sqlite:///{tmp_path / 'c.db'}", metrics_token=token)
    made, people = opened(server, 2)
    server.send(people[0], 1)
    assert server.call("GET", "/metrics").status_code == 404
    assert server.call("GET", "/metrics", made.teach).status_code == 404
    text = server.call("GET", "/metrics", token).text
    assert 'mien_class_messages_total{outcome="counted"} 1' in text
    assert "mien_class_joins_total 2" in text
    assert made.class_id not in text


def test_every_answer_has_the_policy_and_other_origins_change_nothing(server: Server) -> None:
    made, _ = opened(server)
    for path in ("/", "/join", "/teach", "/new", "/settings.json", "/health", "/nothing", "/api/class"):
        headers = server.call("GET", path).headers
        assert "connect-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    for origin in ("https://evil.example", "null"):
        answer = server.call("DELETE", "/api/class", made.teach, headers={"Origin": origin})
        assert answer.status_code == 403
    assert server.call("GET", "/api/class", made.teach, headers={"Origin": URL}).status_code == 200
    assert server.call("GET", "/", headers={"Host": "evil.example"}).status_code == 400


def test_embedding_is_for_pages_that_the_operator_names(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(f"sqlite:///{tmp_path / 'c.db'}", embedders=("https://moodle.example",))
    for path in ("/", "/join", "/teach", "/new"):
        assert server.call("GET", path).headers["content-security-policy"].endswith("frame-ancestors https://moodle.example")
    for origin in ("*", "https://*", "https://*.example", "https://x;sandbox", "https://x,default-src", "https://[fe80::1%;x]"):
        with pytest.raises(UsageError):
            ClassSettings(url=URL, embedders=(origin,))


def test_a_newer_database_is_refused_and_the_schema_fits_its_tables(database_url: str) -> None:
    database = ClassDatabase(database_url)
    from sqlalchemy import inspect

    for table in schema.TABLES:
        columns = {column["name"] for column in inspect(database.engine).get_columns(table.name)}
        assert columns == set(table.columns.keys()), table.name
    ClassDatabase(database_url).close()  # opened again, nothing happens
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE class_schema SET version = 99")
    database.close()
    with pytest.raises(DataError, match="newer"):
        ClassDatabase(database_url)


def test_databases_of_the_first_version_are_migrated(database_url: str, start: Callable[..., Server], monkeypatch: Any) -> None:
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        older.setattr(schema, "VERSION", 1)
        database = ClassDatabase(database_url)
    row = "'c1', 's1', 'Algebra', 'full', 30, 6, 10, 0.75, 1795000000, NULL, NULL, 0, 0, 1"
    with database.writing() as connection:
        connection.exec_driver_sql(f"INSERT INTO classes VALUES ({row})")
    database.close()
    server = start(database_url)
    record = server.store.get("c1")
    assert record is not None
    assert (record.title, record.declaration) == ("Algebra", None)
    server.join(server.store.issue(LinkKind.JOIN, "c1"))


def test_servers_that_start_together_leave_one_address(database_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    databases = [ClassDatabase(database_url) for _ in range(4)]
    addresses = [f"http://localhost:{port}" for port in range(8700, 8704)]
    for _ in range(10):
        with databases[0].writing() as connection:
            connection.execute(schema.server.delete())
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda database, address: ClassStore(database).remember_address(address), databases, addresses))
        with databases[0].reading() as connection:
            assert len(connection.scalars(select(schema.server.c.url)).all()) == 1
    for database in databases:
        database.close()


def test_links_for_one_person_stay_so_when_the_database_is_migrated(
    database_url: str, start: Callable[..., Server], monkeypatch: Any
) -> None:
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:3])
        older.setattr(schema, "VERSION", 3)
        database = ClassDatabase(database_url)
    token, row = new_token(), "'c1', 's1', 'Algebra', 'full', 30, 6, 10, 0.75, 1795000000, NULL, NULL, 0, 0, 1"
    columns = "class_id, series, title, level, bin_s, bins, k, budget, created_s, started_s, ended_s, next_bin, closed, revision"
    with database.writing() as connection:
        connection.exec_driver_sql(f"INSERT INTO classes ({columns}) VALUES ({row})")
        link = f"'{token_hash(token)}', 'c1', 'join', 1795000000, 1795040000"
        connection.exec_driver_sql(f"INSERT INTO class_links VALUES ({link})")
        connection.exec_driver_sql(f"INSERT INTO class_persons VALUES ('{token_hash(token)}', 'c1', 'p1')")
    database.close()
    server = start(database_url)
    server.join(token)
    with server.store.database.writing() as connection:
        connection.execute(schema.persons.delete())
    assert server.call("GET", "/api/lesson", token).status_code == 410


def test_one_bin_is_closed_once_however_many_try(database_url: str, start: Callable[..., Server]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from classes import exactly

    server = start(database_url)
    made, people = opened(server, 12)
    for step in (1, 2):
        for person in people:
            server.send(person, step)
    server.clock.now_s += 31.5
    others = [Closer(ClassDatabase(database_url), server.clock, exactly) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda closer: closer.close_due(), others)) == 1
    rows = server.call("GET", "/api/class", made.teach).json()["timeline"]
    assert [(row["state"], row["measured"]) for row in rows] == [("published", 12)]
    for each in others:
        each._database.close()

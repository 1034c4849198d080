"""The threat model of the class server: each attack, tried.

Attacks on published numbers win no more than the budget allows, and succeed on exact numbers: an attack that never works
shows nothing. Attacks through the HTTP interface and on the database file are made on a real server.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from class_attacks import ATTACKS, Attack, exact, score
from classes import PLAN, Server, class_server

from mien.emotions import EMOTIONS
from mien.privacy.lesson_bins import publish

ROUNDS = 150


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_that_works_on_exact_numbers_wins_no_more_than_the_budget_allows(attack: Attack) -> None:
    assert score(attack, 20, exact) >= 0.95
    spread = math.sqrt(attack.bound * (1 - attack.bound) / ROUNDS)
    assert score(attack, ROUNDS, publish) <= attack.bound + 2.5 * spread


@pytest.fixture
def server(here: Path, yunet: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder = here / "static"
    (folder / "assets").mkdir(parents=True)
    for name in ("learner", "teacher"):
        (folder / f"{name}.html").write_text("<!doctype html>")
    monkeypatch.setattr("mien.web.classroom.app.static_folder", lambda: folder)
    with class_server(f"sqlite:///{here / 'classes.db'}") as running:
        yield running


def lesson(server: Server, people: int = 12) -> tuple[str, str, list[str]]:
    made = server.store.open_class("Algebra", plan=PLAN)
    participants = [server.join(made.join) for _ in range(people)]
    server.store.start(made.class_id)
    return made.teach, made.join, participants


def test_two_teachers_and_repeated_requests_see_the_same_numbers(here: Path, yunet: Path, server: Server) -> None:
    with class_server(f"sqlite:///{here / 'noisy.db'}", noise=True) as noisy:
        teach, _, people = lesson(noisy, 40)
        for step in (1, 2):
            for person in people:
                noisy.send(person, step)
        noisy.pass_bin()
        other = noisy.call("POST", "/api/class/links", teach, {"kind": "teach"}).json()["url"].partition("#")[2]
        answers = [noisy.call("GET", "/api/class", token).json()["timeline"] for token in (teach, other, teach, other)]
        assert answers[0][0]["state"] == "published"
        assert answers.count(answers[0]) == 4


def test_who_floods_and_lies_counts_as_one_person(server: Server) -> None:
    teach, _, people = lesson(server)
    liar = people[0]
    accepted = [server.send(liar, number, label="angry", measured_s=12.0) for number in range(1, 200)].count(204)
    assert accepted <= PLAN.bin_s // 10 + 3
    for body in ({"measured_s": 1e300}, {"measured_s": 1e9}, {"expression_s": {"angry": 1e9}}, {"expression_s": {"angry": -5}}):
        assert server.send(liar, 500, **body) == 400
    for step in (1, 2):
        for person in people[1:]:
            server.send(person, step)
    server.pass_bin()
    (row,) = server.call("GET", "/api/class", teach).json()["timeline"]
    assert row["measured"] == 12
    assert row["expressions"][EMOTIONS.index("angry")] == pytest.approx(1 / 12, abs=0.001)


def test_a_learner_who_joins_again_and_again_is_counted_once_at_a_time(server: Server) -> None:
    teach, join, people = lesson(server)
    for _ in range(5):
        server.call("DELETE", "/api/participants", people[0])
        people[0] = server.join(join)
        for step in (1, 2):
            server.send(people[0], step, label="angry")
    for step in (1, 2):
        for person in people[1:]:
            server.send(person, step)
    server.pass_bin()
    (row,) = server.call("GET", "/api/class", teach).json()["timeline"]
    assert (row["people"], row["measured"]) == (12, 12)


def test_the_operator_finds_nothing_of_closed_bins_in_the_files(server: Server, here: Path) -> None:
    """Somebody takes the database's files after the lesson: neither rows nor their old bytes are there."""
    teach, _, people = lesson(server)
    for step, seconds in ((1, 9.123), (2, 8.321)):
        for person in people:
            server.send(person, step, measured_s=seconds, facing_s=1.0, expression_s={"fear": seconds})
    from mien.web.classroom.links import token_hash

    before = b"".join(path.read_bytes() for path in here.glob("classes.db*"))
    assert token_hash(people[0]).encode() in before
    server.pass_bin()
    server.call("POST", "/api/class/end", teach)
    after = b"".join(path.read_bytes() for path in here.glob("classes.db*"))
    assert not [person for person in people if token_hash(person).encode() in after]


@pytest.mark.parametrize("way", ["erase the class", "its time is over", "everybody leaves"])
def test_nothing_of_an_open_bin_is_in_the_files_after(way: str, server: Server, here: Path) -> None:
    from mien.web.classroom.links import LinkKind, token_hash
    from mien.web.classroom.store import SHORT_LINK_S

    teach, _, people = lesson(server)
    record = server.store.class_of(teach, LinkKind.TEACH)
    assert record is not None
    people.append(server.join(server.store.issue(LinkKind.JOIN, record.class_id, SHORT_LINK_S, "a-keyed-hash")))
    for person in people:
        assert server.send(person, 1) == 204

    def found() -> list[str]:
        content = b"".join(path.read_bytes() for path in here.glob("classes.db*"))
        return [each for each in (*map(token_hash, people), "a-keyed-hash") if each.encode() in content]

    assert len(found()) == len(people) + 1
    if way == "erase the class":
        assert server.call("DELETE", "/api/class", teach).status_code == 204
    elif way == "its time is over":
        server.clock.now_s += 31 * 86_400
        assert server.store.erase_old() == 1
    else:
        for person in people:
            assert server.call("DELETE", "/api/participants", person).status_code == 204
        assert server.closer.close_due() == 0  # every second
    assert found() == (["a-keyed-hash"] if way == "everybody leaves" else [])  # a person is known until the lesson ends


def test_a_stolen_link_to_join_reads_nothing(server: Server) -> None:
    _, join, people = lesson(server)
    for step in (1, 2):
        for person in people:
            server.send(person, step)
    server.pass_bin()
    for token in (join, people[0]):
        for path in ("/api/class", "/api/class/events", "/api/class/table.csv", "/api/class/series", "/metrics"):
            assert server.call("GET", path, token).status_code in (401, 404)
    told = server.call("GET", "/api/lesson", join).json()
    assert not {"people", "measured", "timeline", "participants"} & told.keys()


def test_no_route_tells_whether_somebody_is_there(server: Server) -> None:
    """What a learner's answers say depends on their own messages only."""
    _, join, people = lesson(server, 3)
    before = (server.call("GET", "/api/lesson", join).text, server.send(people[0], 1))
    for person in people[1:]:
        server.call("DELETE", "/api/participants", person)
    after = (server.call("GET", "/api/lesson", join).text, server.send(people[0], 2))
    assert before == after
    unknown = server.call("DELETE", "/api/participants", "z" * 22).status_code
    assert unknown == server.call("DELETE", "/api/participants", people[0]).status_code == 204

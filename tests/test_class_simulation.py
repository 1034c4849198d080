"""Simulated learners: they show numbers on a trial server, in their own class, and are refused anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from classes import Clock, exactly
from conftest import MienHere
from lrs_servers import free_port
from raw_servers import answer, raw_server, saying
from sqlalchemy import func, select

from mien.errors import NotPermittedError
from mien.web.classroom import schema
from mien.web.classroom.closing import Closer
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.settings import ClassSettings
from mien.web.classroom.simulation import open_simulated_class, simulate_learners
from mien.web.classroom.store import ClassStore
from mien.web.classroom.timeline import class_document


@pytest.fixture
def settings() -> Iterator[ClassSettings]:
    """The settings of a server that answers."""
    with raw_server(saying(answer("200 OK", b"{}"))) as server:
        yield ClassSettings(url=server.url)


@pytest.fixture
def store(here: Path) -> Iterator[ClassStore]:
    database = ClassDatabase(f"sqlite:///{here / 'classes.db'}")
    yield ClassStore(database, clock=Clock())
    database.close()


def participants(store: ClassStore) -> int:
    with store.database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(schema.participants)) or 0


def test_a_class_of_simulated_learners_has_numbers_in_every_interval(store: ClassStore, settings: ClassSettings) -> None:
    class_id, clock = open_simulated_class(store, settings, 40).class_id, store.clock
    assert isinstance(clock, Clock)
    closer, waits = Closer(store.database, clock, exactly), 0

    def wait(seconds: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 3:  # the teacher presses Start lesson
            assert participants(store) == 40
            store.start(class_id)
        clock.now_s += seconds
        closer.close_due()

    rounds = simulate_learners(store, class_id, 40, seed=0, wait=wait)
    record = store.get(class_id)
    assert record is not None
    assert "simulated" in record.title
    assert rounds >= 36
    shown = class_document(record, store.closed_bins(class_id), [], clock())
    assert [row["state"] for row in shown["timeline"]] == ["published"] * 12
    assert {row["people"] for row in shown["timeline"]} == {40}
    assert 0.6 < shown["lesson"]["facing"] < 0.9
    assert any(sum(row["signals"]) for row in shown["timeline"])
    assert participants(store) == 0


def test_simulated_learners_leave_when_the_command_is_stopped(store: ClassStore, settings: ClassSettings) -> None:
    opened = open_simulated_class(store, settings, 10)

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_learners(store, opened.class_id, 10, wait=stop)
    assert participants(store) == 0


def test_learners_are_not_simulated_under_a_declaration(store: ClassStore, settings: ClassSettings, school: Path) -> None:
    with pytest.raises(NotPermittedError, match="without a declaration"):
        open_simulated_class(store, settings, 10)


@pytest.mark.parametrize("command", [("simulate",), ("open", "Algebra")], ids=lambda command: command[0])
def test_a_class_has_the_budget_of_its_server(
    command: tuple[str, ...], settings: ClassSettings, mien_here: MienHere, monkeypatch: Any
) -> None:
    monkeypatch.setattr("mien.web.classroom.simulation.simulate_learners", lambda *_: 0)
    database = ClassDatabase("sqlite:///classes.db")
    ClassStore(database).remember_address(settings.url)
    for option in ([], ["--budget", "0.25"]):
        code, _, err = mien_here("class", *command, "--db", "classes.db", *option)
        assert code == 0, err
    with database.reading() as connection:
        assert sorted(connection.scalars(select(schema.classes.c.budget))) == [0.25, 0.75]
    database.close()


def test_learners_are_not_simulated_without_a_server(mien_here: MienHere) -> None:
    database = ClassDatabase("sqlite:///classes.db")
    code, out, err = mien_here("class", "simulate", "--db", "classes.db", "--port", str(free_port()))
    assert (code, out) == (4, "")
    assert "no class server answers at http://127.0.0.1:" in err
    with database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.classes)) == 0
    database.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8732", "https://class.example.org"])
def test_learners_are_not_simulated_beside_a_server_for_others(url: str, mien_here: MienHere) -> None:
    database = ClassDatabase("sqlite:///classes.db")
    store = ClassStore(database)
    store.remember_address("https://class.example.org")
    code, out, err = mien_here("class", "simulate", "--db", "classes.db", "--url", url)
    assert (code, out) == (2, "")
    assert "mien policy init" in err or "trial server" in err
    with database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.classes)) == 0
    database.close()

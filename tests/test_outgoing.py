"""What leaves the machine when a server is named: exactly once, in order, signed, and nothing private."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from kept_sessions import kept
from lrs_servers import PASSWORD, USER, Ralph, StrictStore, assert_valid, free_port, strict_store
from sending import SECRET, SESSION, count, until, watch

from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError, UsageError
from mien.store import outbox as outbox_module
from mien.store import xapi
from mien.store.courier import Courier, Fate, Outcome
from mien.store.http import check_url
from mien.store.lrs import LrsSettings, StatementSender
from mien.store.outbox import Outbox
from mien.store.outgoing import XapiSink, outgoing_sinks
from mien.store.webhook import WebhookSettings
from mien.store.xapi import XapiSession


def lrs(port: int, password: str = PASSWORD) -> LrsSettings:
    return LrsSettings(f"http://127.0.0.1:{port}/xAPI", USER, password, 60.0)


def courier(queue: Path, settings: LrsSettings) -> Courier:
    return Courier(Outbox(queue, "lrs"), StatementSender(settings), "learning record store", 0.05, 0.3)


def check_statements(statements: list[dict[str, Any]]) -> None:
    """Check that a watched session of 200 seconds arrived: whole, once, and with true sums."""
    for statement in statements:
        assert_valid({name: value for name, value in statement.items() if name not in ("stored", "authority")})
    assert len({statement["id"] for statement in statements}) == len(statements)
    by_time = sorted(statements, key=lambda statement: (statement["timestamp"], statement["verb"]["id"].endswith("terminated")))
    verbs = [statement["verb"]["id"].rsplit("/", 1)[1] for statement in by_time]
    assert sorted(verbs) == sorted(["initialized", *["showed"] * 4, *["was-offered"] * 3, "terminated"])
    assert (verbs[0], verbs[-1]) == ("initialized", "terminated")
    showed = [statement["result"] for statement in by_time if statement["verb"]["id"] == xapi.VERBS["showed"][0]]
    assert [result["duration"] for result in showed] == ["PT60S", "PT60S", "PT60S", "PT20S"]
    shares = showed[0]["extensions"][f"{xapi.EXTENSIONS}/expression-shares"]
    assert shares == dict.fromkeys(EMOTIONS, 0.0) | {"happy": pytest.approx(0.75, abs=0.02), "sad": pytest.approx(0.25, abs=0.02)}
    assert showed[1]["extensions"][f"{xapi.EXTENSIONS}/facing-share"] == pytest.approx(0.9)
    assert by_time[-1]["result"]["extensions"][f"{xapi.EXTENSIONS}/face-seconds"] == 201.0
    assert len({statement["context"]["registration"] for statement in statements}) == 1
    assert len({statement["actor"]["account"]["name"] for statement in statements}) == 1
    sent = json.dumps(statements)
    for private in ("k3f9", "camera", "room", "/home", "2026-03-04_09-30-00", "Ada", "only here"):
        assert private not in sent


@pytest.fixture(params=["strict", "ralph"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, Callable[[], Any]]]:
    """The port of a store that is still down, and a function that starts it."""
    port, started = free_port(), []
    python = os.environ.get("MIEN_RALPH_PYTHON", "")
    if request.param == "ralph" and not python:
        pytest.skip(
            "Ralph (pip install 'ralph-malph[cli,lrs]' requests) is not here: MIEN_RALPH_PYTHON names no Python that has it"
        )

    def start() -> Any:
        if request.param == "strict":
            running: Any = StrictStore(port)
        else:
            running = Ralph(tmp_path / "ralph", port, python)
            running.start()
        started.append(running)
        return running

    yield port, start
    for running in started:
        running.close()


def test_what_was_said_while_the_store_was_down_arrives_once(store: tuple[int, Callable[[], Any]], tmp_path: Path) -> None:
    port, start = store
    queue = tmp_path / "outbox.db"
    sink = XapiSink(SESSION, lrs(port), queue, courier(queue, lrs(port)))
    running = watch(sink)
    until(
        lambda: any("takes nothing now" in notice for notice in running.take_notices()), "the store was down and nobody said so"
    )
    assert count(queue) == 7  # begun, three periods, three interventions
    there = start()
    running.finish("ended")
    until(lambda: len(there.stored()) == 9, "statements did not arrive")
    assert running.failures == ()
    until(lambda: count(queue, "sent") == 9, "statements were not noted as sent")
    check_statements(there.stored())


def test_a_store_that_goes_down_and_comes_back_in_the_middle_gets_each_once(
    store: tuple[int, Callable[[], Any]], tmp_path: Path
) -> None:
    port, start = store
    queue = tmp_path / "outbox.db"
    there = start()
    sink = XapiSink(SESSION, lrs(port), queue, courier(queue, lrs(port)))
    until(lambda: len(there.stored()) == 1, "the beginning did not arrive")
    before = there.stored()
    there.close()
    running = watch(sink)
    until(lambda: any("takes nothing now" in notice for notice in running.take_notices()), "nobody said that the store is down")
    again = start()
    running.finish("interrupted")
    until(lambda: count(queue) == 0, "statements still wait")
    stored = again.stored()
    check_statements(stored if len(stored) == 9 else before + stored)


def test_a_line_cut_after_storing_and_a_busy_store_double_nothing(tmp_path: Path) -> None:
    queue = tmp_path / "outbox.db"
    with strict_store(free_port()) as there:
        there.cut_after_storing, there.failing = 3, 2
        settings = lrs(there.server.server_port)
        watch(XapiSink(SESSION, settings, queue, courier(queue, settings))).finish("ended")
        until(lambda: count(queue) == 0, "statements still wait")
        assert len(there.arrivals) == 9 + 3  # three were sent twice, and known again
        assert there.faults == []
        check_statements(there.stored())


def test_a_statement_that_is_wrong_is_put_aside_and_holds_up_no_other(tmp_path: Path) -> None:
    queue = tmp_path / "outbox.db"
    with strict_store(free_port()) as there:
        carrier = courier(queue, lrs(there.server.server_port))
        names = XapiSession.new(SESSION)
        wrong = names.began() | {"verb": {"id": "no iri"}}
        carrier.put(wrong["id"], xapi.encoded(wrong))
        right = names.ended(kept())
        carrier.put(right["id"], xapi.encoded(right))
        until(lambda: right["id"] in there.statements, "the right one did not arrive")
        carrier.close()
        assert list(there.statements) == [right["id"]]
        assert ["never will" in notice for notice in carrier.take_notices()] == [True]
        outbox = Outbox(queue, "lrs")
        assert "the verb's id is an IRI" in outbox.reasons()[0]
        outbox.close()


def test_a_wrong_key_loses_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    queue = tmp_path / "outbox.db"
    with strict_store(free_port()) as there:
        settings = lrs(there.server.server_port, "wrong")
        carrier = courier(queue, settings)
        carrier.put("1", "{}")
        notices: list[str] = []
        until(lambda: bool(notices.extend(carrier.take_notices()) or notices), "nobody complained")
        assert "Check its user and password" in notices[0]
        assert carrier.close() == 1
        assert there.arrivals == []


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from sending import SESSION, watch
from test_outgoing import courier, lrs, outbox_module
outbox_module.LOAN_S = 2.0  # a killed program gives nothing back
from mien.store.outgoing import XapiSink
watch(XapiSink(SESSION, lrs(int(sys.argv[2])), Path(sys.argv[1]), courier(Path(sys.argv[1]), lrs(int(sys.argv[2])))))
print("watched", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
def test_what_waits_survives_a_kill_and_is_sent_by_the_next_program(tmp_path: Path) -> None:
    queue, port = tmp_path / "outbox.db", free_port()
    command = [sys.executable, "-c", KILLED, str(queue), str(port), str(Path(__file__).parent)]
    run = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "watched\n"
    run.send_signal(signal.SIGKILL)
    run.communicate()
    with strict_store(port) as there:
        carriers = [courier(queue, lrs(port)) for _ in range(3)]  # several programs share the queue
        until(lambda: count(queue) == 0, "statements still wait")
        for carrier in carriers:
            carrier.close()
        assert sorted(there.arrivals) == sorted(there.statements)
        assert len(there.statements) == 7
        assert there.faults == []


def test_a_message_is_lent_to_one_program_at_a_time(tmp_path: Path) -> None:
    now = [1000.0]
    first, second = (Outbox(tmp_path / "outbox.db", "x", lambda: now[0]) for _ in range(2))
    for k in range(5):
        first.put(str(k), f"body {k}")
        now[0] += 1
    first.put("0", "another body")  # known already
    taken = first.take(2) + second.take(10)
    assert [(message.message_id, message.body) for message in taken] == [(str(k), f"body {k}") for k in range(5)]
    assert second.take() == []
    first.sent(taken[0])
    first.refused(taken[1], "no")
    first.postpone(taken[2], 30.0, "busy")
    now[0] += 31
    assert [(message.message_id, message.attempts) for message in second.take()] == [("2", 1)]
    now[0] += outbox_module.LOAN_S
    assert {message.message_id for message in second.take()} == {"2", "3", "4"}  # whoever took them is gone
    assert [first.count(state) for state in ("waiting", "sent", "refused")] == [3, 1, 1]
    assert count(tmp_path / "outbox.db", destination="y") == 0
    first.close()
    second.close()


def test_a_full_queue_turns_the_sink_off_and_keeps_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_WAITING", 3)
    queue = tmp_path / "outbox.db"
    running = watch(XapiSink(SESSION, lrs(free_port()), queue, courier(queue, lrs(free_port()))))
    notices = running.take_notices()
    assert any("learning record store: nothing is saved any more" in notice and "3 messages wait" in notice for notice in notices)
    assert count(queue) == 3
    running.finish("ended")


def test_a_queue_that_is_none_and_a_disk_that_refuses_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello " * 1000)
    with pytest.raises(DataError, match="is not a queue of messages"):
        Outbox(tmp_path / "text", "x")
    with pytest.raises(DeviceError, match="cannot make the folder"):
        Outbox(tmp_path / "text" / "below" / "outbox.db", "x")


def test_waits_double_up_to_a_limit_and_are_uneven(tmp_path: Path) -> None:
    carrier = Courier(Outbox(tmp_path / "outbox.db", "x"), lambda message: Outcome(Fate.TAKEN), "x", 1.0, 300.0)
    for failures, longest in ((0, 1.0), (1, 2.0), (5, 32.0), (9, 300.0), (1000, 300.0)):
        waits = {carrier._wait_s(failures) for _ in range(50)}
        assert longest / 2 <= min(waits) < max(waits) <= longest
    carrier.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://lrs.school.example/xAPI", "must be https://"),
        ("ftp://lrs.school.example", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("https://user:geheim@lrs.school.example", "give these in their own settings"),
        ("https://[::1", "no URL"),
        ("https://", "must begin with https://"),
    ],
)
def test_only_urls_that_others_cannot_read_along_with_are_taken(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        check_url(url, "the store")
    assert "geheim" not in str(caught.value)


def test_nothing_is_sent_unless_a_server_is_named(monkeypatch: pytest.MonkeyPatch, no_home: Path) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", never)
    assert outgoing_sinks(SESSION, {}) == []
    assert list(no_home.rglob("outbox*")) == []


def test_settings_come_from_the_environment_and_say_what_is_wrong(no_home: Path) -> None:
    port = free_port()
    named = {
        "MIEN_LRS": f"http://localhost:{port}/xAPI",
        "MIEN_LRS_USER": "u",
        "MIEN_LRS_PASSWORD": "geheim",
        "MIEN_LRS_PERIOD": "120",
    }
    settings = LrsSettings.from_environment(named)
    assert settings is not None
    assert (settings.user, settings.password, settings.period_s) == ("u", "geheim", 120.0)
    assert "geheim" not in repr(settings)
    assert SECRET not in repr(WebhookSettings("https://h.example", SECRET))
    for change, said in (
        ({"MIEN_LRS_PERIOD": "often"}, "must be a number of seconds"),
        ({"MIEN_LRS_PERIOD": "5"}, "must be 60 s or more"),
        ({"MIEN_LRS_PERIOD": "nan"}, "must be 60 s or more"),
        ({"MIEN_WEBHOOK": "https://h.example"}, "at least 24 random bytes"),
        ({"MIEN_WEBHOOK": "https://h.example", "MIEN_WEBHOOK_SECRET": "whsec_c2hvcnQ="}, "at least 24 random bytes"),
    ):
        with pytest.raises(UsageError, match=said):
            outgoing_sinks(SESSION, named | change)
    both = outgoing_sinks(SESSION, named | {"MIEN_WEBHOOK": "https://h.example", "MIEN_WEBHOOK_SECRET": SECRET})
    assert [sink.name for sink in both] == ["learning record store", "webhook"]
    assert (no_home / ".local/share/mien/outbox.db").is_file()
    for sink in both:
        sink.abandon()

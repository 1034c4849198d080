"""Outgoing messages: exactly once, in order, without private data."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from kept_sessions import kept
from lrs_servers import PASSWORD, USER, Ralph, StrictStore, assert_valid, free_port, strict_store
from sending import SECRET, SESSION, count, until, watch

from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError, UsageError
from mien.messaging import outbox as outbox_module
from mien.messaging import xapi
from mien.messaging.delivery import DeliveryStatus, DeliveryWorker, Outcome
from mien.messaging.http import check_url
from mien.messaging.lrs import LrsSettings, StatementSender
from mien.messaging.outbox import Message, Outbox
from mien.messaging.sinks import XapiSink, outgoing_sinks, server_of
from mien.messaging.webhook import WebhookSettings
from mien.messaging.xapi import XapiSession


def lrs(port: int, password: str = PASSWORD) -> LrsSettings:
    return LrsSettings(f"http://127.0.0.1:{port}/xAPI", USER, password, 60.0)


def worker(queue: Path, settings: LrsSettings) -> DeliveryWorker:
    return DeliveryWorker(Outbox(queue, "lrs"), StatementSender(settings), "learning record store", 0.05, 0.3)


def check_statements(statements: list[dict[str, Any]]) -> None:
    """Check that a session of 200 seconds arrived completely, once, and with correct totals."""
    for statement in statements:
        assert_valid({name: value for name, value in statement.items() if name not in ("stored", "authority")})
    assert len({statement["id"] for statement in statements}) == len(statements)
    by_time = sorted(statements, key=lambda statement: (statement["timestamp"], statement["verb"]["id"].endswith("terminated")))
    verbs = [statement["verb"]["id"].rsplit("/", 1)[1] for statement in by_time]
    assert sorted(verbs) == sorted(["initialized", *["showed"] * 4, *["was-offered"] * 3, "terminated"])
    assert (verbs[0], verbs[-1]) == ("initialized", "terminated")
    showed = [statement["result"] for statement in by_time if statement["verb"]["id"] == xapi.VERBS["showed"][0]]
    assert [result["duration"] for result in showed] == ["PT60S", "PT60S", "PT60S", "PT21S"]
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
    """The port of a stopped store, and a function that starts it."""
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


def test_statements_queued_while_the_store_is_down_arrive_once(store: tuple[int, Callable[[], Any]], tmp_path: Path) -> None:
    port, start = store
    queue = tmp_path / "outbox.db"
    sink = XapiSink(SESSION, lrs(port), queue, worker(queue, lrs(port)))
    running = watch(sink)
    until(lambda: bool(running.take_notices()), "no notice that the store is down")
    assert count(queue) == 7  # start, three periods, three interventions
    there = start()
    running.finish("ended")
    until(lambda: len(there.stored()) == 9, "statements did not arrive")
    assert not running.failures
    until(lambda: count(queue, "sent") == 9, "statements were not marked as sent")
    check_statements(there.stored())


def test_statements_arrive_once_when_the_store_restarts(store: tuple[int, Callable[[], Any]], tmp_path: Path) -> None:
    port, start = store
    queue = tmp_path / "outbox.db"
    there = start()
    sink = XapiSink(SESSION, lrs(port), queue, worker(queue, lrs(port)))
    until(lambda: len(there.stored()) == 1, "the first statement did not arrive")
    before = there.stored()
    there.close()
    running = watch(sink)
    until(lambda: bool(running.take_notices()), "no notice that the store is down")
    again = start()
    running.finish("interrupted")
    until(lambda: count(queue) == 0, "statements are still queued")
    stored = again.stored()
    check_statements(stored if len(stored) == 9 else before + stored)


def test_lost_responses_and_a_busy_store_cause_no_duplicates(tmp_path: Path) -> None:
    queue = tmp_path / "outbox.db"
    with strict_store(free_port()) as there:
        there.cut_after_storing, there.failing = 3, 2
        settings = lrs(there.server.server_port)
        watch(XapiSink(SESSION, settings, queue, worker(queue, settings))).finish("ended")
        until(lambda: count(queue) == 0, "statements are still queued")
        assert len(there.arrivals) == 9 + 3  # three were sent twice and recognised
        assert there.faults == []
        check_statements(there.stored())


def test_a_rejected_statement_does_not_block_others(tmp_path: Path) -> None:
    queue = tmp_path / "outbox.db"
    with strict_store(free_port()) as there:
        delivery = worker(queue, lrs(there.server.server_port))
        names = XapiSession.new(SESSION)
        wrong = names.initialized() | {"verb": {"id": "no iri"}}
        delivery.put(wrong["id"], xapi.encoded(wrong))
        right = names.terminated(kept())
        delivery.put(right["id"], xapi.encoded(right))
        until(lambda: right["id"] in there.statements, "the valid one did not arrive")
        delivery.close()
        assert list(there.statements) == [right["id"]]
        assert len(delivery.take_notices()) == 1
        outbox = Outbox(queue, "lrs")
        assert "the verb's id is an IRI" in outbox.reasons()[0]
        outbox.close()


def test_wrong_credentials_lose_no_message_and_are_reported(tmp_path: Path) -> None:
    queue = tmp_path / "outbox.db"
    with strict_store(free_port()) as there:
        settings = lrs(there.server.server_port, "wrong")
        delivery = worker(queue, settings)
        delivery.put("1", "{}")
        notices: list[str] = []
        until(lambda: bool(notices.extend(delivery.take_notices()) or notices), "no notice")
        assert "HTTP 401" in notices[0]
        assert delivery.close() == 1
        assert there.arrivals == []


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from sending import SESSION, watch
from test_outgoing import worker, lrs, outbox_module
outbox_module.LEASE_S = 2.0  # a killed process releases no lease
from mien.messaging.sinks import XapiSink
watch(XapiSink(SESSION, lrs(int(sys.argv[2])), Path(sys.argv[1]), worker(Path(sys.argv[1]), lrs(int(sys.argv[2])))))
print("watched", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
def test_queued_messages_survive_a_kill_and_are_sent_by_the_next_process(tmp_path: Path) -> None:
    queue, port = tmp_path / "outbox.db", free_port()
    command = [sys.executable, "-c", KILLED, str(queue), str(port), str(Path(__file__).parent)]
    run = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "watched\n"
    run.send_signal(signal.SIGKILL)
    run.communicate()
    with strict_store(port) as there:
        deliveries = [worker(queue, lrs(port)) for _ in range(3)]  # several processes share the queue
        until(lambda: count(queue) == 0, "statements are still queued")
        for delivery in deliveries:
            delivery.close()
        assert sorted(there.arrivals) == sorted(there.statements)
        assert len(there.statements) == 7
        assert there.faults == []


def test_a_message_is_leased_to_one_process_at_a_time(tmp_path: Path) -> None:
    now = [1000.0]
    first, second = (Outbox(tmp_path / "outbox.db", "x", lambda: now[0]) for _ in range(2))
    for k in range(5):
        first.put(str(k), f"body {k}")
        now[0] += 1
    first.put("0", "another body")  # known id
    taken = first.take(2) + second.take(10)
    assert [(message.message_id, message.body) for message in taken] == [(str(k), f"body {k}") for k in range(5)]
    assert second.take(5) == []
    first.sent(taken[0])
    first.refused(taken[1], "no")
    first.postpone(taken[2], 30.0, "busy")
    now[0] += 31
    assert [(message.message_id, message.attempts) for message in second.take(5)] == [("2", 1)]
    now[0] += outbox_module.LEASE_S
    assert {message.message_id for message in second.take(5)} == {"2", "3", "4"}  # leases have expired
    assert [first.count(state) for state in ("waiting", "sent", "refused")] == [3, 1, 1]
    assert count(tmp_path / "outbox.db", destination="y") == 0
    first.close()
    second.close()


def test_a_message_that_another_process_deletes_is_not_sent(tmp_path: Path) -> None:
    queue, sent = tmp_path / "outbox.db", []
    with closing(Outbox(queue, "x", session="s1")) as first:
        for k in range(3):
            first.put(str(k), "{}")

    def deliver(message: Message) -> Outcome:
        sent.append(message.message_id)
        with closing(Outbox(queue, "")) as eraser:
            eraser.drop_sessions(["s1"])
        return Outcome(DeliveryStatus.DELIVERED)

    delivery = DeliveryWorker(Outbox(queue, "x", session="s2"), deliver, "x")
    until(lambda: bool(sent) and count(queue) == 0, "messages are still queued")
    assert delivery.close() == 0
    assert sent == ["0"]


def test_a_message_that_the_server_fails_on_is_reported_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", "x")
    attempts: list[Message] = []

    def deliver(message: Message) -> Outcome:
        attempts.append(message)
        return Outcome(DeliveryStatus.RETRY, "HTTP 500 Internal Server Error")

    delivery = DeliveryWorker(outbox, deliver, "store", 0.01, 0.01)
    delivery.put("m", "body")
    until(lambda: len(attempts) > 2, "the message was not retried")
    delivery.close(0.0)
    (notice,) = delivery.take_notices()
    assert "HTTP 500 Internal Server Error" in notice
    assert "queued on disk" in notice


@pytest.mark.parametrize("url", ["https://[::1", "https://[x]/", "", "not a URL"])
def test_a_damaged_destination_has_an_unknown_host(url: str) -> None:
    assert server_of(f"lrs {url}") == "learning record store at an unknown host"


def test_a_message_postponed_by_a_wrong_clock_is_due_after_correction(tmp_path: Path) -> None:
    now = [1000.0]
    outbox = Outbox(tmp_path / "outbox.db", "x", lambda: now[0])
    outbox.put("1", "body")
    now[0] += 10 * 365 * 86400
    outbox.postpone(*outbox.take(5), 300.0, "busy")
    assert outbox.take(5) == []
    now[0] = 1010.0
    assert [message.message_id for message in outbox.take(5)] == ["1"]
    outbox.close()


def test_a_full_queue_turns_the_sink_off_and_keeps_its_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_WAITING", 3)
    queue = tmp_path / "outbox.db"
    running = watch(XapiSink(SESSION, lrs(free_port()), queue, worker(queue, lrs(free_port()))))
    notices = running.take_notices()
    assert any("learning record store" in notice and "3" in notice for notice in notices)
    assert count(queue) == 3
    running.finish("ended")


def test_an_invalid_queue_file_or_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello " * 1000)
    with pytest.raises(DataError, match="text"):
        Outbox(tmp_path / "text", "x")
    with pytest.raises(DeviceError, match="text"):
        Outbox(tmp_path / "text" / "below" / "outbox.db", "x")


def test_backoff_is_exponential_with_jitter_and_a_limit(tmp_path: Path) -> None:
    delivery = DeliveryWorker(
        Outbox(tmp_path / "outbox.db", "x"), lambda message: Outcome(DeliveryStatus.DELIVERED), "x", 1.0, 300.0
    )
    for failures, longest in ((0, 1.0), (1, 2.0), (5, 32.0), (9, 300.0), (1000, 300.0)):
        waits = {delivery._backoff_s(failures) for _ in range(50)}
        assert longest / 2 <= min(waits) < max(waits) <= longest
    delivery.close()


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://lrs.school.example/xAPI", "lrs.school.example"),
        ("ftp://lrs.school.example", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://user:geheim@lrs.school.example", "the store"),
        ("https://[::1", "the store"),
        ("https://", "https://"),
        ("https://lrs.school.example/xAPI#a", "fragment"),
        ("https://lrs.school.example/xAPI#", "fragment"),
    ],
)
def test_only_encrypted_or_local_urls_are_accepted(url: str, named: str) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        check_url(url, "the store")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("end", ["?tenant=1", "?"])
def test_a_record_store_has_no_query(end: str) -> None:
    with pytest.raises(UsageError, match="query"):
        LrsSettings(f"https://lrs.school.example/xAPI{end}")


@pytest.mark.parametrize("end", ["/statements", "/statements/", "/Statements"])
def test_a_record_store_is_named_without_statements(end: str) -> None:
    with pytest.raises(UsageError, match="ends in /statements"):
        LrsSettings(f"https://lrs.school.example/xAPI{end}")
    LrsSettings("https://statements.school.example/xAPI/")


def test_nothing_is_sent_unless_a_server_is_configured(monkeypatch: pytest.MonkeyPatch, no_home: Path) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", never)
    assert list(outgoing_sinks(SESSION, {})) == []
    assert list(no_home.rglob("outbox*")) == []


def test_settings_come_from_the_environment_and_are_validated(no_home: Path) -> None:
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
    for change, named_value in (
        ({"MIEN_LRS_PERIOD": "often"}, "'often'"),
        ({"MIEN_LRS_PERIOD": "5"}, "5 s"),
        ({"MIEN_LRS_PERIOD": "nan"}, "nan s"),
        ({"MIEN_WEBHOOK": "https://h.example"}, "MIEN_WEBHOOK_SECRET"),
        ({"MIEN_WEBHOOK": "https://h.example", "MIEN_WEBHOOK_SECRET": "whsec_c2hvcnQ="}, "MIEN_WEBHOOK_SECRET"),
    ):
        with pytest.raises(UsageError, match=named_value):
            list(outgoing_sinks(SESSION, named | change))
    both = list(outgoing_sinks(SESSION, named | {"MIEN_WEBHOOK": "https://h.example", "MIEN_WEBHOOK_SECRET": SECRET}))
    assert [sink.name for sink in both] == ["learning record store", "webhook"]
    assert (no_home / ".local/share/mien/outbox.db").is_file()
    for sink in both:
        sink.abandon()


def test_a_reader_that_keeps_dropped_messages_is_reported_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.messaging.outbox._BUSY_S", 0.1)
    with closing(Outbox(tmp_path / "queue.db", "lrs", session="s1")) as outbox:
        outbox.put("m1", "a secret body")
        with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM messages").fetchone()
            for _ in range(2):  # also when the rows are gone
                with pytest.raises(DeviceError, match=r"another program reads .*queue\.db"):
                    outbox.drop_sessions(["s1"])
        assert outbox.drop_sessions(["s1"]) == 0
        assert b"a secret body" not in b"".join(path.read_bytes() for path in tmp_path.glob("queue.db*"))


def test_drop_keeps_the_ids_of_sent_messages(tmp_path: Path) -> None:
    """A known id prevents a message from being sent twice."""
    outbox = Outbox(tmp_path / "outbox.db", "lrs")
    for name in ("gone", "waits", "never", "others"):
        outbox.put(name, f"the body of {name}")
    messages = {message.message_id: message for message in outbox.take(5)}
    outbox.sent(messages["gone"])
    outbox.refused(messages["never"], "400 Bad Request")
    assert outbox.drop(["gone", "waits", "never"]) == 2
    assert {state: outbox.count(state) for state in ("waiting", "sent", "refused")} == {"waiting": 1, "sent": 1, "refused": 0}
    outbox.put("gone", "a second time")
    assert (outbox.count("waiting"), outbox.count("sent")) == (1, 1)
    outbox.close()
    remaining = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"the body of waits" not in remaining

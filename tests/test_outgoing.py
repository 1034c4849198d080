"""What leaves the machine when a server is named: exactly once, in order, signed, and nothing private."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from factories import reading, released
from kept_sessions import START, kept, seconds
from lrs_servers import PASSWORD, USER, Ralph, StrictStore, assert_valid, faults, free_port, strict_store

from mien.emotions import EMOTIONS
from mien.errors import DataError, DeviceError, UsageError
from mien.records import FaceReading, HeadPose
from mien.store import outbox as outbox_module
from mien.store import xapi
from mien.store.courier import Courier, Fate, Outcome
from mien.store.http import check_url, send
from mien.store.keeper import SessionKeeper
from mien.store.lrs import LrsSettings, StatementSender
from mien.store.outbox import Message, Outbox
from mien.store.outgoing import WebhookSink, XapiSink, difference, outgoing_sinks
from mien.store.session_records import EventRecord, IntervalRecord, KeptSession, SessionRecord
from mien.store.webhook import WebhookSender, WebhookSettings, sign
from mien.store.xapi import XapiSession, duration, sums

SESSION = SessionRecord(
    "2026-03-04_09-30-00-k3f9", START, source="camera in room 4", model="mien-s", version="0.4", folder="/home/ada"
)
SECRET = "whsec_" + base64.b64encode(b"known to both sides, never sent").decode()


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def count(queue: Path, state: str = "waiting", destination: str = "lrs") -> int:
    outbox = Outbox(queue, destination)
    found = outbox.count(state)
    outbox.close()
    return found


def lrs(port: int, password: str = PASSWORD) -> LrsSettings:
    return LrsSettings(f"http://127.0.0.1:{port}/xAPI", USER, password, 60.0)


def courier(queue: Path, settings: LrsSettings) -> Courier:
    return Courier(Outbox(queue, "lrs"), StatementSender(settings), "learning record store", 0.05, 0.3)


def face(second: int) -> FaceReading:
    shown = reading("happy" if second % 4 else "sad", 0.8, (1.0, 1.0, 9.0, 9.0))
    return replace(shown, pose=HeadPose(0.0 if second % 10 else 50.0, 0.0, 0.0))


def watch(sink: XapiSink | WebhookSink, length_s: int = 200) -> SessionKeeper:
    """Run a session of one frame a second with an intervention each minute."""
    running = SessionKeeper(SESSION, [sink], clock=partial(next, itertools.count()))
    for second in range(length_s + 1):
        running.update(released(second, float(second), [face(second)], 1.0))
        if second % 60 == 30:
            running.add(
                EventRecord(
                    float(second), "intervention", "k3f9", {"rule": "away for long", "message": "Ada, a break?", "pixels": [1, 2]}
                )
            )
            running.add(EventRecord(float(second), "note", "k3f9", {"private": "only here"}))
    return running


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
from test_outgoing import SESSION, courier, lrs, outbox_module, watch
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


def test_every_word_of_the_statements_is_defined_in_the_profile() -> None:
    profile = json.loads((REPOSITORY / "docs" / "xapi" / "mien.jsonld").read_text())
    names = XapiSession.new(SESSION)
    whole = replace(kept(), intervals=(IntervalRecord(0.0, 90.0, seconds(happy=60), facing_s=50, away_s=10),))
    statements = [names.began(), names.ended(whole), names.showed(0, 0.0, whole), names.was_offered(0, kept().events[0], 1.0)]
    defined = {concept["id"]: concept for concept in profile["concepts"]}
    assert (profile["id"], profile["versions"][0]["id"]) == (xapi.BASE, xapi.PROFILE)
    used = {statement["verb"]["id"] for statement in statements} | {s["object"]["definition"]["type"] for s in statements}
    used |= {iri for statement in statements for iri in statement.get("result", {}).get("extensions", {})}
    assert {iri for iri in used if iri.startswith(xapi.BASE)} == set(defined)
    for concept in profile["concepts"]:
        assert concept["inScheme"] == xapi.PROFILE
        assert {"id", "type", "prefLabel", "definition"} <= set(concept)
    for iri, value in statements[2]["result"]["extensions"].items():
        schema = json.loads(defined[iri]["inlineSchema"])
        if schema["type"] == "object":
            assert set(value) == set(schema["required"]) == set(EMOTIONS)
        else:
            assert 0 <= value <= schema.get("maximum", float("inf"))
    templates = {(template["verb"], template["objectActivityType"]) for template in profile["templates"]}
    assert templates == {(statement["verb"]["id"], statement["object"]["definition"]["type"]) for statement in statements}


def test_statements_keep_the_rules_and_their_ids() -> None:
    names = XapiSession.new(SESSION)
    for make in (names.began, lambda: names.ended(kept()), lambda: names.was_offered(2, kept().events[0], 3.25)):
        assert_valid(make())
        assert make()["id"] == make()["id"]
    assert names.was_offered(2, kept().events[0], 3.25)["timestamp"] == "2026-03-04T09:30:03.250+00:00"
    assert XapiSession.new(SESSION).account != names.account
    broken = names.began()
    for change in ({"actor": {"account": {"name": "x"}}}, {"timestamp": "now"}, {"result": None}, {"extra": 1}, {"id": "7"}):
        assert faults(broken | change)  # the store of the tests is not blind


def test_little_face_time_says_nothing_of_expressions() -> None:
    short = KeptSession(SESSION, intervals=(IntervalRecord(0.0, 60.0, seconds(sad=9.0)),))
    assert set(sums(short)) == {f"{xapi.EXTENSIONS}/face-seconds"}
    assert duration(59.999) == "PT60S"


def test_a_difference_is_what_was_added() -> None:
    early = KeptSession(
        replace(SESSION, duration_s=60.0, readings=60, uncertain=6),
        intervals=(IntervalRecord(0.0, 60.0, seconds(happy=40), 1, 2, 3, 4),),
    )
    late = KeptSession(
        replace(SESSION, duration_s=120.0, readings=110, uncertain=8),
        intervals=(
            IntervalRecord(0.0, 60.0, seconds(happy=40), 1, 2, 3, 4),
            IntervalRecord(60.0, 120.0, seconds(sad=50), 5, 6, 7, 8),
        ),
    )
    part = difference(late, early)
    assert part.intervals == (IntervalRecord(60.0, 120.0, seconds(sad=50), 5, 6, 7, 8),)
    assert (part.session.duration_s, part.session.readings, part.session.uncertain) == (60.0, 50, 2)


class Receiver:
    """A server of the user's own that checks signatures as the specification says, and may be busy."""

    def __init__(self, failing: int = 0, status: int = 503) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.attempts: list[tuple[str, str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                nonlocal failing
                body = self.rfile.read(int(self.headers["Content-Length"]))
                name, sent_s, signature = (self.headers[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
                receiver.attempts.append((name, sent_s, signature))
                key = base64.b64decode(SECRET.removeprefix("whsec_"))
                signed = f"{name}.{sent_s}.".encode() + body
                wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
                good = hmac.compare_digest(wanted, signature) and abs(time.time() - int(sent_s)) < 300
                if failing:
                    failing -= 1
                    self.send_response(status)
                else:
                    self.send_response(204 if good else 401)
                    if good:
                        receiver.taken.append((name, json.loads(body)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def hook(queue: Path, url: str, clock: Callable[[], float] = time.time) -> WebhookSink:
    settings = WebhookSettings(url, SECRET)
    return WebhookSink(
        SESSION, settings, queue, Courier(Outbox(queue, "hook"), WebhookSender(settings, clock), "webhook", 0.05, 0.2)
    )


@pytest.mark.parametrize("status", [500, 503, 429])
def test_the_webhook_tells_each_intervention_once_and_signs_each_attempt(status: int, tmp_path: Path) -> None:
    ticking = iter(range(int(time.time()), int(time.time()) + 200))
    with Receiver(failing=4, status=status) as receiver:
        running = watch(hook(tmp_path / "outbox.db", receiver.url, lambda: next(ticking)))
        running.finish("ended")
        until(lambda: len(receiver.taken) == 3, "messages did not arrive")
        assert running.failures == ()
    assert len({name for name, _ in receiver.taken}) == 3
    assert len(receiver.attempts) == 3 + 4
    assert len({signature for _, _, signature in receiver.attempts}) == 7  # the time is signed, so no two are alike
    assert {name for name, _, _ in receiver.attempts} == {name for name, _ in receiver.taken}
    document = next(document for _, document in receiver.taken if document["data"]["t_s"] == 90.0)
    assert document == {
        "type": "mien.intervention",
        "timestamp": "2026-03-04T09:31:30.000+00:00",
        "data": {"session": SESSION.session_id, "t_s": 90.0, "face": "k3f9", "rule": "away for long", "message": "Ada, a break?"},
    }


def test_a_server_that_wants_no_more_is_left_alone(tmp_path: Path) -> None:
    with Receiver(failing=99, status=410) as receiver:
        sink = hook(tmp_path / "outbox.db", receiver.url)
        sink.add(EventRecord(1.0, "intervention"))
        until(lambda: count(tmp_path / "outbox.db", "refused", "hook") == 1, "it was asked again and again")
        sink.abandon()
    assert len(receiver.attempts) == 1


def test_a_redirect_is_not_followed() -> None:
    elsewhere: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            elsewhere.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/here"
    answer = send("POST", url, {}, b"secret")
    outcome = WebhookSender(WebhookSettings(url, SECRET))(Message("m", "{}", 0.0))
    server.shutdown()
    server.server_close()
    thread.join()
    assert answer.status == 302
    assert (outcome.fate, elsewhere) == (Fate.CLOSED, ["/here", "/here"])


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


def test_the_signature_is_the_specifications_own_example() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

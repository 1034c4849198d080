"""The webhook: once, signed, without redirects."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sending import SECRET, SESSION, count, until, watch

from mien.messaging.delivery import DeliveryStatus, DeliveryWorker
from mien.messaging.http import send
from mien.messaging.outbox import Message, Outbox
from mien.messaging.sinks import WebhookSink
from mien.messaging.webhook import WebhookSender, WebhookSettings, sign
from mien.sessions.records import EventRecord


class Receiver:
    """A webhook receiver that verifies signatures by the specification, and may be busy."""

    def __init__(self, failing: int = 0, status: int = 503) -> None:
        self.received: list[tuple[str, dict[str, Any]]] = []
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
                expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
                good = hmac.compare_digest(expected, signature) and abs(time.time() - int(sent_s)) < 300
                if failing:
                    failing -= 1
                    self.send_response(status)
                else:
                    self.send_response(204 if good else 401)
                    if good:
                        receiver.received.append((name, json.loads(body)))
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
        SESSION, settings, queue, DeliveryWorker(Outbox(queue, "hook"), WebhookSender(settings, clock), "webhook", 0.05, 0.2)
    )


@pytest.mark.parametrize("status", [500, 503, 429])
def test_the_webhook_sends_each_intervention_once_and_signs_each_attempt(status: int, tmp_path: Path) -> None:
    ticking = iter(range(int(time.time()), int(time.time()) + 200))
    with Receiver(failing=4, status=status) as receiver:
        running = watch(hook(tmp_path / "outbox.db", receiver.url, lambda: next(ticking)))
        running.finish("ended")
        until(lambda: len(receiver.received) == 3, "messages did not arrive")
        assert not running.failures
    assert len({name for name, _ in receiver.received}) == 3
    assert len(receiver.attempts) == 3 + 4
    assert len({signature for _, _, signature in receiver.attempts}) == 7  # timestamps are signed, so all differ
    assert {name for name, _, _ in receiver.attempts} == {name for name, _ in receiver.received}
    document = next(document for _, document in receiver.received if document["data"]["t_s"] == 90.0)
    assert document == {
        "type": "mien.intervention",
        "timestamp": "2026-03-04T09:31:30.000+00:00",
        "data": {"session": SESSION.session_id, "t_s": 90.0, "face": "k3f9", "rule": "away for long", "message": "Ada, a break?"},
    }


def test_a_server_that_responds_gone_is_not_retried(tmp_path: Path) -> None:
    with Receiver(failing=99, status=410) as receiver:
        sink = hook(tmp_path / "outbox.db", receiver.url)
        sink.add(EventRecord(1.0, "intervention"))
        until(lambda: count(tmp_path / "outbox.db", "refused", "hook") == 1, "the message was retried")
        sink.abandon()
    assert len(receiver.attempts) == 1


def test_a_redirect_is_not_followed() -> None:
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
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
    response = send("POST", url, {}, b"secret")
    outcome = WebhookSender(WebhookSettings(url, SECRET))(Message("m", "{}", 0.0))
    server.shutdown()
    server.server_close()
    thread.join()
    assert response.status == 302
    assert (outcome.status, paths) == (DeliveryStatus.UNAVAILABLE, ["/here", "/here"])


def test_the_signature_equals_the_example_of_the_specification() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

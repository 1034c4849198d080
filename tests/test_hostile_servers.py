"""Invalid and hostile responses: delivery continues, sessions end in time, nothing undelivered counts as delivered."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from raw_servers import RawServer, answer, raw_server, reset, saying
from sending import SECRET, SESSION, count, until, watch

from mien.messaging.delivery import DeliveryStatus, DeliveryWorker
from mien.messaging.http import MAX_RETRY_AFTER_S, send
from mien.messaging.lrs import LrsSettings, StatementSender
from mien.messaging.outbox import Message, Outbox
from mien.messaging.sinks import XapiSink
from mien.messaging.webhook import WebhookSender, WebhookSettings
from mien.version import VERSION

MESSAGE = Message("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "{}", 0.0)
TAKEN = answer("204 No Content")
BUSY = "503 Service Unavailable"
BROKEN = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "empty": b"",
    "no status": b"HTTP/1.1 \xc2\xb2\xc2\xb2\xc2\xb2 OK\r\n\r\n",
    "unknown status": answer("999 What"),
    "early hints only": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    "invalid chunks": b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
    "truncated chunks": b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc",
    "truncated body": b"HTTP/1.1 500 Oops\r\nContent-Length: 1000\r\n\r\nabc",
    "negative length": b"HTTP/1.1 500 Oops\r\nContent-Length: -5\r\n\r\nabc",
    "invalid length": "HTTP/1.1 500 Oops\r\nContent-Length: ²\r\n\r\nabc".encode("latin-1"),
    "many headers": b"HTTP/1.1 500 Oops\r\n" + b"".join(b"X-%d: y\r\n" % k for k in range(500)) + b"\r\n",
    "a long header": b"HTTP/1.1 500 Oops\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    "invalid redirect": answer("302 Found", b"", "Location: gopher://[::1/\x00"),
    "invalid compression": answer("500 Oops", b"\x1f\x8b\xff\xfe", "Content-Encoding: gzip"),
}


def sender(server: RawServer, path: str = "/xAPI") -> StatementSender:
    return StatementSender(LrsSettings(server.url + path, "mien", "geheim", 60.0))


def worker(queue: Path, server: RawServer, path: str = "/xAPI") -> DeliveryWorker:
    return DeliveryWorker(Outbox(queue, "lrs"), sender(server, path), "learning record store", 0.05, 0.1)


@pytest.mark.parametrize("kind", BROKEN)
def test_an_invalid_response_is_no_delivery_and_is_retried(kind: str, tmp_path: Path) -> None:
    with raw_server(saying(BROKEN[kind], TAKEN)) as server:
        delivery = worker(tmp_path / "outbox.db", server)
        delivery.put("1", "{}")
        if kind == "invalid redirect":  # retried after a minute
            until(lambda: bool(delivery.take_notices()), "no notice")
        else:
            until(lambda: count(tmp_path / "outbox.db", "sent") == 1, "it was not retried")
        assert delivery._thread.is_alive()
        delivery.close()


def test_a_connection_reset_during_an_error_is_retried(tmp_path: Path) -> None:
    def talk(connection: socket.socket, _: bytes, number: int) -> None:
        if number:
            connection.sendall(TAKEN)
            return
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\nabc")
        time.sleep(0.2)  # until the headers were read
        reset(connection)

    with raw_server(talk) as server:
        delivery = worker(tmp_path / "outbox.db", server)
        delivery.put("1", "{}")
        until(lambda: count(tmp_path / "outbox.db", "sent") == 1, "it was not retried")
        delivery.close()


@pytest.mark.parametrize(
    ("header", "least_s", "most_s"),
    [
        ("30", 30, 30),
        ("²", 1, MAX_RETRY_AFTER_S),
        ("1" + "0" * 18, MAX_RETRY_AFTER_S, MAX_RETRY_AFTER_S),
        ("9" * 5000, MAX_RETRY_AFTER_S, MAX_RETRY_AFTER_S),
        ("-5", 1, MAX_RETRY_AFTER_S),
        ("nan", 1, MAX_RETRY_AFTER_S),
        ("soon", 1, MAX_RETRY_AFTER_S),
        ("in ten minutes", 300, 610),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_S, MAX_RETRY_AFTER_S),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0),
        ("Fri, 99 Foo 9999 99:99:99 GMT", 1, MAX_RETRY_AFTER_S),
    ],
)
def test_any_retry_after_is_bounded(header: str, least_s: float, most_s: float, tmp_path: Path) -> None:
    if header == "in ten minutes":  # test names must not depend on the time
        header = formatdate(time.time() + 600, usegmt=True)
    with raw_server(saying(answer(BUSY, b"", f"Retry-After: {header}"))) as server:
        assert least_s <= send("PUT", server.url, {}, b"{}").retry_after_s <= most_s
        delivery = worker(tmp_path / "outbox.db", server)
        delivery.put("1", "{}")
        until(lambda: bool(delivery.take_notices()), "no notice")
        delivery.put("2", "{}")
        assert delivery.close() == 2
    assert len(server.requests) == 2 or not most_s


@pytest.mark.parametrize("status", [BUSY, "429 Too Many Requests", "500 Oops", "413 Too Large"])
def test_retry_after_is_respected_at_the_end_of_a_session(status: str, tmp_path: Path) -> None:
    queue = tmp_path / "outbox.db"
    with raw_server(saying(answer(status, b"", "Retry-After: 30"))) as server:
        settings = LrsSettings(server.url, period_s=60.0)
        running = watch(
            XapiSink(SESSION, settings, queue, DeliveryWorker(Outbox(queue, "lrs"), StatementSender(settings), "store"))
        )
        until(lambda: bool(running.take_notices()), "no notice")
        running.finish("ended")
        assert len(server.requests) == 1
    assert count(queue) == 9


def test_a_path_that_is_not_ascii_is_sent_percent_encoded(tmp_path: Path) -> None:
    with raw_server(saying(TAKEN)) as server:
        delivery = worker(tmp_path / "outbox.db", server, "/schüler%2F/x")
        delivery.put("1", "{}")
        until(lambda: count(tmp_path / "outbox.db", "sent") == 1, "it did not arrive")
        delivery.close()
    assert server.requests[0].startswith(b"PUT /sch%C3%BCler%2F/x/statements?statementId=1 HTTP/1.1\r\n")


def slowly(head: bytes, rest: bytes) -> object:
    def talk(connection: socket.socket, _: bytes, __: int) -> None:
        connection.sendall(head)
        for byte in rest:
            connection.sendall(bytes([byte]))
            time.sleep(0.2)

    return talk


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (b"", b"HTTP/1.1 204 No Content\r\n" + b"X: y\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", b"x" * 500),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    ],
)
def test_one_deadline_holds_for_the_whole_request(head: bytes, rest: bytes) -> None:
    with raw_server(slowly(head, rest)) as server:
        started_s = time.monotonic()
        response = send("PUT", server.url, {}, b"{}", timeout_s=1.0)
        assert time.monotonic() - started_s < 8
        assert response.status == 0


def test_a_slow_server_does_not_delay_the_end_of_a_session(tmp_path: Path) -> None:
    with raw_server(slowly(b"HTTP/1.1 204 No Content\r\n", b"X: y\r\n" * 40)) as server:
        running = watch(XapiSink(SESSION, LrsSettings(server.url, period_s=60.0), tmp_path / "outbox.db"))
        until(lambda: bool(server.requests), "nothing was sent")
        started_s = time.monotonic()
        running.finish("ended")
        assert time.monotonic() - started_s < 8
    (notice,) = running.take_notices()
    assert "has not answered yet; " in notice


LOGIN = b"\xef\xbb\xbf <!DOCTYPE HTML><html><head><title>Sign in</title></head></html>"


@pytest.mark.parametrize(
    "response",
    [
        answer("200 OK", LOGIN, "Content-Type: text/html"),
        answer("200 OK", LOGIN),
        answer("200 OK", b"<p>Welcome to our wireless network", "Content-Type: text/html; charset=utf-8"),
        answer("302 Found", b"", "Location: https://login.example.invalid/"),
        answer("511 Network Authentication Required", LOGIN, "Content-Type: text/html"),
        answer("409 Conflict", LOGIN, "Content-Type: text/html"),
        answer("410 Gone", LOGIN, "Content-Type: text/html"),
    ],
)
def test_a_login_page_is_no_delivery(response: bytes) -> None:
    with raw_server(saying(response)) as server:
        statement = sender(server)(MESSAGE)
        event = WebhookSender(WebhookSettings(server.url, SECRET))(MESSAGE)
    for outcome in (statement, event):
        assert outcome.status in (DeliveryStatus.UNAVAILABLE, DeliveryStatus.RETRY)
        assert "Sign in</title>" not in outcome.reason


@pytest.mark.parametrize(
    "response",
    [
        TAKEN,
        answer("200 OK"),
        answer("200 OK", b"", "Content-Type: text/html"),
        answer("200 OK", b"ok", "Content-Type: text/html; charset=utf-8"),
        answer("202 Accepted", b'{"queued": true}', "Content-Type: application/json"),
    ],
)
def test_a_success_status_is_a_delivery(response: bytes) -> None:
    with raw_server(saying(response)) as server:
        assert sender(server)(MESSAGE).status is DeliveryStatus.DELIVERED
        assert WebhookSender(WebhookSettings(server.url, SECRET))(MESSAGE).status is DeliveryStatus.DELIVERED


def test_requests_have_a_user_agent() -> None:
    with raw_server(saying(TAKEN)) as server:
        sender(server)(MESSAGE)
        WebhookSender(WebhookSettings(server.url, SECRET))(MESSAGE)
    assert len(server.requests) == 2
    for request in server.requests:
        assert f"\r\nuser-agent: mien/{VERSION}\r\n".encode() in request.lower()


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
)
def test_redirects_are_not_followed(status: str) -> None:
    with (
        raw_server(saying(TAKEN)) as elsewhere,
        raw_server(saying(answer(status, b"", f"Location: {elsewhere.url}/x"))) as server,
    ):
        assert sender(server)(MESSAGE).status is DeliveryStatus.UNAVAILABLE
        assert WebhookSender(WebhookSettings(server.url, SECRET))(MESSAGE).status is DeliveryStatus.UNAVAILABLE
        assert (len(server.requests), elsewhere.requests) == (2, [])


def test_an_unexpected_exception_postpones_one_message_only(tmp_path: Path) -> None:
    sent = []

    def deliver(message: Message) -> object:
        if message.message_id == "bad":
            raise RuntimeError("a fault")
        sent.append(message.message_id)
        return sender_outcome

    with raw_server(saying(TAKEN)) as server:
        sender_outcome = sender(server)(MESSAGE)
    delivery = DeliveryWorker(Outbox(tmp_path / "outbox.db", "lrs"), deliver, "store", 5.0, 5.0)
    for name in ("bad", "good"):
        delivery.put(name, "{}")
    until(lambda: sent == ["good"], "the other message was not sent")
    assert ["RuntimeError" in notice for notice in delivery.take_notices()] == [True]
    assert delivery.close(0.2) == 1

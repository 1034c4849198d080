"""No password, key or token in what is printed, raised or kept, whatever is wrong and whatever a server repeats."""

from __future__ import annotations

import base64
import json
import socket
import struct
import sys
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from raw_servers import answer, raw_server
from sending import SECRET, until
from test_cli import mien

from mien.cli import main
from mien.errors import DeviceError, MienError, UsageError
from mien.messaging.delivery import DeliveryWorker
from mien.messaging.http import check_url
from mien.messaging.lrs import LrsSettings, StatementSender
from mien.messaging.outbox import Outbox
from mien.messaging.webhook import WebhookSender, WebhookSettings
from mien.recordings.settings import named_recordings
from mien.sessions.database_url import open_database
from mien.settings import LiveSettings
from mien.sources.capture import Stream
from mien.sources.factory import open_source

PASSWORD = 'ge"h&eim/2026'


@pytest.mark.parametrize(
    "url",
    [
        "https://user:geheim@[::1",
        "https://user:geheim@lrs.example.org/xAPI",
        "https://lrs.example.org:geheim/xAPI",
        "https://user:ge@heim@lrs.example.org",
        "user:geheim@lrs.example.org",
        "geheim",
        "ftp://user:geheim@lrs.example.org",
        "http://user:geheim@lrs.example.org",
        "https://:geheim@/xAPI",
        "https://geheim\n.example.org:x",
        "https://" + "geheim" * 20 + ".example.org/",
    ],
)
def test_an_url_that_cannot_be_used_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="the store") as caught:
        check_url(url, "the store")
    assert "geheim" not in str(caught.value)
    assert "heim" not in str(caught.value)


def test_neither_by_the_command_line(tmp_path: Path) -> None:
    for name in ("MIEN_LRS", "MIEN_WEBHOOK"):
        live = ("live", "--source", "demo", "--duration-s", "0.2", "--headless", "--out", "out")
        said = mien(*live, cwd=tmp_path, **{name: "https://user:geheim@[::1", "MIEN_WEBHOOK_SECRET": SECRET})
        assert (said.returncode, said.stderr.count("\n")) == (2, 1)
        assert name in said.stderr
        assert "geheim" not in said.stdout + said.stderr


DATABASES = [
    ("postgresql://mien:Begin@geheim@db.example.invalid/mien", "%40"),
    ("postgresql://mien:geheim", "%40"),
    ("postgresql://mien:a:geheim@db.example.invalid:x/mien", "%40"),
    ("postgresql://u:p@ss:geheim@host/mien", "%40"),
    ("postgresql:///mien?host=u:geheim@db.example.invalid", "%40"),
    ("postgresql://127.0.0.1:9/mien?password=geheim&connect_timeout=2", "cannot use the database"),
    ("postgresql://u@127.0.0.1:9/mien?sslpassword=geheim&connect_timeout=2", "cannot use the database"),
    ("postgresql://u:geheim@127.0.0.1:9/mien?passwrd=geheim&connect_timeout=2", "cannot use the database"),
    ("host=db.example.invalid password=geheim", "KEY=VALUE"),
    ("user:geheim@host://mien", "not a valid URL"),
    ("mysql://user:geheim@host/mien", "of the kind 'mysql'"),
    ("sqlite://user:geheim@host/mien.db", "not a database URL"),
]


@pytest.mark.parametrize(("url", "said"), DATABASES)
def test_a_database_that_cannot_be_used_is_said_without_its_password(
    url: str, said: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--db", url], []):
        monkeypatch.setattr(sys, "argv", ["mien", "sessions", "list", *arguments])
        monkeypatch.setenv("MIEN_DB", url)
        with pytest.raises(SystemExit):
            main()
        out, err = capsys.readouterr()
        assert said in err
        assert err.count("\n") == 1
        assert "geheim" not in out + err
    assert [path for path in here.rglob("*") if "geheim" in path.name or "=" in path.name] == []


def complains(carrier: DeliveryWorker, heard: list[str]) -> bool:
    """Return whether there are new notices; they are put to those that were heard."""
    news = carrier.take_notices()
    heard += news
    return bool(news)


def repeating(status: str) -> Any:
    """Return what repeats everything it was told, as a server that is set up for debugging does, and what follows from it."""

    def talk(connection: socket.socket, request: bytes, _: int) -> None:
        parts = [request.decode("latin-1"), PASSWORD, quote(PASSWORD, safe=""), json.dumps(PASSWORD), SECRET]
        connection.sendall(answer(status, " ".join(parts).encode()))

    return talk


@pytest.mark.parametrize(
    "status", ["400 Bad", "401 Unauthorized", "403 Forbidden", "404 Not Found", "413 Large", "418 Tea", "503 Busy"]
)
def test_what_a_server_repeats_is_not_passed_on(status: str, tmp_path: Path) -> None:
    heard: list[str] = []
    token = base64.b64encode(f"mien:{PASSWORD}".encode()).decode()
    with raw_server(repeating(status)) as server:
        senders = {
            "lrs": StatementSender(LrsSettings(f"{server.url}/xAPI", "mien", PASSWORD, 60.0)),
            "webhook": WebhookSender(WebhookSettings(f"{server.url}/hooks/T0K3N", SECRET)),
        }
        for name, sender in senders.items():
            carrier = DeliveryWorker(Outbox(tmp_path / "outbox.db", name), sender, name, 0.05, 0.1)
            carrier.put("1", "{}")
            until(lambda: bool(server.requests), "nothing was sent")
            if not status.startswith("418"):  # that alone is tried again without a word
                until(partial(complains, carrier, heard), "nobody complained")
            carrier.close(0.1)
            outbox = Outbox(tmp_path / "outbox.db", name)
            heard += outbox.reasons()
            outbox.close()
    text = " ".join(heard) + (tmp_path / "outbox.db").read_bytes().decode("latin-1")
    for secret in (PASSWORD, quote(PASSWORD, safe=""), json.dumps(PASSWORD)[1:-1], token, SECRET, SECRET[6:], "T0K3N", "v1,"):
        assert secret not in text


def test_what_is_wrong_with_a_message_is_still_quoted(tmp_path: Path) -> None:
    with raw_server(lambda connection, _, __: connection.sendall(answer("400 Bad", b"the verb is\n\x1b[2J no IRI"))) as server:
        carrier = DeliveryWorker(
            Outbox(tmp_path / "outbox.db", "lrs"), StatementSender(LrsSettings(server.url, "mien", PASSWORD)), "the store"
        )
        carrier.put("1", "{}")
        heard: list[str] = []
        until(partial(complains, carrier, heard), "nobody complained")
        carrier.close()
    assert heard == ["the store rejected a message permanently: HTTP 400 Bad Request: the verb is \\u001b[2J no IRI"]


@pytest.mark.parametrize("place", ["url", "passfile"])
def test_a_database_server_that_repeats_the_password_is_not_quoted(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def talk(connection: socket.socket, _: bytes, __: int) -> None:
        def packet() -> bytes:
            (length,) = struct.unpack("!I", connection.recv(4, socket.MSG_WAITALL))
            return connection.recv(length - 4, socket.MSG_WAITALL)

        while packet()[:4] != b"\x00\x03\x00\x00":  # until it speaks the protocol, and not of encryption
            connection.sendall(b"N")
        connection.sendall(b"R" + struct.pack("!II", 8, 3))  # the password, please, in plain text
        connection.recv(1)
        said = b"SFATAL\0C28P01\0Mno user has the password " + packet().rstrip(b"\0") + b"\x1b[2J\0\0"
        connection.sendall(b"E" + struct.pack("!I", len(said) + 4) + said)

    (tmp_path / "passwords").write_text(f"*:*:*:*:{PASSWORD}\n")
    (tmp_path / "passwords").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "passwords"))
    named = f":{quote(PASSWORD, safe='')}" if place == "url" else ""
    with raw_server(talk, reads_http=False) as server, pytest.raises(DeviceError) as caught:
        open_database(f"postgresql://mien{named}@127.0.0.1:{server.port}/mien?connect_timeout=5")
    assert PASSWORD not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "OperationalError" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://user:geheim@camera.example/live", "camera.example/live"),
        ("rtsp://user:ge@heim@camera.example/live", "camera.example/live"),
        ("rtsp://user:ge?heim@camera.example/live", "stream (rtsp)"),
        ("rtsp://user:ge#heim@camera.example/live", "stream (rtsp)"),
        ("http://camera.example/live?key=geheim", "http://camera.example/live"),
        ("http://camera.example/live?user=a@b&key=geheim", "stream (http)"),
        ("http://camera.example/live#geheim", "http://camera.example/live"),
    ],
)
def test_a_streams_name_holds_no_secret(url: str, name: str) -> None:
    assert Stream(url).name == name


def test_sources_that_cannot_be_opened_are_said_without_their_passwords(tmp_path: Path) -> None:
    for wrong in (
        lambda: open_source("rtmp://user:geheim@camera.example/live"),
        lambda: open_source("rtsp://user:geheim@127.0.0.1:9/live"),
        lambda: named_recordings([Path("rtsp://user:geheim@camera.example/live")], tmp_path),
    ):
        with pytest.raises(MienError) as caught:
            wrong()
        assert "geheim" not in str(caught.value)


def test_settings_are_shown_without_their_secrets(tmp_path: Path) -> None:
    settings = LiveSettings(
        source="rtsp://user:geheim@camera.example", out=tmp_path, model="mien-s", database="postgresql://u:geheim@h/d"
    )
    assert "geheim" not in repr(settings)
    assert SECRET not in repr(WebhookSettings("https://h.example", SECRET))
    assert "geheim" not in repr(LrsSettings("https://h.example", "u", "geheim"))

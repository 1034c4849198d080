"""Messages to this computer bypass proxies, and databases on other computers are recognised."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from kept_sessions import kept
from raw_servers import RawServer, answer, raw_server, saying
from sending import SECRET
from test_cli import mien

from mien.destinations import open_recorder
from mien.errors import NotPermittedError, UsageError
from mien.messaging.delivery import DeliveryStatus
from mien.messaging.http import check_url, is_loopback, send
from mien.messaging.lrs import LrsSettings, StatementSender
from mien.messaging.outbox import Message
from mien.messaging.webhook import WebhookSender, WebhookSettings
from mien.privacy.oversight import Oversight
from mien.sessions.database_url import database_url, is_on_this_computer

MESSAGE = Message("6ba7b810-9dad-11d1-80b4-00c04fd430c8", '{"private": 1}', 0.0)
VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
TAKEN = answer("204 No Content")


def name_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("no_proxy", "NO_PROXY", *VARIABLES, *map(str.upper, VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    for name in VARIABLES:
        monkeypatch.setenv(name, proxy)


def deliver(url: str) -> list[DeliveryStatus]:
    statement = StatementSender(LrsSettings(f"{url}/xAPI", "mien", "geheim", 60.0))
    return [send_one(MESSAGE).status for send_one in (statement, WebhookSender(WebhookSettings(f"{url}/hook", SECRET)))]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "127.1", "127.0.0.2", "[::ffff:127.0.0.1]"])
def test_messages_to_this_computer_bypass_proxies(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if host == "[::ffff:127.0.0.1]" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with raw_server(saying(TAKEN)) as proxy, raw_server(saying(TAKEN)) as server:
        name_proxy(monkeypatch, proxy.url)
        reached = host != "127.0.0.2"  # the server does not listen there, and the proxy must not be used
        assert (
            deliver(f"http://{host}:{server.port}")
            == ([DeliveryStatus.DELIVERED] if reached else [DeliveryStatus.UNAVAILABLE]) * 2
        )
        assert (proxy.requests, len(server.requests)) == ([], 2 * reached)


def test_a_session_bypasses_the_proxy_for_this_computer(tmp_path: Path) -> None:
    with raw_server(saying(TAKEN)) as proxy, raw_server(saying(TAKEN)) as server:
        servers = {"MIEN_LRS": f"http://localhost:{server.port}/xAPI", "MIEN_LRS_USER": "mien", "MIEN_LRS_PASSWORD": "geheim"}
        live = ("live", "--source", "demo", "--duration-s", "0.2", "--headless", "--out", "out")
        said = mien(*live, cwd=tmp_path, XDG_DATA_HOME=str(tmp_path), **servers, **dict.fromkeys(VARIABLES, proxy.url))
        assert said.returncode == 0, said.stderr
        assert (proxy.requests, len(server.requests)) == ([], 2)  # start and end


def test_local_streams_bypass_proxies(tmp_path: Path) -> None:
    with raw_server(saying(answer("404 Not Found"))) as proxy, raw_server(saying(answer("404 Not Found"))) as camera:
        source = f"http://user:geheim@127.0.0.1:{camera.port}/live.mjpg"
        live = ("live", "--source", source, "--headless", "--duration-s", "1", "--patience-s", "1", "--out", "out")
        said = mien(*live, cwd=tmp_path, **dict.fromkeys(VARIABLES, proxy.url))
        assert (said.returncode, proxy.requests) == (4, []), said.stderr
        assert camera.requests
        assert "geheim" not in said.stdout + said.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "127.8.8.8", "[::1]", "[0:0:0:0:0:0:0:1]"])
def test_https_to_this_computer_bypasses_proxies(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(saying(TAKEN)) as proxy, raw_server(saying(b""), reads_http=False) as server:
        name_proxy(monkeypatch, proxy.url)
        assert deliver(f"https://{host}:{server.port}") == [
            DeliveryStatus.UNAVAILABLE,
            DeliveryStatus.UNAVAILABLE,
        ]  # the server has no TLS
        assert proxy.requests == []


def test_other_names_of_this_computer_bypass_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    name = socket.gethostname()
    try:
        here = {str(each[4][0]) for each in socket.getaddrinfo(name, 1)}
    except OSError:
        here = set()
    if not here or not all(is_loopback(address) for address in here):
        name = "ip6-localhost" if "ip6-localhost" in Path("/etc/hosts").read_text() else ""
    if not name:
        pytest.skip("no further name of this computer is known here")
    with raw_server(saying(TAKEN)) as proxy:
        name_proxy(monkeypatch, proxy.url)
        deliver(f"https://{name}:9")
        assert proxy.requests == []


def test_a_proxy_sees_only_the_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = answer("407 Proxy Authentication Required \x1b[2J geheim", b"geheim")
    with raw_server(saying(refusal)) as proxy:
        name_proxy(monkeypatch, f"http://clerk:geheim@127.0.0.1:{proxy.port}")
        said = send("PUT", "https://lrs.example.invalid/xAPI?token=t", {"Authorization": "Basic bWllbjpnZWhlaW0="}, b"body")
        assert said.status == 0
        assert "407" in said.body
        assert "geheim" not in said.body
        (request,) = proxy.requests
    assert request.startswith(b"CONNECT lrs.example.invalid:443 HTTP/1.")
    for private in (b"bWllbjpnZWhlaW0=", b"token", b"body", b"xAPI"):
        assert private not in request


@pytest.mark.parametrize(
    "proxy", ["http:/clerk:geheim@proxy", "clerk:geheim@proxy:x", "http://clerk:geheim@[::1", "socks5://geheim@127.0.0.1:9"]
)
def test_an_invalid_proxy_raises_no_error_and_is_not_shown(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name_proxy(monkeypatch, proxy)
    said = send("PUT", "https://lrs.example.invalid/xAPI", {}, b"body", timeout_s=5.0)
    assert said.status == 0
    assert "geheim" not in said.body


def test_localhost_never_resolves_to_another_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hosts file or name server may resolve localhost to another computer."""
    resolve = socket.getaddrinfo

    def lying(host: str, port: object, *more: object, **named: object) -> object:
        return resolve("192.0.2.1" if host == "localhost" else host, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lying)
    assert send("PUT", "http://localhost:9/xAPI", {}, b"body", timeout_s=5.0).body == "no connection"


@pytest.mark.parametrize("proxied", [False, True])
def test_a_name_server_that_never_answers_cannot_hold_a_request(proxied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy, which knows the name, the request goes on."""
    resolve, asked, over = socket.getaddrinfo, threading.Event(), threading.Event()

    def hanging(host: str, *more: object, **named: object) -> object:
        if host == "127.0.0.1":
            return resolve(host, *more, **named)
        asked.set()
        over.wait(600)
        return []

    with raw_server(saying(answer("407 Proxy Authentication Required", b""))) as proxy:
        if proxied:
            name_proxy(monkeypatch, proxy.url)
        monkeypatch.setattr(socket, "getaddrinfo", hanging)
        try:
            said = send("PUT", "https://lrs.example.invalid/xAPI", {}, b"body", timeout_s=6.0 if proxied else 0.5)
            assert asked.is_set()
            assert not over.is_set()
            assert (said.status, "407" in said.body) == (0, proxied)
            assert len(proxy.requests) == proxied
        finally:
            over.set()


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "2130706433.example.org", "localhost.example.org", "127.0.0.1.nip.io", "0.0.0.0", "[fe80::1]"]
)
def test_plain_http_to_another_computer_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="https://"):
        check_url(f"http://{host}/xAPI", "the store")


# databases
ELSEWHERE = [
    ("postgresql://db.example.org/mien", {}),
    ("postgresql:///mien?host=db.example.org", {}),
    ("postgresql+psycopg:///mien?host=db.example.org", {}),
    ("postgresql:///mien?hostaddr=192.0.2.1", {}),
    ("postgresql://localhost/mien?hostaddr=192.0.2.1", {}),
    ("postgresql://localhost/mien?host=db.example.org", {}),
    ("postgresql:///mien?host=localhost,db.example.org", {}),
    ("postgresql:///mien?host=localhost:5432&host=db.example.org:5432", {}),
    ("postgresql:///mien?hostaddr=127.0.0.1,192.0.2.1", {}),
    ("postgresql:///mien?service=there", {}),
    ("postgresql://localhost/mien?service=there", {}),
    ("postgresql:///mien?conninfo=host%3Ddb.example.org", {}),
    ("postgresql:///mien", {"PGHOST": "db.example.org"}),
    ("postgresql://", {"PGHOST": "db.example.org"}),
    ("postgresql:///mien", {"PGHOST": "/tmp,db.example.org"}),
    ("postgresql:///mien", {"PGHOSTADDR": "192.0.2.1"}),
    ("postgresql://localhost/mien", {"PGHOSTADDR": "192.0.2.1"}),
    ("postgresql:///mien?host=/tmp", {"PGHOSTADDR": "192.0.2.1"}),
    ("postgresql:///mien", {"PGSERVICE": "there"}),
    ("postgresql://localhost/mien", {"PGSERVICE": "there"}),
]
HERE = [
    ("postgresql:///mien", {}),
    ("postgresql://localhost:5433/mien", {}),
    ("postgresql://127.0.0.2/mien", {}),
    ("postgresql://[::1]/mien", {}),
    ("postgresql:///mien?host=/var/run/postgresql", {}),
    ("postgresql:///mien?host=localhost,127.0.0.1", {}),
    ("postgresql:///mien?host=localhost", {"PGHOST": "db.example.org"}),
    ("postgresql:///mien", {"PGHOST": "/var/run/postgresql"}),
    ("sqlite:////srv/mien.db", {"PGHOST": "db.example.org"}),
]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "services").write_text("[there]\nhost=db.example.org\nhostaddr=192.0.2.1\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    return monkeypatch


@pytest.mark.parametrize(("url", "environment"), ELSEWHERE)
def test_a_database_on_another_computer_is_refused_for_own_use(
    url: str, environment: dict[str, str], bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in environment.items():
        bare.setenv(name, value)
    with pytest.raises(NotPermittedError, match="the database is on another computer"):
        open_recorder(Oversight(None, tmp_path), kept().session, url, {})
    with pytest.raises(NotPermittedError, match="the database is on another computer"):
        open_recorder(Oversight(None, tmp_path), kept().session, "", {"MIEN_DB": url})


@pytest.mark.parametrize(("url", "environment"), HERE)
def test_a_local_database_is_recognised(url: str, environment: dict[str, str], bare: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        bare.setenv(name, value)
    assert is_on_this_computer(database_url(url))


def test_own_use_may_use_a_local_database_server(postgres_url: str, bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    open_recorder(Oversight(None, tmp_path), kept().session, postgres_url, {})
    name, _, socket = postgres_url.partition("?host=")
    bare.setenv("PGHOST", socket)
    open_recorder(Oversight(None, tmp_path), kept().session, name, {})
    assert "mien-database" not in {thread.name for thread in threading.enumerate()}  # a session without frames keeps nothing open


@pytest.mark.parametrize(
    "words",
    ["host=db.example.org dbname=mien", "dbname=mien", " user = mien password=geheim", "service=there", "Hostaddr=192.0.2.1"],
)
def test_libpq_parameters_create_no_file(words: str, here: Path) -> None:
    with pytest.raises(UsageError, match=r"given as parameters, KEY=VALUE; write them as a URL") as caught:
        open_recorder(Oversight(None, here), kept().session, words, {})
    assert "geheim" not in str(caught.value)
    assert list(here.iterdir()) == []
    assert database_url("./dbname=mien") == "sqlite:///./dbname=mien"


@pytest.mark.parametrize(
    "words", ["postgresql:mien:geheim@db.example.org/mien", "postgresql:/mien:geheim@host/mien", "sqlite:x.db"]
)
def test_an_incomplete_url_creates_no_file(words: str, here: Path) -> None:
    with pytest.raises(UsageError, match="neither a path nor a URL") as caught:
        open_recorder(Oversight(None, here), kept().session, words, {})
    assert "geheim" not in str(caught.value)
    assert list(here.iterdir()) == []
    assert [database_url(name) for name in ("./sqlite:x.db", "C:\\x.db")] == ["sqlite:///./sqlite:x.db", "sqlite:///C:\\x.db"]


def test_the_test_proxy_records_requests() -> None:
    """Control: Python's own client goes through the proxy of these tests."""
    import urllib.request

    def through(proxy: RawServer) -> int:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy.url}))
        with opener.open("http://127.0.0.1:9/", timeout=5) as said:
            return int(said.status)

    with raw_server(saying(TAKEN)) as proxy:
        assert (through(proxy), len(proxy.requests)) == (204, 1)

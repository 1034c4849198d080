"""The LTI tool against a platform that these tests start: launches, and each reason to refuse one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet
from lti_platform import (
    CLAIM,
    CLIENT,
    CLUB,
    DEEP,
    DEPLOYMENT,
    LEARNER,
    ROLES,
    TEACHER,
    UNIVERSITY,
    FakePlatform,
    ToolServer,
    Visitor,
    code_of,
    get,
    new_key,
    post,
    registered,
    running_platform,
    running_tool,
    text_of,
)
from raw_servers import RawServer
from sqlalchemy import Engine, create_engine, func, select, text

from mien.errors import DataError, NotPermittedError, UsageError
from mien.privacy.deployment import Deployment
from mien.privacy.level import Level
from mien.privacy.policy import decide
from mien.web.lti.errors import LtiError
from mien.web.lti.launch import Role
from mien.web.lti.platforms import Platforms
from mien.web.lti.registration import TOOL_CONFIGURATION
from mien.web.lti.settings import LtiSettings
from mien.web.lti.tables import metadata, platforms, used_states
from mien.web.lti.tokens import MAX_TOKEN
from mien.web.rate_limit import RateLimit


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'class.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def tool(engine: Engine) -> Iterator[ToolServer]:
    with running_tool(engine, refetch_s=0.001) as server:
        yield server


@pytest.fixture
def platform(tool: ToolServer) -> Iterator[FakePlatform]:
    with running_platform(tool) as platform:
        yield platform


@pytest.fixture
def visitor(tool: ToolServer, platform: FakePlatform) -> Visitor:
    registered(tool, platform)
    return Visitor(platform, tool)


def test_a_login_is_sent_to_the_platform_and_stores_nothing(visitor: Visitor, engine: Engine) -> None:
    before = counts(engine)
    answer = get(visitor.platform.login_url("hint 1") + "&lti_message_hint=m%261")
    assert answer.status_code == 303
    place, _, query = answer.headers["location"].partition("?")
    assert place == f"{visitor.platform.url}/auth"
    asked = dict(httpx2.QueryParams(query))
    assert len(asked.pop("state")) > 100
    assert len(asked.pop("nonce")) == 64
    assert asked == {
        "scope": "openid",
        "response_type": "id_token",
        "response_mode": "form_post",
        "prompt": "none",
        "client_id": CLIENT,
        "redirect_uri": f"{visitor.tool.url}/lti/launch",
        "login_hint": "hint 1",
        "lti_message_hint": "m&1",
    }
    posted = post(f"{visitor.tool.url}/lti/login", data=dict(httpx2.URL(visitor.platform.login_url()).params))
    assert posted.status_code == 303
    assert counts(engine) == before
    assert answer.headers.get("set-cookie") is posted.headers.get("set-cookie") is None


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"iss": "https://other.example"}, 403, "platform-unknown"),
        ({"client_id": "other"}, 403, "platform-unknown"),
        ({"iss": ""}, 400, "login-incomplete"),
        ({"login_hint": ""}, 400, "login-incomplete"),
        ({"target_link_uri": ""}, 400, "login-incomplete"),
        ({"login_hint": "x" * 5000}, 400, "login-too-large"),
        ({"iss": "https://other.example\x00"}, 403, "platform-unknown"),
        ({"client_id": "client-7\x00"}, 403, "platform-unknown"),
    ],
)
def test_logins_that_are_refused(visitor: Visitor, changes: dict[str, str], status: int, code: str) -> None:
    values = dict(httpx2.URL(visitor.platform.login_url()).params) | changes
    answer = get(f"{visitor.tool.url}/lti/login", params=values)
    assert (answer.status_code, code_of(answer)) == (status, code)


def counts(engine: Engine) -> dict[str, int]:
    """Return the number of rows by table."""
    with engine.connect() as connection:
        return {t.name: connection.scalar(select(func.count()).select_from(t)) or 0 for t in metadata.sorted_tables}


def test_a_learner_joins_and_a_teacher_teaches(visitor: Visitor, tool: ToolServer) -> None:
    answer = visitor.launch(LEARNER)
    assert answer.status_code == 200
    assert re.search(r'id="here" href="/join/[0-9a-f]{32}"', answer.text)
    assert "set-cookie" not in answer.headers
    assert f"frame-ancestors 'self' {visitor.platform.url}" in answer.headers["content-security-policy"]
    answer = visitor.launch(TEACHER)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/teach/")
    learner, teacher = tool.launches
    assert (learner.role, teacher.role) == (Role.LEARNER, Role.TEACHER)
    assert (learner.deployment, learner.context, learner.resource) == (DEPLOYMENT, "course-9", "link-5")
    assert (learner.title, learner.language, learner.declaration) == ("Lecture 3", "de", CLUB)
    assert tool.counted == {("lti_launches", 'role="learner"'): 1, ("lti_launches", 'role="teacher"'): 1}


def test_no_name_and_no_identifier_of_the_platform_is_stored_or_logged(
    visitor: Visitor, tool: ToolServer, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    visitor.launch(LEARNER)
    visitor.launch(LEARNER, **{f"{CLAIM}roles": ["x"]})
    with engine.connect() as connection:
        stored = repr([connection.execute(select(table)).all() for table in metadata.sorted_tables])
    for word in ("user-31", "Ada", "Lovelace", "ada@example.org", "course-9", tool.launches[0].person):
        whole = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")  # the letters of a random key may spell a short name
        assert not whole.search(stored)
        assert not whole.search(caplog.text.replace(str(tool.launches), ""))
    assert "Ada" not in repr(tool.launches)
    assert "user-31" not in repr(tool.launches)


def test_a_person_is_the_same_in_a_course_and_another_in_the_next(visitor: Visitor, tool: ToolServer) -> None:
    course = {f"{CLAIM}context": {"id": "course-10"}}
    visitor.launch()
    visitor.launch(**{f"{CLAIM}resource_link": {"id": "link-6"}})
    visitor.launch(sub="user-32")
    visitor.launch(**course)
    tool.tool.platforms.add_deployment(tool.tool.platforms.all()[0].id, "deployment-2")
    visitor.launch(**{f"{CLAIM}deployment_id": "deployment-2"})
    one, again, other, elsewhere, installed = (launch.person for launch in tool.launches)
    assert one == again
    assert len({one, other, elsewhere, installed}) == 4
    assert re.fullmatch(r"[0-9a-f]{32}", one)
    assert tool.launches[3].title == "Lecture 3"


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        ([TEACHER], Role.TEACHER),
        ([LEARNER], Role.LEARNER),
        ([LEARNER, TEACHER], Role.TEACHER),
        ([f"{ROLES}membership/Instructor#TeachingAssistant"], Role.TEACHER),
        ([f"{ROLES}membership#Administrator"], Role.TEACHER),
        ([f"{ROLES}institution/person#Instructor", LEARNER], Role.LEARNER),  # teaches elsewhere, learns here
        ([f"{ROLES}institution/person#Student"], Role.LEARNER),  # Open edX sends no role in the course
        ([f"{ROLES}institution/person#Instructor", f"{ROLES}institution/person#Student"], Role.TEACHER),
        (["http://purl.imsglobal.org/vocab/lti/system/person#TestUser", LEARNER], Role.LEARNER),
    ],
)
def test_roles(visitor: Visitor, tool: ToolServer, roles: list[str], role: Role) -> None:
    assert visitor.launch(**{f"{CLAIM}roles": roles}).status_code in (200, 303)
    assert [launch.role for launch in tool.launches] == [role]


@pytest.mark.parametrize(
    "roles",
    [
        None,
        [],
        "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner",
        [17],
        [f"{ROLES}membership#Mentor"],
        [f"{ROLES}membership#Mentor", f"{ROLES}institution/person#Instructor"],
        [f"{ROLES}system/person#Administrator"],
        [f"{ROLES}institution/person#Administrator"],
        ["Instructor"],
        [f"https://evil.example/?{TEACHER}"],
    ],
)
def test_other_roles_are_refused(visitor: Visitor, tool: ToolServer, roles: Any) -> None:
    answer = visitor.launch(**{f"{CLAIM}roles": roles})
    assert (answer.status_code, code_of(answer)) == (403, "role")
    assert tool.launches == []


def now() -> int:
    return int(time.time())


CLAIMS_REFUSED: list[tuple[str, Callable[[], dict[str, Any]], int, str]] = [
    ("wrong audience", lambda: {"aud": "other"}, 401, "audience"),
    ("no audience", lambda: {"aud": None}, 401, "audience"),
    ("audience among several", lambda: {"aud": [CLIENT, "other"]}, 401, "audience"),
    ("several, another party", lambda: {"aud": [CLIENT, "other"], "azp": "other"}, 401, "audience"),
    ("another party", lambda: {"azp": "other"}, 401, "audience"),
    ("wrong issuer", lambda: {"iss": "https://other.example"}, 401, "issuer"),
    ("expired", lambda: {"exp": now() - 120, "iat": now() - 500}, 401, "expired"),
    ("too old", lambda: {"iat": now() - 7200}, 401, "expired"),
    ("issued in the future", lambda: {"iat": now() + 300, "exp": now() + 900}, 401, "issued-in-future"),
    ("never expires", lambda: {"exp": None}, 401, "times-missing"),
    ("expires as text", lambda: {"exp": "tomorrow"}, 401, "times-missing"),
    ("issued true", lambda: {"iat": True}, 401, "times-missing"),
    ("wrong nonce", lambda: {"nonce": "0" * 64}, 401, "nonce"),
    ("no nonce", lambda: {"nonce": None}, 401, "nonce"),
    ("unknown deployment", lambda: {f"{CLAIM}deployment_id": "other"}, 403, "deployment-unknown"),
    ("no deployment", lambda: {f"{CLAIM}deployment_id": None}, 403, "deployment-unknown"),
    ("deployment of another type", lambda: {f"{CLAIM}deployment_id": [DEPLOYMENT]}, 403, "deployment-unknown"),
    ("no role", lambda: {f"{CLAIM}roles": None}, 403, "role"),
    ("no subject", lambda: {"sub": None}, 400, "subject"),
    ("long subject", lambda: {"sub": "x" * 501}, 400, "subject"),
    ("no link", lambda: {f"{CLAIM}resource_link": None}, 400, "resource"),
    ("another version", lambda: {f"{CLAIM}version": "1.1"}, 400, "version"),
    ("another message", lambda: {f"{CLAIM}message_type": "LtiStartProctoring"}, 400, "message-type"),
    ("too large", lambda: {"name": "x" * MAX_TOKEN}, 413, "token-too-large"),
]


@pytest.mark.parametrize(("changes", "status", "code"), [each[1:] for each in CLAIMS_REFUSED], ids=[x[0] for x in CLAIMS_REFUSED])
def test_claims_that_are_refused(
    visitor: Visitor, tool: ToolServer, engine: Engine, changes: Callable[[], dict[str, Any]], status: int, code: str
) -> None:
    answer = visitor.launch(**changes())
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert tool.launches == []
    assert tool.counted == {("lti_refused", f'request="launch",code="{code}"'): 1}
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(used_states)) == 0


def test_several_audiences_with_this_tool_as_party_are_accepted(visitor: Visitor) -> None:
    assert visitor.launch(aud=[CLIENT, "other"], azp=CLIENT).status_code == 200


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    return f"{encoded(json.dumps(header).encode())}.{encoded(text_of(claims))}"


def test_a_token_without_signature_is_refused(visitor: Visitor, platform: FakePlatform, tool: ToolServer) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        answer = visitor.launch(sign=lambda claims, alg=algorithm: unsigned(claims, {"alg": alg, "kid": platform.key.kid}) + ".")
        assert (answer.status_code, code_of(answer)) == (401, "algorithm")
    assert tool.launches == []


def test_the_public_key_is_no_secret_for_hs256(visitor: Visitor, platform: FakePlatform, tool: ToolServer) -> None:
    public = platform.key.public_key
    for secret in (
        platform.key.as_pem(private=False),
        platform.key.as_pem(private=False).strip(),
        json.dumps(platform.key.as_dict(private=False)).encode(),
        platform.key.as_der(private=False),
    ):

        def sign(claims: dict[str, Any], secret: bytes = secret) -> str:
            body = unsigned(claims, {"alg": "HS256", "typ": "JWT", "kid": platform.key.kid})
            return f"{body}.{encoded(hmac.new(secret, body.encode(), hashlib.sha256).digest())}"

        answer = visitor.launch(sign=sign)
        assert (answer.status_code, code_of(answer)) == (401, "algorithm")
    assert public.key_size == 2048
    assert tool.launches == []


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_other_algorithms_are_refused(visitor: Visitor, platform: FakePlatform, algorithm: str) -> None:
    def sign(claims: dict[str, Any]) -> str:
        key = new_key_without_algorithm(platform)
        return jwt.encode({"alg": algorithm, "kid": platform.key.kid}, claims, key, algorithms=[algorithm])

    answer = visitor.launch(sign=sign)
    assert (answer.status_code, code_of(answer)) == (401, "algorithm")


def new_key_without_algorithm(platform: FakePlatform) -> Any:
    from joserfc.jwk import RSAKey

    row = platform.key.as_dict(private=True)
    return RSAKey.import_key({name: value for name, value in row.items() if name not in ("alg", "use")})


def test_keys_that_the_platform_does_not_publish_are_refused(visitor: Visitor, platform: FakePlatform) -> None:
    stranger = new_key()
    answer = visitor.launch(sign=lambda claims: jwt.encode({"alg": "RS256", "kid": stranger.kid}, claims, stranger))
    assert (answer.status_code, code_of(answer)) == (401, "kid-unknown")
    forged = {"alg": "RS256", "kid": platform.key.kid}
    answer = visitor.launch(sign=lambda claims: jwt.encode(forged, claims, stranger))
    assert (answer.status_code, code_of(answer)) == (401, "signature")
    answer = visitor.launch(sign=lambda claims: jwt.encode({"alg": "RS256"}, claims, platform.key))
    assert (answer.status_code, code_of(answer)) == (401, "kid-missing")
    embedded = {"alg": "RS256", "kid": platform.key.kid, "jwk": stranger.as_dict(private=False)}
    answer = visitor.launch(sign=lambda claims: jwt.encode(embedded, claims, stranger))
    assert (answer.status_code, code_of(answer)) == (401, "signature")


def test_tampered_tokens_are_refused(visitor: Visitor, platform: FakePlatform, tool: ToolServer) -> None:
    def other_role(claims: dict[str, Any]) -> str:
        head, _, signature = platform.sign(claims).split(".")
        return f"{head}.{encoded(text_of(claims | {f'{CLAIM}roles': [TEACHER]}))}.{signature}"

    def other_signature(claims: dict[str, Any]) -> str:
        head, body, signature = platform.sign(claims).split(".")
        return f"{head}.{body}.{'A' if signature[9] != 'A' else 'B'}".ljust(0) + signature[1:]

    for sign in (other_role, other_signature):
        answer = visitor.launch(sign=sign)
        assert (answer.status_code, code_of(answer)) == (401, "signature")
    for token in ("", "a.b", "a.b.c", "ä.b.c", "...", "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.e30", "\x00" * 40):
        answer = visitor.launch(sign=lambda _, token=token: token)
        assert (answer.status_code, code_of(answer)) == (400, "token-malformed")
    assert tool.launches == []


def test_a_launch_is_accepted_once(visitor: Visitor, platform: FakePlatform, tool: ToolServer) -> None:
    state, nonce = visitor.log_in()
    token = platform.sign(platform.claims(nonce))
    assert visitor.post(token, state).status_code == 200
    again = visitor.post(token, state)
    assert (again.status_code, code_of(again)) == (400, "state-used")
    other_token = visitor.post(platform.sign(platform.claims(nonce, TEACHER)), state)
    assert (other_token.status_code, code_of(other_token)) == (400, "state-used")
    fresh_state, _ = visitor.log_in()
    replayed = visitor.post(token, fresh_state)  # the old nonce with a new state
    assert (replayed.status_code, code_of(replayed)) == (401, "nonce")
    assert len(tool.launches) == 1


def test_of_many_launches_at_once_with_one_state_one_is_accepted(
    visitor: Visitor, platform: FakePlatform, tool: ToolServer
) -> None:
    visitor.launch()
    state, nonce = visitor.log_in()
    token = platform.sign(platform.claims(nonce))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(visitor.post(token, state).status_code)) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found) == [200, *[400] * 7]
    assert len(tool.launches) == 2


def test_states_are_the_servers_own_and_expire(visitor: Visitor, platform: FakePlatform, tool: ToolServer) -> None:
    state, nonce = visitor.log_in()
    token = platform.sign(platform.claims(nonce))
    name, expires, registration, mark = state.split(".")
    later = f"{name}.{int(expires) + 9999}.{registration}.{mark}"
    for forged in ("", "x", later, f"{'0' * 32}.{expires}.{registration}.{mark}", f"{name}.{expires}.{'0' * 16}.{mark}"):
        answer = visitor.post(token, forged)
        assert (answer.status_code, code_of(answer)) == (400, "state-unknown")
    tool.ahead_s = 601
    answer = visitor.post(token, state)
    assert (answer.status_code, code_of(answer)) == (400, "state-expired")
    assert tool.launches == []


def test_a_state_of_one_platform_is_no_state_of_another(visitor: Visitor, platform: FakePlatform, tool: ToolServer) -> None:
    """A platform cannot speak for another one: its state leads to its own keys and issuer."""
    with running_platform(tool) as other:
        other.key = new_key()
        other.published[:] = [other.key]
        registered(tool, other)
        state, nonce = visitor.log_in()
        answer = visitor.post(other.sign(other.claims(nonce)), state)
        assert (answer.status_code, code_of(answer)) == (401, "kid-unknown")
        theirs, nonce = Visitor(other, tool).log_in()
        answer = visitor.post(other.sign(other.claims(nonce, iss=platform.url)), theirs)
        assert (answer.status_code, code_of(answer)) == (401, "issuer")


def test_used_states_are_forgotten_when_they_expire(visitor: Visitor, tool: ToolServer, engine: Engine) -> None:
    visitor.launch()
    visitor.launch()
    tool.ahead_s = 2000
    ahead = int(time.time()) + 2000
    visitor.launch(iat=ahead, exp=ahead + 300)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(used_states)) == 1


def test_a_key_that_the_platform_rotated_is_fetched(visitor: Visitor, platform: FakePlatform) -> None:
    assert visitor.launch().status_code == 200
    assert visitor.launch().status_code == 200
    assert platform.requests == ["/keys"]  # of two launches
    former = platform.key
    platform.key = new_key()
    platform.published[:] = [platform.key]
    assert visitor.launch().status_code == 200
    assert platform.requests == ["/keys", "/keys"]
    answer = visitor.launch(sign=lambda claims: jwt.encode({"alg": "RS256", "kid": former.kid}, claims, former))
    assert (answer.status_code, code_of(answer)) == (401, "kid-unknown")


def test_keys_are_not_fetched_for_every_wrong_token(engine: Engine) -> None:
    with running_tool(engine) as tool, running_platform(tool) as platform:
        registered(tool, platform)
        visitor = Visitor(platform, tool)
        assert visitor.launch().status_code == 200
        for _ in range(3):
            answer = visitor.launch(sign=lambda claims: platform.sign(claims, kid="other"))
            assert code_of(answer) == "kid-unknown"
        assert platform.requests == ["/keys"]
        tool.ahead_s = 31
        assert code_of(visitor.launch(sign=lambda claims: platform.sign(claims, kid="other"))) == "kid-unknown"
        assert platform.requests == ["/keys", "/keys"]


def test_keys_are_fetched_again_after_a_day(visitor: Visitor, platform: FakePlatform, tool: ToolServer) -> None:
    visitor.launch()
    tool.ahead_s = 86_500
    ahead = int(time.time()) + 86_500
    assert visitor.launch(iat=ahead, exp=ahead + 300).status_code == 200
    assert platform.requests == ["/keys", "/keys"]


@pytest.mark.parametrize("is_first", [True, False])
def test_launches_in_another_process_wait_for_the_keys(
    engine: Engine, tool: ToolServer, platform: FakePlatform, is_first: bool
) -> None:
    """One process fetches the keys; launches in the others do not fail meanwhile."""
    from concurrent.futures import ThreadPoolExecutor

    known = registered(tool, platform)
    ahead_s = 0.0
    processes = [Platforms(engine, LtiSettings(allow_loopback=True), lambda: time.time() + ahead_s) for _ in range(2)]
    kid = str(platform.key.kid)
    if not is_first:
        processes[0].key(known, kid)
        ahead_s = 86_500.0
    platform.requests.clear()
    platform.sends_keys.clear()
    with ThreadPoolExecutor(3) as pool:
        fetching = pool.submit(processes[0].key, known, kid)
        deadline = time.monotonic() + 30
        while not platform.requests:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        waiting = [pool.submit(processes[1].key, known, kid) for _ in range(2)]
        time.sleep(0.3)
        platform.sends_keys.set()
        assert {each.result().kid for each in (fetching, *waiting)} == {kid}
    assert platform.requests == ["/keys"]
    assert code_of_error(lambda: processes[1].key(known, "other")) == "kid-unknown"


def test_a_platform_that_failed_to_send_its_keys_is_not_waited_for_again(
    engine: Engine, tool: ToolServer, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.web.lti.platforms._WAIT_S", 0.3)
    known = registered(tool, platform, jwks_uri="http://127.0.0.1:1/keys")
    processes = [Platforms(engine, LtiSettings(allow_loopback=True), time.time) for _ in range(2)]
    began = time.monotonic()
    assert code_of_error(lambda: processes[0].key(known, "1")) == "platform-unreachable"
    for each in (*processes, *processes):
        assert code_of_error(lambda each=each: each.key(known, "1")) == "platform-unreachable"
    waits: list[float] = []
    monkeypatch.setattr("mien.web.lti.platforms.time.sleep", waits.append)
    for each in processes:
        assert code_of_error(lambda each=each: each.key(known, "1")) == "platform-unreachable"
    assert waits == []
    assert time.monotonic() - began < 30


def code_of_error(call: Callable[[], Any]) -> str:
    with pytest.raises(LtiError) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/keys\r\nContent-Length: 0\r\n\r\n", "platform-error"),
        (b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", "platform-error"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "platform-invalid"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"keys": NaN}', "platform-invalid"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>in</html>", "platform-error"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"keys": [' + b'{"kid": "1"},' * 9000 + b"{}]}", "platform-invalid"),
        (b"", "platform-unreachable"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"keys": 1}', "kid-unknown"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"keys": [7] }', "kid-unknown"),
    ],
)
def test_platforms_that_do_not_send_their_keys(tool: ToolServer, platform: FakePlatform, reply: bytes, code: str) -> None:
    server = RawServer(lambda sock, _, __: sock.sendall(reply))
    try:
        registered(tool, platform, jwks_uri=f"{server.url}/keys")
        answer = Visitor(platform, tool).launch()
        assert (answer.status_code, code_of(answer)) == (401 if code == "kid-unknown" else 502, code)
        assert len(server.requests) == 1
    finally:
        server.close()


def test_short_keys_and_keys_for_other_uses_are_not_used(visitor: Visitor, platform: FakePlatform) -> None:
    row = platform.key.as_dict(private=False)
    short, padded = row["n"][:300], "A" * 48 + row["n"][:300]
    changes: list[dict[str, Any]] = [{"use": "enc"}, {"alg": "RS512"}, {"kty": "oct", "k": "AAAA"}, {"e": "!"}, {"e": 3}]
    for change in (*changes, {"n": short}, {"n": padded}, {"n": 7}, {"n": "!"}):
        platform.published[:] = [FakeRow(row | change)]
        assert code_of(visitor.launch()) == "kid-unknown", change
    platform.published[:] = [platform.key]
    assert visitor.launch().status_code == 200


class FakeRow:
    """A published key as it stands in JSON."""

    def __init__(self, row: dict[str, Any]) -> None:
        self._row = row

    def as_dict(self, private: bool) -> dict[str, Any]:
        return self._row


UNSAFE = (
    "https://*",
    "https://*.example.org",
    "https://x;sandbox",
    "https://x,default-src",
    "https://'self'",
    "https://x%3bsandbox",
    "https://[fe80::1%;sandbox]",
    "https://faß.example",
)
"""Addresses whose host would be a wildcard or a directive in a header, or differ from what a browser makes of it."""


@pytest.mark.parametrize("address", UNSAFE)
def test_a_form_cannot_change_the_policy_of_class_pages(tool: ToolServer, platform: FakePlatform, address: str) -> None:
    done = post(tool.tool.platforms.invite(platform.url), data={**registration(platform), **FORM, "origins": address})
    assert done.status_code == 422
    assert "embedding page" in done.text
    assert tool.tool.platforms.origins() == []


def test_origins_of_platforms_are_as_browsers_write_them(tool: ToolServer, platform: FakePlatform) -> None:
    given = ["https://LMS.example.org:443/x", "https://bücher.example", "https://192.0.2.7:8443", "https://[2001:DB8::1]"]
    known = registered(tool, platform, origins=given).origins
    assert known[1:] == (
        "https://lms.example.org",
        "https://xn--bcher-kva.example",
        "https://192.0.2.7:8443",
        "https://[2001:db8::1]",
    )
    assert LtiSettings(base_url="https://bücher.example:443").url("launch") == "https://xn--bcher-kva.example/lti/launch"


def test_addresses_of_platforms_must_be_https(engine: Engine, tool: ToolServer, platform: FakePlatform) -> None:
    for name in ("issuer", "authorization_endpoint", "jwks_uri"):
        for address in (
            "http://lms.example.org/x",
            "ftp://lms.example.org",
            "https://u:p@lms.example.org/",
            "x",
            "file:///etc/passwd",
            *UNSAFE,
        ):
            with pytest.raises(UsageError):
                registered(tool, platform, **{name: address})
    for address in ("http://lms.example.org", *UNSAFE):
        with pytest.raises(UsageError):
            registered(tool, platform, origins=[address])
    strict = LtiSettings(base_url="https://mien.example.org")
    with pytest.raises(UsageError):
        strict.check_address("http://127.0.0.1:9/keys", "jwks_uri")
    for address in ("http://localhost:1", "https://mien.example.org/path", "mien.example.org"):
        with pytest.raises(UsageError):
            LtiSettings(base_url=address)


def test_a_platform_is_registered_once_and_can_be_removed(visitor: Visitor, platform: FakePlatform, tool: ToolServer) -> None:
    with pytest.raises(UsageError, match="already"):
        registered(tool, platform)
    known = tool.tool.platforms.all()
    assert [(each.issuer, each.deployments, each.origins) for each in known] == [(platform.url, (DEPLOYMENT,), (platform.url,))]
    tool.tool.platforms.add_deployment(known[0].id, "deployment-2")
    assert visitor.launch(**{f"{CLAIM}deployment_id": "deployment-2"}).status_code == 200
    with pytest.raises(UsageError):
        tool.tool.platforms.add_deployment(known[0].id, "deployment-2")
    state, nonce = visitor.log_in()
    tool.tool.platforms.remove(known[0].id)
    answer = visitor.post(platform.sign(platform.claims(nonce)), state)
    assert (answer.status_code, code_of(answer)) == (403, "platform-unknown")
    with pytest.raises(UsageError):
        tool.tool.platforms.remove(known[0].id)


def test_the_declaration_decides_what_may_be_read(tool: ToolServer, platform: FakePlatform) -> None:
    registered(tool, platform, UNIVERSITY)
    Visitor(platform, tool).launch()
    assert decide(tool.launches[0].declaration).level is Level.OBSERVABLES


@pytest.mark.parametrize(
    "declaration",
    [
        Deployment("education-institution", "EU", "grading"),
        Deployment("own-use", "EU", "self-observation"),
        Deployment("software-test", "EU", "software-test"),
        Deployment("research", "EU", "research"),
    ],
)
def test_declarations_that_permit_nothing_about_others_are_refused(
    tool: ToolServer, platform: FakePlatform, declaration: Deployment
) -> None:
    with pytest.raises(NotPermittedError):
        registered(tool, platform, declaration)
    assert tool.tool.platforms.all() == []


def test_a_class_that_cannot_be_opened_says_why(visitor: Visitor, tool: ToolServer) -> None:
    tool.fault = NotPermittedError("this server permits observables only")
    answer = visitor.launch()
    assert (answer.status_code, code_of(answer)) == (403, "not-permitted")
    assert "observables only" in answer.text
    tool.fault = DataError("the class has ended <b>")
    answer = visitor.launch()
    assert (answer.status_code, code_of(answer)) == (409, "class")
    assert "&lt;b&gt;" in answer.text


def test_wrong_launches_are_slowed_down_and_right_ones_are_not(visitor: Visitor, tool: ToolServer) -> None:
    state, _ = visitor.log_in()
    found = [visitor.post("x", state) for _ in range(70)]
    assert (found[0].status_code, code_of(found[0])) == (400, "token-malformed")
    assert (found[-1].status_code, code_of(found[-1])) == (429, "too-many")
    assert int(found[-1].headers["retry-after"]) >= 1
    assert visitor.launch().status_code == 200
    assert tool.counted["lti_refused", 'request="launch",code="token-malformed"'] == 70
    # links to register cannot be guessed either; on a slow machine, some more requests are permitted meanwhile
    assert 429 in [get(f"{tool.url}/lti/register/x").status_code for _ in range(70)]


def test_too_many_requests_from_one_address_are_slowed_down(visitor: Visitor, tool: ToolServer) -> None:
    tool.tool._requests = RateLimit(burst=4, per_s=0.01)
    assert [visitor.launch().status_code for _ in range(2)] == [200, 200]
    for answer in (get(visitor.platform.login_url()), visitor.post("x", "x"), get(f"{tool.url}/lti/jwks.json")):
        assert (answer.status_code, code_of(answer)) == (429, "too-many")
        assert 1 <= int(answer.headers["retry-after"]) <= 100
    assert len(tool.launches) == 2
    assert tool.counted["lti_refused", 'request="login",code="too-many"'] == 1


def test_without_a_database_the_server_says_503(visitor: Visitor, engine: Engine) -> None:
    state, _ = visitor.log_in()
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE lti_deployments"))
        connection.execute(text("DROP TABLE lti_platforms"))
    for answer in (get(visitor.platform.login_url()), visitor.post("x", state)):
        assert (answer.status_code, code_of(answer)) == (503, "database")


def test_titles_and_languages_from_platforms(visitor: Visitor, tool: ToolServer) -> None:
    visitor.launch(**{f"{CLAIM}resource_link": {"id": "1", "title": "  Week\n1\x00 \u202e" + "x" * 300}})
    visitor.launch(**{f"{CLAIM}resource_link": {"id": "1"}, f"{CLAIM}launch_presentation": None, "locale": "pt_BR"})
    visitor.launch(**{f"{CLAIM}resource_link": {"id": "1", "title": 3}, f"{CLAIM}context": None, "locale": "<script>"})
    visitor.launch(**{f"{CLAIM}launch_presentation": {"locale": 7}})
    first, second, third, fourth = tool.launches
    assert first.title.startswith("Week 1\\u0000")
    assert len(first.title) == 120
    assert (second.title, second.language) == ("Algebra", "pt-BR")
    assert (third.title, third.context, third.language) == ("", "", "de")
    assert fourth.language == ""


def test_a_teacher_adds_one_link_to_a_class(visitor: Visitor, platform: FakePlatform, tool: ToolServer) -> None:
    answer = visitor.launch(TEACHER, **platform.deep_linking(title="Week 4"))
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert f"form-action https: {platform.url};" in policy
    token = unescape(re.findall(r'name="JWT" value="([^"]+)"', answer.text)[0])
    assert f'action="{platform.url}/returned"' in answer.text
    assert post(f"{platform.url}/returned", data={"JWT": token}).status_code == 200
    claims = platform.returned[0]
    assert (claims["iss"], claims["aud"]) == (CLIENT, platform.url)
    assert 0 < claims["exp"] - claims["iat"] <= 600
    assert claims[f"{CLAIM}message_type"] == "LtiDeepLinkingResponse"
    assert claims[f"{CLAIM}version"] == "1.3.0"
    assert claims[f"{CLAIM}deployment_id"] == DEPLOYMENT
    assert claims[f"{DEEP}data"] == "d-1"
    assert claims[f"{DEEP}content_items"] == [{"type": "ltiResourceLink", "title": "Week 4", "url": f"{tool.url}/lti/launch"}]
    assert tool.launches == []


def test_links_that_cannot_be_added(visitor: Visitor, platform: FakePlatform) -> None:
    answer = visitor.launch(LEARNER, **platform.deep_linking())
    assert (answer.status_code, code_of(answer)) == (403, "role")
    for accepted in (["html"], [], None, "ltiResourceLink"):
        answer = visitor.launch(TEACHER, **platform.deep_linking(accept_types=accepted))
        assert (answer.status_code, code_of(answer)) == (400, "link-not-accepted")
    for url in ("http://lms.example.org/", "javascript:alert(1)", None, "https://a b/"):
        answer = visitor.launch(TEACHER, **platform.deep_linking(deep_link_return_url=url))
        assert (answer.status_code, code_of(answer)) == (400, "return-url")


def kids(tool: ToolServer) -> list[str]:
    answer = get(f"{tool.url}/lti/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert all(not {"d", "p", "q", "dp", "dq", "qi"} & set(row) for row in answer.json()["keys"])
    KeySet.import_key_set(answer.json())
    return [row["kid"] for row in answer.json()["keys"]]


def signer(tool: ToolServer) -> str:
    head = tool.tool.keys.sign({"x": 1}).split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=="))["kid"])


def test_two_keys_are_published_and_rotate_by_themselves(tool: ToolServer) -> None:
    first, second = kids(tool)
    assert kids(tool) == [first, second]
    signing = signer(tool)
    following = second if signing == first else first
    tool.ahead_s = 90 * 86_400 + 1
    rotated = kids(tool)
    assert len(rotated) == 3
    assert {signing, following} < set(rotated)  # the former one can still be used to check what it signed
    assert signer(tool) == following
    tool.ahead_s += 86_400 + 61
    assert set(kids(tool)) == set(rotated) - {signing}


def test_keys_can_be_rotated_at_once(tool: ToolServer) -> None:
    before = set(kids(tool))
    former = signer(tool)
    assert tool.tool.keys.rotate() in before - {former}
    assert former in kids(tool)


def test_after_a_leak_no_key_stays(tool: ToolServer) -> None:
    """Anybody who has read the signing key in the database has read the next one and the retired ones too."""
    kids(tool)
    tool.tool.keys.rotate()
    leaked = set(kids(tool))
    assert len(leaked) == 3
    signing = tool.tool.keys.rotate(compromised=True)
    after = kids(tool)
    assert len(after) == 2
    assert not leaked & set(after)
    assert signing == signer(tool)
    assert signing in after


def test_several_processes_rotate_once(engine: Engine, tool: ToolServer) -> None:
    kids(tool)
    tool.ahead_s = 90 * 86_400 + 1
    threads = [threading.Thread(target=kids, args=(tool,)) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(kids(tool)) == 3


FORM = {
    "context": "education-institution",
    "jurisdiction": "EU",
    "purpose": "feedback-to-the-learner",
    "operator": "a university",
    "contact": "office@example.org",
    "legal_basis": "public-task",
}


def registration(platform: FakePlatform, **changes: str) -> dict[str, str]:
    return {"openid_configuration": f"{platform.url}/configuration", "registration_token": "reg-1", **changes}


def test_a_platform_registers_with_a_declaration(tool: ToolServer, platform: FakePlatform) -> None:
    link = tool.tool.platforms.invite(platform.url)
    page = get(link, params=registration(platform))
    assert page.status_code == 200
    assert f"frame-ancestors 'self' {platform.url}" in page.headers["content-security-policy"]
    assert "own-use" not in page.text
    assert platform.requests == []  # nothing is fetched before the form is sent
    done = post(link, data={**registration(platform), **FORM, "origins": "https://learn.example.org/\n\n"})
    assert done.status_code == 200
    assert "institution-in-union" in done.text
    known = tool.tool.platforms.all()[0]
    assert (known.client_id, known.deployments, known.name) == (CLIENT, (DEPLOYMENT,), f"fake at {platform.url}")
    assert known.origins == (platform.url, "https://learn.example.org")
    assert known.policy.level is Level.OBSERVABLES
    sent = platform.registrations[0]
    assert sent["scope"] == ""
    assert sent["jwks_uri"] == f"{tool.url}/lti/jwks.json"
    assert sent["initiate_login_uri"] == f"{tool.url}/lti/login"
    assert sent["redirect_uris"] == [f"{tool.url}/lti/launch"]
    assert sent[TOOL_CONFIGURATION]["claims"] == ["iss", "sub"]
    assert {each["type"] for each in sent[TOOL_CONFIGURATION]["messages"]} == {"LtiResourceLinkRequest", "LtiDeepLinkingRequest"}
    visitor = Visitor(platform, tool)
    assert visitor.launch().status_code == 200
    assert decide(tool.launches[0].declaration).level is Level.OBSERVABLES
    again = post(link, data={**registration(platform), **FORM})
    assert (again.status_code, code_of(again)) == (403, "invitation-unknown")
    assert len(platform.registrations) == 1
    assert tool.counted["lti_registrations", ""] == 1


def test_a_refused_declaration_registers_nothing_and_can_be_corrected(tool: ToolServer, platform: FakePlatform) -> None:
    link = tool.tool.platforms.invite(platform.url)
    for change in ({"purpose": "grading"}, {"legal_basis": ""}, {"context": "own-use"}, {"context": "moon"}, {"operator": ""}):
        page = post(link, data={**registration(platform), **FORM, **change})
        assert page.status_code == 422
        assert 'role="alert"' in page.text
    assert platform.requests == []
    club = {**FORM, "context": "learning-outside-institution", "legal_basis": "consent"}
    assert post(link, data={**registration(platform), **club}).status_code == 200
    assert tool.tool.platforms.all()[0].policy.level is Level.FULL


def test_minors_permit_observables_only(tool: ToolServer, platform: FakePlatform) -> None:
    link = tool.tool.platforms.invite(platform.url)
    club = {**FORM, "context": "learning-outside-institution", "legal_basis": "consent", "minors": "yes"}
    assert post(link, data={**registration(platform), **club}).status_code == 200
    assert tool.tool.platforms.all()[0].policy.level is Level.OBSERVABLES


def test_registrations_without_an_invitation_fetch_nothing(tool: ToolServer, platform: FakePlatform) -> None:
    link = tool.tool.platforms.invite("https://moodle.example.org")
    for address in (f"{tool.url}/lti/register/guess", link):
        for send in (get, post):
            values = {**registration(platform), **FORM}
            answer = send(address, params=values) if send is get else send(address, data=values)
            assert answer.status_code == 403
            assert code_of(answer) in ("invitation-unknown", "configuration-origin")
    other = tool.tool.platforms.invite(platform.url)
    for url in ("", "http://169.254.169.254/latest", "https://u:p@moodle.example.org/", "file:///etc/passwd"):
        answer = get(other, params=registration(platform, openid_configuration=url))
        assert (answer.status_code, code_of(answer)) == (400, "configuration-url")
    tool.ahead_s = 8 * 86_400
    answer = get(other, params=registration(platform))
    assert (answer.status_code, code_of(answer)) == (403, "invitation-unknown")
    assert platform.requests == []


def test_an_issuer_on_another_host_must_be_named_by_the_operator(tool: ToolServer, platform: FakePlatform) -> None:
    platform.configuration = {"issuer": "https://canvas.example.org"}
    link = tool.tool.platforms.invite(platform.url, "https://canvas.example.org")
    done = post(link, data={**registration(platform), **FORM, "origins": "https://school.example.org"})
    assert done.status_code == 200
    known = tool.tool.platforms.all()[0]
    assert known.issuer == "https://canvas.example.org"
    assert known.origins == ("https://canvas.example.org", platform.url, "https://school.example.org")


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        ({"issuer": "https://other.example"}, "issuer"),
        ({"jwks_uri": "http://lms.example.org/keys"}, "platform-invalid"),
        ({"jwks_uri": None}, "platform-invalid"),
        ({"authorization_endpoint": 7}, "platform-invalid"),
        ({"registration_endpoint": "file:///etc/passwd"}, "platform-invalid"),
        ({"registration_endpoint": "http://127.0.0.1:1/"}, "platform-unreachable"),
    ],
)
def test_configurations_of_platforms_that_are_refused(
    tool: ToolServer, platform: FakePlatform, configuration: dict[str, Any], code: str
) -> None:
    platform.configuration = configuration
    link = tool.tool.platforms.invite(platform.url)
    answer = post(link, data={**registration(platform), **FORM})
    assert (answer.status_code, code_of(answer)) == (502, code)
    assert tool.tool.platforms.all() == []
    platform.configuration = {}
    assert post(link, data={**registration(platform), **FORM}).status_code == 200  # the link is still valid


def test_a_platform_without_deployment_id_needs_the_operator(tool: ToolServer, platform: FakePlatform) -> None:
    platform.deployment_known = False
    done = post(tool.tool.platforms.invite(platform.url), data={**registration(platform), **FORM})
    known = tool.tool.platforms.all()[0]
    assert known.id in done.text
    visitor = Visitor(platform, tool)
    assert code_of(visitor.launch()) == "deployment-unknown"
    tool.tool.platforms.add_deployment(known.id, DEPLOYMENT)
    assert visitor.launch().status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"id_token=x&state=" + b"y" * 60_000, "application/x-www-form-urlencoded", 413),
        (b"state=1&state=2", "application/x-www-form-urlencoded", 400),
        (b"state=%ff", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a%d=1" % k for k in range(200)), "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"", "application/x-www-form-urlencoded", 400),
        (b"\xff\x00=&&;", "application/x-www-form-urlencoded", 400),
    ],
)
def test_forms_that_cannot_be_read(tool: ToolServer, content: bytes, kind: str, status: int) -> None:
    answer = post(f"{tool.url}/lti/launch", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert "frame-ancestors" in answer.headers["content-security-policy"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    claims=st.dictionaries(
        st.sampled_from(
            ["iss", "aud", "azp", "sub", "exp", "iat", "locale"]
            + [
                f"{CLAIM}{name}"
                for name in ("roles", "context", "resource_link", "deployment_id", "launch_presentation", "version")
            ]
            + [f"{CLAIM}message_type", f"{DEEP}deep_linking_settings"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "title", "locale"]), inner),
            max_leaves=6,
        ),
        max_size=4,
    )
)
def test_no_signed_claims_break_the_server(visitor: Visitor, claims: dict[str, Any]) -> None:
    answer = visitor.launch(**claims)
    assert answer.status_code in (200, 303, 400, 401, 403)


def test_on_postgresql_too(database_url: str) -> None:
    engine = create_engine(database_url)
    try:
        with running_tool(engine, refetch_s=0.001) as tool, running_platform(tool) as platform:
            registered(tool, platform)
            with pytest.raises(UsageError):
                registered(tool, platform)
            visitor = Visitor(platform, tool)
            assert visitor.launch(TEACHER).status_code == 303
            state, nonce = visitor.log_in()
            token = platform.sign(platform.claims(nonce))
            found: list[int] = []
            threads = [threading.Thread(target=lambda: found.append(visitor.post(token, state).status_code)) for _ in range(6)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            assert sorted(found) == [200, *[400] * 5]
            before = set(kids(tool))
            assert tool.tool.keys.rotate(compromised=True) not in before
            assert len(kids(tool)) == 2
            for values in ({"iss": "\x00"}, {"client_id": "\x00"}):  # a character that PostgreSQL refuses
                query = dict(httpx2.URL(platform.login_url()).params) | values
                assert code_of(get(f"{tool.url}/lti/login", params=query)) == "platform-unknown"
            with running_tool(engine) as second:  # a second process finds the tables, the keys and the secret
                assert set(kids(second)) == set(kids(tool))
                other = Visitor(FakePlatform(platform.url, second.url, key=platform.key), second)
                assert other.launch().status_code == 200
                assert second.launches[0].person == tool.launches[0].person
            with engine.connect() as connection:
                assert connection.scalar(select(func.count()).select_from(platforms)) == 1
    finally:
        engine.dispose()

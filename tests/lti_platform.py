"""A learning platform that tests start, and a server with the LTI tool and classes that only show who came."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx2
import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from mien.errors import MienError
from mien.privacy.deployment import Deployment
from mien.web.lti.launch import Launch, Role
from mien.web.lti.pages import frame_ancestors
from mien.web.lti.platforms import Platform
from mien.web.lti.registration import TOOL_CONFIGURATION
from mien.web.lti.routes import LtiTool
from mien.web.lti.settings import LtiSettings

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
DEEP = "https://purl.imsglobal.org/spec/lti-dl/claim/"
ROLES = "http://purl.imsglobal.org/vocab/lis/v2/"
TEACHER = f"{ROLES}membership#Instructor"
LEARNER = f"{ROLES}membership#Learner"
CLIENT = "client-7"
DEPLOYMENT = "deployment-1"

UNIVERSITY = Deployment(
    "education-institution",
    "EU",
    "feedback-to-the-learner",
    operator="a university",
    contact="office@example.org",
    legal_basis="public-task",
)
"""Under this declaration expressions may not be read."""
CLUB = Deployment(
    "learning-outside-institution", "EU", "improving-material", operator="a club", contact="c@example.org", legal_basis="consent"
)
"""Under this declaration they may."""


@cache
def usual_key() -> RSAKey:
    """Return the key that platforms have unless a test says otherwise."""
    return new_key()


def new_key() -> RSAKey:
    """Return a new key with an id."""
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)


def get(url: str, **more: Any) -> httpx2.Response:
    """Return the response to a GET request; nothing here is on https, so no certificates are loaded."""
    return httpx2.get(url, verify=False, timeout=120, **more)


def post(url: str, **more: Any) -> httpx2.Response:
    """Return the response to a POST request."""
    return httpx2.post(url, verify=False, timeout=120, **more)


@contextmanager
def serving(app: Starlette, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve an application in a thread; yield its address."""
    config = uvicorn.Config(app, host=host, port=0, log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@dataclass
class FakePlatform:
    """A learning platform with real keys, real HTTP and no users; a login's hint says who comes.

    Attributes:
        url: its address and issuer.
        tool: address of the tool.
        key: the key it signs with.
        published: the keys it publishes.
        changes: claims that differ in the next launches; None removes one.
        passes_camera_on: whether its pages pass the camera on to frames.
        configuration: values that differ in its OpenID configuration.
        deployment_known: whether it sends the deployment id with a registration.
        registrations: what tools sent to register.
        returned: claims of deep linking responses.
        requests: paths of the requests it got.
        sends_keys: whether it sends its keys; a request for them waits until it does.
    """

    url: str = ""
    tool: str = ""
    key: RSAKey = field(default_factory=usual_key)
    published: list[RSAKey] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    passes_camera_on: bool = True
    configuration: dict[str, Any] = field(default_factory=dict)
    deployment_known: bool = True
    registrations: list[dict[str, Any]] = field(default_factory=list)
    returned: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    sends_keys: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.published.append(self.key)
        self.sends_keys.set()

    def claims(self, nonce: str, role: str = LEARNER, /, **changes: Any) -> dict[str, Any]:
        """Return the claims of a launch, as a platform that sends names and addresses does."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "user-31",
            "exp": now + 300,
            "iat": now,
            "nonce": nonce,
            "name": "Ada Lovelace",
            "email": "ada@example.org",
            f"{CLAIM}version": "1.3.0",
            f"{CLAIM}message_type": "LtiResourceLinkRequest",
            f"{CLAIM}deployment_id": DEPLOYMENT,
            f"{CLAIM}target_link_uri": f"{self.tool}/lti/launch",
            f"{CLAIM}roles": [role],
            f"{CLAIM}resource_link": {"id": "link-5", "title": "Lecture 3"},
            f"{CLAIM}context": {"id": "course-9", "title": "Algebra"},
            f"{CLAIM}launch_presentation": {"locale": "de"},
            **self.changes,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """Return an ID token."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid, **header}, claims, self.key)

    def deep_linking(self, **settings: Any) -> dict[str, Any]:
        """Return the claims that turn a launch into a deep linking request."""
        asked = {"deep_link_return_url": f"{self.url}/returned", "accept_types": ["ltiResourceLink"], "data": "d-1", **settings}
        return {f"{CLAIM}message_type": "LtiDeepLinkingRequest", f"{DEEP}deep_linking_settings": asked}

    def login_url(self, hint: str = LEARNER) -> str:
        """Return the address of the tool with which a login starts."""
        query = {"iss": self.url, "client_id": CLIENT, "login_hint": hint, "target_link_uri": f"{self.tool}/lti/launch"}
        return f"{self.tool}/lti/login?{urlencode(query)}"

    def app(self) -> Starlette:
        """Return the platform's server."""
        return Starlette(
            routes=[
                Route("/course", self._course),
                Route("/auth", self._authorize),
                Route("/keys", self._keys),
                Route("/configuration", self._configuration),
                Route("/register", self._register, methods=["POST"]),
                Route("/returned", self._returned, methods=["POST"]),
            ]
        )

    def _course(self, request: Request) -> Response:
        """A course page that embeds the tool."""
        allow = ' allow="camera *"' if self.passes_camera_on else ""
        source = self.login_url(request.query_params.get("role", LEARNER))
        return HTMLResponse(f'<h1>Algebra</h1><iframe src="{escape(source)}"{allow} width="900" height="500"></iframe>')

    def _authorize(self, request: Request) -> Response:
        asked = request.query_params
        assert asked["client_id"] == CLIENT
        token = self.sign(self.claims(asked["nonce"], asked["login_hint"]))
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{escape(value)}">'
            for name, value in (("id_token", token), ("state", asked["state"]))
        )
        form = f'<form method="post" action="{escape(asked["redirect_uri"])}">{fields}</form>'
        return HTMLResponse(f"{form}<script>document.forms[0].submit()</script>")

    def _keys(self, request: Request) -> Response:
        self.requests.append(request.url.path)
        assert self.sends_keys.wait(60)
        return JSONResponse({"keys": [key.as_dict(private=False) for key in self.published]})

    def _configuration(self, request: Request) -> Response:
        self.requests.append(request.url.path)
        if request.headers.get("authorization") != "Bearer reg-1":
            return Response(status_code=401)
        found = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "jwks_uri": f"{self.url}/keys",
            "registration_endpoint": f"{self.url}/register",
            "https://purl.imsglobal.org/spec/lti-platform-configuration": {"product_family_code": "fake"},
            **self.configuration,
        }
        return JSONResponse({name: value for name, value in found.items() if value is not None})

    async def _register(self, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer reg-1":
            return Response(status_code=401)
        sent = await request.json()
        self.registrations.append(sent)
        answer = {**sent, "client_id": CLIENT}
        if self.deployment_known:
            answer[TOOL_CONFIGURATION] = {**sent[TOOL_CONFIGURATION], "deployment_id": DEPLOYMENT}
        return JSONResponse(answer)

    async def _returned(self, request: Request) -> Response:
        token = dict(parse_qsl((await request.body()).decode()))["JWT"]
        keys = KeySet.import_key_set(get(f"{self.tool}/lti/jwks.json").json())
        self.returned.append(jwt.decode(token, keys, algorithms=["RS256"]).claims)
        return HTMLResponse("<h1>Link added</h1>")


@dataclass
class ToolServer:
    """The tool with classes that only show who came.

    Attributes:
        url: its address.
        tool: the tool.
        launches: the launches that opened a class.
        fault: an error that opening a class raises.
        ahead_s: how far the tool's clock is ahead.
        counted: what was counted, by counter and labels.
    """

    url: str
    tool: LtiTool
    launches: list[Launch]
    fault: MienError | None = None
    ahead_s: float = 0.0
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)


@contextmanager
def running_tool(engine: Engine, **settings: Any) -> Iterator[ToolServer]:
    """Serve the tool on ``localhost``, for browsers another site than 127.0.0.1."""
    server: ToolServer

    def open_class(launch: Launch) -> str:
        if server.fault is not None:
            raise server.fault
        server.launches.append(launch)
        return f"/{'teach' if launch.role is Role.TEACHER else 'join'}/{secrets.token_hex(16)}"

    def shown(request: Request) -> Response:
        policy = frame_ancestors(server.tool.platforms.origins())
        return HTMLResponse(CLASS_PAGE, headers={"Content-Security-Policy": policy, "Permissions-Policy": "camera=(self)"})

    def count(name: str, labels: str) -> None:
        server.counted[name, labels] += 1

    app = Starlette(routes=[Route("/join/{capability}", shown), Route("/teach/{capability}", shown)])
    with serving(app, "localhost") as url:
        used = LtiSettings(base_url=url, allow_loopback=True, **settings)
        tool = LtiTool(engine, used, open_class, count, lambda: time.time() + server.ahead_s)
        server = ToolServer(url, tool, [])
        app.router.routes.extend(tool.routes)
        yield server


@contextmanager
def running_platform(tool: ToolServer) -> Iterator[FakePlatform]:
    """Serve a platform for a tool; it is not registered yet."""
    platform = FakePlatform(tool=tool.url)
    with serving(platform.app()) as url:
        platform.url = url
        yield platform


def registered(tool: ToolServer, platform: FakePlatform, declaration: Deployment = CLUB, **changes: Any) -> Platform:
    """Register a platform as an operator does."""
    values: dict[str, Any] = {
        "issuer": platform.url,
        "client_id": CLIENT,
        "authorization_endpoint": f"{platform.url}/auth",
        "jwks_uri": f"{platform.url}/keys",
        "declaration": declaration,
        "deployment_ids": [DEPLOYMENT],
        **changes,
    }
    return tool.tool.platforms.add(**values)


@dataclass
class Visitor:
    """A browser without cookies and without scripts."""

    platform: FakePlatform
    tool: ToolServer

    def log_in(self, hint: str = LEARNER) -> tuple[str, str]:
        """Start a login; return state and nonce."""
        answer = get(self.platform.login_url(hint))
        assert answer.status_code == 303, answer.text
        query = dict(parse_qsl(answer.headers["location"].partition("?")[2]))
        return query["state"], query["nonce"]

    def post(self, token: str, state: str) -> httpx2.Response:
        """Send an ID token to the tool."""
        return post(f"{self.tool.url}/lti/launch", data={"id_token": token, "state": state})

    def launch(self, role: str = LEARNER, sign: Callable[[dict[str, Any]], str] | None = None, **changes: Any) -> httpx2.Response:
        """Log in and launch."""
        state, nonce = self.log_in()
        return self.post((sign or self.platform.sign)(self.platform.claims(nonce, role, **changes)), state)


def code_of(answer: httpx2.Response) -> str:
    """Return the code on a page of a refused request."""
    return answer.text.partition('<p class="soft">')[2].partition("</p>")[0]


def text_of(claims: dict[str, Any]) -> bytes:
    """Return claims as JSON."""
    return json.dumps(claims).encode()


CLASS_PAGE = """<!doctype html><title>class</title><p id="camera">asking</p><script>
navigator.mediaDevices.getUserMedia({ video: true }).then(
  () => { document.getElementById("camera").textContent = "camera on"; },
  (error) => { document.getElementById("camera").textContent = error.name; });
</script>"""

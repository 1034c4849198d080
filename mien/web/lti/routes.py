"""The routes of the LTI tool: login, launch, keys and registration."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from mien.errors import DeviceError, MienError, NotPermittedError, UsageError
from mien.web.lti.deep_linking import read_offer, response_token
from mien.web.lti.errors import LtiError
from mien.web.lti.keys import ToolKeys
from mien.web.lti.launch import Launch, OpenClass, Role
from mien.web.lti.messages import (
    CLAIM,
    DEEP_LINKING,
    context_of,
    language_of,
    message_type,
    resource_of,
    role_of,
    subject_of,
    title_of,
)
from mien.web.lti.pages import HEADERS, link_page, message_page, open_page, redirect, register_page, registered_page
from mien.web.lti.platforms import Platform, Platforms, check_declaration
from mien.web.lti.registration import RegistrationRequest, check_request, register
from mien.web.lti.settings import PREFIX, LtiSettings
from mien.web.lti.states import LoginStates
from mien.web.lti.tables import create_tables
from mien.web.lti.tokens import MAX_TOKEN, check_claims, key_id_of, read_claims
from mien.web.rate_limit import RateLimit, client_of

MAX_FORM: Final = MAX_TOKEN + 16 * 1024
"""Maximum size of a form in bytes."""
_MAX_HINT: Final = 4000
_KEYS_CACHED_S: Final = 3600
_NOT_OPENED: Final = "The class cannot be opened"
_NOT_REGISTERED: Final = "Mien is not registered"
_SLOW_DOWN: Final = "Too many requests from this address. Wait a little and open the class again."
_LOG: Final = logging.getLogger("mien.web.lti")

Values = Mapping[str, str]
Count = Callable[[str, str], None]
"""Increments a counter, given its name and its labels in Prometheus syntax."""


class LtiTool:
    """The LTI tool: its routes, platforms and keys.

    Args:
        engine: the database; the tables are created if they do not exist.
        settings: settings of the tool.
        open_class: opens a class for a verified launch.
        count: counts launches, registrations and refused requests.
        clock: time in seconds since 1970.

    Raises:
        UsageError: the public address of the server is not set.

    Attributes:
        platforms: the registered platforms.
        keys: the tool's own keys.
        routes: the routes; they accept POST requests from other origins.
    """

    def __init__(
        self,
        engine: Engine,
        settings: LtiSettings,
        open_class: OpenClass,
        count: Count,
        clock: Callable[[], float] = time.time,
    ) -> None:
        settings.url("")  # raises if the public address is not set
        create_tables(engine)
        self._settings, self._open_class, self._count, self._clock = settings, open_class, count, clock
        self.platforms = Platforms(engine, settings, clock)
        self.keys = ToolKeys(engine, settings, clock)
        # a whole lecture may launch from one address at once, with two requests per launch
        self._requests, self._failures = RateLimit(burst=4000, per_s=40), RateLimit(burst=60, per_s=1)
        self._states = LoginStates(engine, settings.state_s, clock)
        self.routes: list[BaseRoute] = [
            Route(f"{PREFIX}/login", self._answer("login", self._log_in), methods=["GET", "POST"]),
            Route(f"{PREFIX}/launch", self._answer("launch", self._launch), methods=["POST"]),
            Route(f"{PREFIX}/jwks.json", self._answer("keys", self._send_keys), methods=["GET"]),
            Route(
                f"{PREFIX}/register/{{token}}",
                self._answer("registration", self._register, _NOT_REGISTERED),
                methods=["GET", "POST"],
            ),
        ]

    def _answer(
        self, name: str, handler: Callable[[Request, Values], Response], heading: str = _NOT_OPENED
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that calls ``handler`` in a worker thread and shows errors as a page.

        Requests are rate-limited by client address; refused requests have a lower limit.
        """

        async def endpoint(request: Request) -> Response:
            address = client_of(request)
            wait_s = self._requests.wait_s(address)
            try:
                if wait_s:
                    raise LtiError("too-many", _SLOW_DOWN, 429)
                values = await _values(request)
                return await run_in_threadpool(handler, request, values)
            except MienError as error:
                code, status = _code_of(error)
                self._count("lti_refused", f'request="{name}",code="{code}"')
                _LOG.info("lti request refused: %s", code)
                wait_s = wait_s or self._failures.wait_s(address)
                if wait_s:
                    answer = message_page(heading, _SLOW_DOWN, "too-many", 429, ())
                    answer.headers["Retry-After"] = str(wait_s)
                    return answer
                return await run_in_threadpool(self._refuse, error, heading, code, status)
            except SQLAlchemyError as error:
                self._count("lti_refused", f'request="{name}",code="database"')
                _LOG.error("lti database unavailable: %s", type(error).__name__)
                message = "The server cannot reach its database. Try again in a minute."
                return message_page(heading, message, "database", 503, ())

        return endpoint

    def _refuse(self, error: MienError, heading: str, code: str, status: int) -> Response:
        try:
            origins = self.platforms.origins()
        except SQLAlchemyError:
            origins = []
        return message_page(heading, str(error), code, status, origins)

    def _log_in(self, _: Request, values: Values) -> Response:
        """Redirect the browser to the platform, which sends it back with an ID token."""
        for name in ("iss", "login_hint", "target_link_uri"):
            if not values.get(name):
                message = f"The login contains no {name}. Open the class from your course."
                raise LtiError("login-incomplete", message)
        if any(len(value) > _MAX_HINT for value in values.values()):
            raise LtiError("login-too-large", f"A parameter of the login has more than {_MAX_HINT} characters.")
        platform = self.platforms.find(values["iss"], values.get("client_id", ""))
        state, nonce = self._states.create(platform.id)
        query = {
            "scope": "openid",
            "response_type": "id_token",
            "response_mode": "form_post",
            "prompt": "none",
            "client_id": platform.client_id,
            "redirect_uri": self._settings.url("launch"),
            "login_hint": values["login_hint"],
            "state": state,
            "nonce": nonce,
        }
        if values.get("lti_message_hint"):
            query["lti_message_hint"] = values["lti_message_hint"]
        mark = "&" if urlsplit(platform.authorization_endpoint).query else "?"
        return redirect(f"{platform.authorization_endpoint}{mark}{urlencode(query)}")

    def _launch(self, _: Request, values: Values) -> Response:
        """Verify an ID token and open a class or return a link to one."""
        state = self._states.check(values.get("state", ""))
        platform = self._platform(state.platform)
        if values.get("error"):
            message = "The learning platform did not sign you in. Open the class again from your course."
            raise LtiError("platform-refused", message, 401)
        token = values.get("id_token", "")
        key = self.platforms.key(platform, key_id_of(token))
        claims = read_claims(token, key)
        check_claims(claims, platform, state.nonce, self._clock(), self._settings)
        kind = message_type(claims, platform)
        role = role_of(claims)
        subject = subject_of(claims)
        check_declaration(platform.declaration)
        deployment = str(claims[f"{CLAIM}deployment_id"])
        if kind == DEEP_LINKING:
            if role is not Role.TEACHER:
                raise LtiError("role", "Only teachers can add a class to a course.", 403)
            offer = read_offer(claims, self._settings)
            self._states.use(state)
            response = response_token(offer, platform, deployment, self.keys, self._settings, self._clock())
            return link_page(response, offer.return_url, offer.title or "Add a class", platform.origins)
        context, resource = context_of(claims), resource_of(claims)
        launch = Launch(
            platform=platform.id,
            deployment=deployment,
            context=context,
            resource=resource,
            title=title_of(claims),
            role=role,
            language=language_of(claims),
            person=self._states.person(platform.issuer, deployment, context or resource, subject),
            declaration=platform.declaration,
        )
        self._states.use(state)
        address = self._open_class(launch)
        self._count("lti_launches", f'role="{role}"')
        _LOG.info("lti class opened: %s", role)
        # a teacher needs no camera
        return redirect(address) if role is Role.TEACHER else open_page(address, launch.title, platform.origins)

    def _send_keys(self, _: Request, __: Values) -> Response:
        """Return the tool's public keys."""
        headers = {**HEADERS, "Cache-Control": f"public, max-age={_KEYS_CACHED_S}"}
        return JSONResponse(self.keys.published(), headers=headers)

    def _register(self, request: Request, values: Values) -> Response:
        """Show the form for the institution's declaration, or register with it."""
        asked = RegistrationRequest(
            str(request.path_params["token"]), values.get("openid_configuration", ""), values.get("registration_token", "")
        )
        origins = [check_request(asked, self.platforms, self._settings).origin]
        if request.method == "GET":
            return register_page(asked, {}, "", origins)
        try:
            platform = register(asked, values, self.platforms, self._settings)
        except UsageError as error:
            self._count("lti_refused", 'request="registration",code="declaration"')
            return register_page(asked, values, str(error), origins, 422)
        self._count("lti_registrations", "")
        _LOG.info("lti platform registered: %s, %s", platform.id, platform.policy.level)
        return registered_page(platform)

    def _platform(self, name: str) -> Platform:
        """Return the platform of a state.

        Raises:
            LtiError: the platform has been removed since the login.
        """
        try:
            return self.platforms.get(name)
        except UsageError:
            raise LtiError("platform-unknown", "This learning platform is no longer registered here.", 403) from None


async def _values(request: Request) -> dict[str, str]:
    """Return the parameters of a request, from its form (POST) or its query.

    Raises:
        LtiError: the body is too large or not a form, or a parameter is given twice.
    """
    if request.method != "POST":
        return _parsed(request.url.query)
    if Headers(scope=request.scope).get("content-type", "").split(";")[0].strip() != "application/x-www-form-urlencoded":
        raise LtiError("form-type", "The request must contain a form (application/x-www-form-urlencoded).", 415)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM:
            raise LtiError("form-too-large", f"The form is larger than {MAX_FORM // 1024} KiB.", 413)
    return _parsed(body.decode("utf-8", "replace"))


def _parsed(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError:
        raise LtiError("form-malformed", "The parameters of the request cannot be read.") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise LtiError("form-malformed", "A parameter of the request is given twice.")
    return values


def _code_of(error: MienError) -> tuple[str, int]:
    """Return the code and the HTTP status of an error."""
    if isinstance(error, LtiError):
        return error.code, error.status
    if isinstance(error, NotPermittedError):
        return "not-permitted", 403
    return ("unavailable", 503) if isinstance(error, DeviceError) else ("class", 409)

"""HTML responses of the LTI tool, with headers that restrict where they may be embedded."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse, RedirectResponse, Response

from mien.pages import render
from mien.privacy.deployment import CHOICES, CONTEXTS_WITHOUT_OTHERS, EXCLUDED_PURPOSES, QUESTIONS
from mien.privacy.level import Level
from mien.web.lti.origins import origin_of
from mien.web.lti.platforms import Platform
from mien.web.lti.registration import RegistrationRequest

HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ASKED: Final = ("context", "jurisdiction", "purpose", "operator", "contact", "legal_basis", "approval")
_EXCLUDED: Final = {
    "context": CONTEXTS_WITHOUT_OTHERS,
    "purpose": frozenset({*EXCLUDED_PURPOSES, "self-observation", "software-test"}),
    "legal_basis": frozenset({"none"}),
}
"""Choices that are hidden because they would be refused."""
_PERMITTED: Final = {
    Level.FULL: "expressions, presence, facing the screen and the learners' own signals",
    Level.OBSERVABLES: "presence, facing the screen and the learners' own signals; no expressions",
}


def frame_ancestors(origins: Iterable[str]) -> str:
    """Return the directive of a content security policy that lets pages of these origins embed a page.

    >>> frame_ancestors(["https://lms.example.org"])
    "frame-ancestors 'self' https://lms.example.org"
    """
    return " ".join(("frame-ancestors 'self'", *origins))


def message_page(heading: str, message: str, code: str, status: int, origins: Iterable[str]) -> Response:
    """Return a page with the reason why a request was refused."""
    sentence = f"{message[:1].upper()}{message[1:].removesuffix('.')}."  # other errors of Mien lack a capital and a full stop
    values = {"title": "Mien", "heading": heading, "message": sentence, "code": code}
    return _page("lti_message.html", origins, "'none'", values, status)


def open_page(address: str, title: str, origins: Iterable[str]) -> Response:
    """Return the page that opens a class, in the same frame if it may use the camera, otherwise in a new window."""
    values = {"title": "Mien", "heading": title or "Your class", "address": address}
    return _page("lti_open.html", origins, "'none'", values)


def redirect(address: str) -> Response:
    """Return a redirect that is not cached."""
    return RedirectResponse(address, status_code=303, headers=dict(HEADERS))


def link_page(token: str, return_url: str, title: str, origins: Iterable[str]) -> Response:
    """Return the page on which a teacher adds a class to a course."""
    values = {"title": "Mien", "heading": title, "token": token, "return_url": return_url}
    # browsers apply form-action to redirects too, and a platform may redirect to another of its hosts
    target = "https:" if urlsplit(return_url).scheme == "https" else f"https: {origin_of(return_url)}"
    return _page("lti_link.html", origins, target, values)


def register_page(
    request: RegistrationRequest, answers: Mapping[str, str], fault: str, origins: Iterable[str], status: int = 200
) -> Response:
    """Return the form with the institution's declaration."""
    questions = [
        (
            key,
            QUESTIONS[key],
            [(word, meaning) for word, meaning in CHOICES.get(key, {}).items() if word not in _EXCLUDED.get(key, ())],
        )
        for key in _ASKED
    ]
    values: dict[str, Any] = {"title": "Mien", "heading": "Register Mien", "request": request, "answers": answers}
    return _page("lti_register.html", origins, "'self'", {**values, "fault": fault, "questions": questions}, status)


def registered_page(platform: Platform) -> Response:
    """Return the page that is shown after a registration; it lists what may be read."""
    rule = platform.policy.rule
    values = {
        "title": "Mien",
        "heading": "Mien is registered",
        "permitted": _PERMITTED[rule.level],
        "reason": rule.reason,
        "rule": rule.name,
        "duties": rule.duties,
        "deployment": bool(platform.deployments),
        "platform": platform.id,
    }
    return _page("lti_registered.html", platform.origins, "'none'", values)


def _page(template: str, origins: Iterable[str], form_action: str, values: Mapping[str, Any], status: int = 200) -> Response:
    nonce = secrets.token_urlsafe(16)
    policy = (
        "default-src 'none'",
        f"script-src 'nonce-{nonce}'",
        f"style-src 'nonce-{nonce}'",
        "base-uri 'none'",
        f"form-action {form_action}",
        frame_ancestors(origins),
    )
    headers = {**HEADERS, "Content-Security-Policy": "; ".join(policy)}
    return HTMLResponse(render(template, nonce=nonce, **values), status, headers)

"""Reads LTI claims: message type, user, role, course and link."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mien.visible import visible
from mien.web.lti.errors import LtiError
from mien.web.lti.launch import Role
from mien.web.lti.platforms import Platform

CLAIM: Final = "https://purl.imsglobal.org/spec/lti/claim/"
DEEP_LINKING_CLAIM: Final = "https://purl.imsglobal.org/spec/lti-dl/claim/"
RESOURCE_LINK: Final = "LtiResourceLinkRequest"
DEEP_LINKING: Final = "LtiDeepLinkingRequest"
VERSION: Final = "1.3.0"
MAX_TITLE: Final = 120
_MAX_ID: Final = 500
_CONTEXT_ROLE: Final = re.compile(r"http://purl\.imsglobal\.org/vocab/lis/v2/membership(?:#|/)(\w+)(?:#\w+)?")
_INSTITUTION_ROLE: Final = re.compile(r"http://purl\.imsglobal\.org/vocab/lis/v2/institution/person#(\w+)")
_IN_CONTEXT: Final = {"Instructor": Role.TEACHER, "Administrator": Role.TEACHER, "Learner": Role.LEARNER}
_IN_INSTITUTION: Final = {"Instructor": Role.TEACHER, "Student": Role.LEARNER, "Learner": Role.LEARNER}
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}")


def message_type(claims: Mapping[str, Any], platform: Platform) -> str:
    """Return the type of a message: ``RESOURCE_LINK`` or ``DEEP_LINKING``.

    Raises:
        LtiError: the type or version is not supported, or the installation of the tool is unknown.
    """
    if claims.get(f"{CLAIM}version") != VERSION:
        raise LtiError("version", f"The message is not of LTI version {VERSION}.")
    kind = claims.get(f"{CLAIM}message_type")
    if kind not in (RESOURCE_LINK, DEEP_LINKING):
        raise LtiError("message-type", f"The message must be of the type {RESOURCE_LINK} or {DEEP_LINKING}.")
    if claims.get(f"{CLAIM}deployment_id") not in platform.deployments:
        message = "This installation of the tool (deployment_id) is not registered here. Ask the operator of Mien to add it."
        raise LtiError("deployment-unknown", message, 403)
    return str(kind)


def role_of(claims: Mapping[str, Any]) -> Role:
    """Return the user's role.

    Roles in the course take precedence. Roles in the institution are used only if there are none, as with Open edX. A
    user who is both teacher and learner is a teacher.

    Raises:
        LtiError: the user is neither a teacher nor a learner.
    """
    named = claims.get(f"{CLAIM}roles")
    texts = [each for each in named if isinstance(each, str)] if isinstance(named, list) else []
    in_course = [found[1] for each in texts if (found := _CONTEXT_ROLE.fullmatch(each))]
    in_institution = [found[1] for each in texts if (found := _INSTITUTION_ROLE.fullmatch(each))]
    known, names = (_IN_CONTEXT, in_course) if in_course else (_IN_INSTITUTION, in_institution)
    roles = {known[name] for name in names if name in known}
    if not roles:
        raise LtiError("role", "Only teachers and learners of the course can open the class.", 403)
    return Role.TEACHER if Role.TEACHER in roles else Role.LEARNER


def subject_of(claims: Mapping[str, Any]) -> str:
    """Return the platform's id of the user.

    Raises:
        LtiError: there is none. Without it, one person could join as many participants.
    """
    return _id(claims, "sub", "subject", "The learning platform does not identify the user (sub).")


def resource_of(claims: Mapping[str, Any]) -> str:
    """Return the platform's id of the link in the course.

    Raises:
        LtiError: there is none.
    """
    return _id(_part(claims, "resource_link"), "id", "resource", "The message does not name the link in the course.")


def context_of(claims: Mapping[str, Any]) -> str:
    """Return the platform's id of the course, "" if there is none."""
    found = _part(claims, "context").get("id")
    return found if isinstance(found, str) and len(found) <= _MAX_ID else ""


def title_of(claims: Mapping[str, Any]) -> str:
    """Return the title of the link, else of the course, else "", on one line."""
    for part in ("resource_link", "context"):
        found = _part(claims, part).get("title")
        if isinstance(found, str) and found.strip():
            return short_title(found)
    return ""


def short_title(text: str) -> str:
    """Return a title on one line, shortened and without control characters."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1] + "…"


def language_of(claims: Mapping[str, Any]) -> str:
    """Return the language of the user's interface, "" if there is none."""
    for found in (_part(claims, "launch_presentation").get("locale"), claims.get("locale")):
        if isinstance(found, str) and _LANGUAGE.fullmatch(found):
            return found.replace("_", "-")
    return ""


def _part(claims: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = claims.get(f"{CLAIM}{name}")
    return found if isinstance(found, dict) else {}


def _id(values: Mapping[str, Any], key: str, code: str, message: str) -> str:
    found = values.get(key)
    if not isinstance(found, str) or not 0 < len(found) <= _MAX_ID:
        raise LtiError(code, message)
    return found

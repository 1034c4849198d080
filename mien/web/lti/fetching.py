"""Requests to a registered platform, without redirects and with a deadline and a size limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.documents import parse_json
from mien.messaging.http import send
from mien.web.lti.errors import LtiError
from mien.web.lti.settings import LtiSettings


def request_json(
    settings: LtiSettings, method: str, url: str, what: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> dict[str, Any]:
    """Return the JSON object at an address of a platform.

    The response is limited to 64 KiB and 10 s; no redirect is followed (``mien.messaging.http``).

    Args:
        settings: settings that determine which addresses are allowed.
        method: HTTP method.
        url: address, which is checked.
        what: description of the requested document, for error messages.
        headers: additional headers.
        body: request body.

    Raises:
        LtiError: there is no response, or not a JSON object.
        UsageError: the address is not allowed.
    """
    settings.check_address(url, f"the address of {what}")
    response = send(method, url, {"Accept": "application/json", **(headers or {})}, body)
    if response.status == 0:
        raise LtiError("platform-unreachable", f"The learning platform does not send {what}: {response.body}.", 502)
    if not response.is_delivered:
        raise LtiError("platform-error", f"The learning platform does not send {what}: status {response.status}.", 502)
    try:
        found = parse_json(response.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        message = f"The learning platform's response for {what} is not a JSON object of at most 64 KiB."
        raise LtiError("platform-invalid", message, 502)
    return found

"""One HTTP request to a server the user named: bounded in time and size, and never led elsewhere."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from mien.errors import UsageError

TIMEOUT_S: Final = 10.0
_MAX_ANSWER: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    Attributes:
        status: HTTP's status; 0 where no answer came.
        body: the beginning of its text, or why no answer came.
        retry_after_s: how long it asks to be left alone, 0 where it does not say.
    """

    status: int
    body: str
    retry_after_s: float = 0.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected message would hand its secrets to a server that nobody named."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def check_url(url: str, name: str) -> str:
    """Return a URL that messages may be sent to: https, or http on this computer.

    Args:
        url: what the user gave.
        name: of the setting, for errors.

    Raises:
        UsageError: anything else.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise UsageError(f"{name} is {url!r}, which is no URL: {error}") from error
    if parts.username or parts.password:
        raise UsageError(f"{name} holds a name or password; give these in their own settings")
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{name} is {url!r}; it must begin with https://")
    if parts.scheme == "http" and not is_this_computer(url):
        raise UsageError(f"{name} is {url!r}; outside this computer it must be https://, since others could read along")
    return url


def send(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float = TIMEOUT_S) -> Answer:
    """Return what the server answers; a server that cannot be reached is an answer with status 0."""
    request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)  # noqa: S310  check_url has seen it
    try:
        with _opener.open(request, timeout=timeout_s) as answer:
            return Answer(answer.status, _text(answer.read(_MAX_ANSWER)))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _text(error.read(_MAX_ANSWER)), _seconds(error.headers.get("Retry-After", "")))
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return Answer(0, getattr(reason, "strerror", None) or str(reason) or type(error).__name__)


def is_this_computer(url: str) -> bool:
    """Return whether what is sent to ``url`` stays on this computer; a URL without a host does (a local socket, a file)."""
    host = urlsplit(url).hostname or "localhost"
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _seconds(text: str) -> float:
    """Return a Retry-After in seconds; a date is taken for a minute."""
    if not text:
        return 0.0
    return float(text) if text.isdigit() else 60.0

"""HTTP requests to configured servers, with a deadline, without redirects and without exceptions.

This is the standard library's client with three changes: the timeout covers the whole request, redirects
are not followed, and proxies never see plain text.
"""

from __future__ import annotations

import http.client
import io
import queue
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlsplit

from mien.errors import UsageError
from mien.loopback import is_loopback, is_loopback_address
from mien.version import VERSION

TIMEOUT_S: Final = 10.0
MAX_RETRY_AFTER_S: Final = 3600.0
"""Upper bound of Retry-After, in seconds."""
USER_AGENT: Final = f"mien/{VERSION}"
_MAX_BODY: Final = 64 * 1024
_INVALID_RETRY_AFTER_S: Final = 60.0
_PAGE: Final = re.compile(r"<(!doctype\s+html|html|head|body|title|script|meta)\b", re.IGNORECASE)
_PAGE_PREFIX: Final = 2048


@dataclass(frozen=True, slots=True)
class Response:
    """Response of a server.

    Attributes:
        status: HTTP status; 0 without a response.
        body: start of the text, or the reason for no response. It may echo the request, including secrets.
        retry_after_s: Retry-After in seconds, at most ``MAX_RETRY_AFTER_S``; 0 for none.
        is_page: whether the body is a web page, such as the login page of a network.
    """

    status: int
    body: str
    retry_after_s: float = 0.0
    is_page: bool = False

    @property
    def is_delivered(self) -> bool:
        """Whether the message was delivered: a 2xx status without a web page."""
        return 200 <= self.status < 300 and not self.is_page


def check_url(url: str, name: str) -> str:
    """Return a URL after checking it: https, or http to this computer, without a fragment, which is never sent.

    Args:
        url: URL from the user; errors do not quote it, since it may contain a password.
        name: name of the setting, for errors.

    Raises:
        UsageError: any other URL.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:  # its message quotes parts of the URL
        raise UsageError(f"{name} is not a valid URL. Write it like https://HOST/PATH or https://HOST:PORT/PATH") from None
    if "@" in parts.netloc:
        raise UsageError(f"{name} contains a user name or password; use their own settings")
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{name} must begin with https:// and a host. Its value is not shown, as it may contain a password")
    if re.search(r"[\x00-\x20\x7f]", url):
        raise UsageError(f"{name} contains a space or control character; percent-encode it, for example as %20")
    if "#" in url:
        raise UsageError(f"{name} contains a fragment (#), which is never sent. Remove it, or percent-encode it as %23")
    if parts.scheme == "http" and not is_local_url(url):
        raise UsageError(f"{name} is on {host}; servers on other computers must use https://")
    return url


def send(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float = TIMEOUT_S) -> Response:
    """Send a request and return the response; status 0 if there is none.

    Args:
        method: HTTP method.
        url: URL checked by ``check_url``.
        headers: additional headers.
        body: request body.
        timeout_s: deadline for the whole request in seconds, from the name lookup to the last byte of the response.
    """
    deadline_s = time.monotonic() + timeout_s
    try:
        request = urllib.request.Request(  # noqa: S310  checked by check_url
            _ascii(url), data=body, headers={"User-Agent": USER_AGENT, **headers}, method=method
        )
        with _opener(url, deadline_s).open(request, timeout=_left_s(deadline_s)) as response:
            text = response.read(_MAX_BODY).decode("utf-8", "replace")
            page = _is_page(response.headers.get_content_type(), text)
            return Response(response.status, text, _retry_after_s(response.headers.get("Retry-After", "")), page)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Response(0, _reason(error))


def is_local_url(url: str) -> bool:
    """Return whether ``url`` is on this computer."""
    return is_loopback(urlsplit(url).hostname or "")


class _BoundedReader(io.RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, sock: socket.socket, deadline_s: float) -> None:
        self._socket, self._deadline_s = sock, deadline_s
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(_left_s(self._deadline_s))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, deadline_s: float, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_BoundedReader(sock, deadline_s))


class _Connection(http.client.HTTPConnection):
    """A connection whose timeout covers the whole request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline_s = time.monotonic() + (self.timeout or TIMEOUT_S)
        self._create_connection = self._open
        self.response_class = partial(_Response, self._deadline_s)  # type: ignore[assignment]

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(_left_s(self._deadline_s))
        super().send(data)

    def _open(self, address: tuple[str, int], *more: Any) -> socket.socket:
        """Connect to the first reachable address of a host; ``localhost`` never resolves to another computer."""
        host, port = address
        found = _lookup(host, port, self._deadline_s)
        if is_loopback(host):
            found = [each for each in found if is_loopback_address(str(each[4][0]))]
        failure = OSError(f"{host} has no usable address")
        for number, (family, kind, protocol, _, place) in enumerate(found):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(_left_s(self._deadline_s) / (len(found) - number))
                sock.connect(place)
                sock.settimeout(_left_s(self._deadline_s))  # the rest of the request may use the remaining time
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise failure


class _SecureConnection(http.client.HTTPSConnection, _Connection):
    """The same over TLS, with the system's trusted certificates."""


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)


class _NoRedirects(urllib.request.HTTPErrorProcessor):
    """Returns every response unchanged: following a redirect would send secrets to another server."""

    def http_response(self, request: urllib.request.Request, response: http.client.HTTPResponse) -> http.client.HTTPResponse:
        return response

    https_response = http_response


def _opener(url: str, deadline_s: float) -> urllib.request.OpenerDirector:
    """Return an opener that uses the user's proxy only for https to other computers."""
    parts = urlsplit(url)
    direct = parts.scheme == "http" or "https" not in urllib.request.getproxies() or _is_here(parts.hostname or "", deadline_s)
    return urllib.request.build_opener(_Handler, _NoRedirects, urllib.request.ProxyHandler({} if direct else None))


def _is_here(host: str, deadline_s: float) -> bool:
    """Return whether all addresses of a host are loopback addresses; False if it has none, as behind many proxies.

    It takes at most a third of the remaining time, because name servers may not respond behind a proxy.
    """
    try:
        found = _lookup(host, 443, time.monotonic() + _left_s(deadline_s) / 3)
    except OSError:
        return False
    return bool(found) and all(is_loopback_address(str(each[4][0])) for each in found)


def _lookup(host: str, port: int, deadline_s: float) -> list[Any]:
    """Return ``socket.getaddrinfo`` of a host. It has no timeout, so it runs in a thread that is abandoned if it hangs.

    Raises:
        OSError: the host has no address, or the deadline has passed.
    """
    found: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except OSError as error:
            found.put(error)
        except UnicodeError:
            found.put(OSError(f"{host} is not a host name"))

    threading.Thread(target=ask, name="name lookup", daemon=True).start()
    try:
        answer = found.get(timeout=_left_s(deadline_s))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _ascii(url: str) -> str:
    """Return a URL in ASCII: host name in IDNA, the rest percent-encoded."""
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode("ascii")
    host = f"[{host}]" if ":" in host else host
    path, query = (quote(part, safe="/%:@!$&'()*+,;=?~") for part in (parts.path, parts.query))
    return parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}", path=path, query=query).geturl()


def _is_page(kind: str, text: str) -> bool:
    """Return whether a body is a web page; the text decides, since servers send a plain "ok" as HTML."""
    return ("html" in kind and "<" in text) or (
        text.lstrip("\ufeff \t\r\n").startswith("<") and _PAGE.search(text[:_PAGE_PREFIX]) is not None
    )


def _retry_after_s(text: str) -> float:
    """Return the delay in seconds of a Retry-After header, which contains seconds or a date."""
    text = text.strip()
    if not text:
        return 0.0
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        wait_s = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, OSError):
        return _INVALID_RETRY_AFTER_S
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)


def _reason(error: Exception) -> str:
    """Return the reason for no response, without text from the server, which may contain a password."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "timed out"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, http.client.RemoteDisconnected):
        return "it closed the connection without a response"
    if isinstance(cause, OSError):
        refused = re.match(r"Tunnel connection failed: (\d{3})", str(cause))
        return f"the proxy responded {refused[1]}" if refused else cause.strerror or "no connection"
    return "its response is not valid HTTP or is incomplete"

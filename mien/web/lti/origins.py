"""Origins of web addresses, in the form that browsers send and that a content security policy accepts."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

_NAME: Final = re.compile(r"[a-z0-9.-]+")
_PORTS: Final = {"http": 80, "https": 443}
_AMBIGUOUS: Final = re.compile("[ßς\u200c\u200d]")
"""Characters that Python replaces or removes in a host name, and browsers do not."""


def origin_of(url: str) -> str:
    """Return the origin of an HTTP address as browsers write it; "" if the address has none.

    The host must be an IP address, or a name of letters, digits, hyphens and dots in its ASCII form. Anything else could be
    a wildcard or another directive in a header.

    >>> origin_of("https://LMS.example.org:443/course?id=3")
    'https://lms.example.org'
    >>> origin_of("https://bücher.example"), origin_of("http://[0:0::1]:8000/")
    ('https://xn--bcher-kva.example', 'http://[::1]:8000')
    >>> [origin_of(url) for url in ("https://*", "https://x;sandbox", "https://[fe80::1%;x]", "https://a@b", "ftp://x")]
    ['', '', '', '', '']
    """
    try:
        parts = urlsplit(url)
        port, name = parts.port, parts.hostname or ""
        host = _address(name) if "[" in parts.netloc else _ascii(name)
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc:
        return ""
    return f"{parts.scheme}://{host}" if port in (None, _PORTS[parts.scheme]) else f"{parts.scheme}://{host}:{port}"


def _address(text: str) -> str:
    address = IPv6Address(text)
    return "" if address.scope_id else f"[{address.compressed}]"


def _ascii(name: str) -> str:
    host = name.encode("idna").decode("ascii")
    return host if _NAME.fullmatch(host) and not _AMBIGUOUS.search(name) else ""

"""Detection of loopback hosts, for data that must not leave this computer."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address


def is_loopback(host: str) -> bool:
    """Return whether a host is ``localhost`` or a loopback address in any notation.

    Other names are not resolved, because the result of a name lookup can change. No network access.

    >>> [is_loopback(host) for host in ("localhost", "127.8.0.1", "127.1", "::1", "::ffff:127.0.0.1")]
    [True, True, True, True, True]
    >>> [is_loopback(host) for host in ("", "192.0.2.1", "127.0.0.1.example.org", "localhost.example.org")]
    [False, False, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST) if host else []
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(is_loopback_address(str(each[4][0])) for each in found)


def is_loopback_address(text: str) -> bool:
    """Return whether an IP address is a loopback address, including IPv4-mapped IPv6 addresses."""
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback

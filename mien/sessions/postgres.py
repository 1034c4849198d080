"""Determines which servers libpq, PostgreSQL's client library, would connect to, and hides secrets in URLs.

The URL alone is not enough: its query can name another host, and missing parts come from the
environment (``PGHOST``, ``PGHOSTADDR``, …) or from a service file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from mien.errors import UsageError
from mien.loopback import is_loopback
from mien.visible import repeats, visible

_SHOWN: Final = ("host", "hostaddr", "port", "service")
_SECRET: Final = ("password", "sslpassword")
_CONNECT_S: Final = 10
"""Default timeout per server; libpq itself would wait forever."""


def parse_url(url: str) -> URL:
    """Return a parsed database URL.

    Raises:
        UsageError: not a valid URL. The error does not repeat it, since it may hold a password.
    """
    try:
        parsed = make_url(url)
        parsed.get_dialect()().create_connect_args(parsed)  # some parts are checked only here
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or any("@" in str(each)[1:] for each in (parsed.host or "", *map(parsed.query.get, _SHOWN))):
        raise UsageError(
            "--db or MIEN_DB is not a database URL; use sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME. "
            "Percent-encode special characters in a password: @ is %40, : is %3A, / is %2F"
        ) from None
    return parsed


def connects_here(url: URL) -> bool:
    """Return whether every server that libpq would try is on this computer: a socket file or a loopback address.

    Only libpq can resolve a service, so a service counts as another computer.

    Raises:
        UsageError: libpq cannot read the URL's parameters.
    """
    options = _options(url)
    if options.get("service"):
        return False
    servers = [*str(options.get("hostaddr", "")).split(","), *str(options.get("host", "")).split(",")]
    return all(not server or server.startswith("@") or Path(server).is_absolute() or is_loopback(server) for server in servers)


def place_of(url: URL) -> str:
    """Return a URL for display, without driver and passwords, and only with options that locate the server."""
    shown = {key: value for key, value in url.query.items() if key in _SHOWN}
    return URL.create(url.get_backend_name(), url.username, None, url.host, url.port, url.database, shown).render_as_string()


def location_of(url: URL) -> str:
    """Return server and name of a PostgreSQL database as libpq resolves them, as a URL without user or password.

    Raises:
        UsageError: libpq cannot read the URL's parameters.
    """
    options = {key: str(value) for key, value in _options(url).items()}
    host, port = options.get("host") or options.get("hostaddr", ""), options.get("port", "")
    elsewhere = {"service": options["service"]} if options.get("service") else {}
    name = options.get("dbname") or options.get("user", "")
    if re.fullmatch(r"[\w.:-]+", host) and port.isdigit():
        return URL.create("postgresql", host=host, port=int(port), database=name, query=elsewhere).render_as_string()
    several = {key: value for key, value in (("host", host), ("port", port)) if value}  # a socket, or several servers
    return URL.create("postgresql", database=name, query=several | elsewhere).render_as_string()


def secrets_of(url: URL) -> list[str]:
    """Return the passwords in a URL."""
    return [str(each) for each in (url.password, *(url.query.get(key) for key in _SECRET)) if each]


def secret_sent(error: BaseException | None) -> str:
    """Return the password of a failed connection, including one from a password or service file."""
    password = getattr(getattr(error, "pgconn", None), "password", None)
    return password.decode("utf-8", "replace") if isinstance(password, bytes) else ""


def reason_of(error: BaseException | None, url: URL) -> str:
    """Return the first line of a driver's error, or only its type if the text repeats a password of ``url`` or of libpq."""
    text = str(error).strip()
    if not text or repeats(text, [*secrets_of(url), os.environ.get("PGPASSWORD", ""), secret_sent(error)]):
        return type(error).__name__
    return visible(text.splitlines()[0])


def with_deadline(url: URL) -> URL:
    """Return the URL with a connection timeout, unless one is set."""
    if "connect_timeout" in url.query or os.environ.get("PGCONNECT_TIMEOUT"):
        return url
    return url.update_query_dict({"connect_timeout": str(_CONNECT_S)})


def _options(url: URL) -> dict[str, Any]:
    """Return all connection parameters as libpq resolves them: from the URL, else the environment, else its defaults."""
    from psycopg import ProgrammingError, pq
    from psycopg.conninfo import conninfo_to_dict

    try:
        arguments, given = url.get_dialect()().create_connect_args(url)
        named = conninfo_to_dict(*arguments, **given)
        known = {each.keyword.decode(): each.val.decode() for each in pq.Conninfo.get_defaults() if each.val is not None}
    except (ArgumentError, ProgrammingError, ValueError):
        raise UsageError(
            "the database's URL, or a variable PG… of the environment, cannot be read by PostgreSQL's library"
        ) from None
    return known | named

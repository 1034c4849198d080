"""A PostgreSQL of the tests' own: made, started on a socket in a temporary folder, stopped, deleted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg
from sqlalchemy import make_url

_OPEN: Final = "SELECT query FROM pg_stat_activity WHERE datname = %s"


class PostgresServer:
    """A running server; every database it makes is new and empty."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def create_database(self) -> str:
        """Create a database and return its URL."""
        name = f"mien_{uuid4().hex}"
        with self._connection() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://mien@/{name}?host={self._socket}"

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """Yield the URL of a database; in the end no connection to it may be open."""
        url = self.create_database()
        yield url
        with self._connection() as connection:
            deadline = time.monotonic() + 10  # the server takes a moment to notice that one was closed
            while queries := connection.execute(_OPEN, [make_url(url).database]).fetchall():
                assert time.monotonic() < deadline, f"connections are still open; they ran last: {queries}"
                time.sleep(0.01)

    def _connection(self) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self._socket), user="mien", dbname="postgres", autocommit=True)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server, and stop it in the end; it refuses to run as root, so root lends it to another user."""
    as_user: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="mien-pg-"))
    if os.geteuid() == 0:
        import pwd

        names = {entry.pw_name for entry in pwd.getpwall()}
        user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def call(*command: str) -> None:
        # pg_ctl's server keeps the descriptors it is given, so its output goes to a file
        with (folder / "log").open("ab") as log:
            done = subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=False, timeout=900, **as_user)
        assert done.returncode == 0, (folder / "log").read_text()

    data = str(folder / "data")
    try:
        call("initdb", "-D", data, "-U", "mien", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        call("pg_ctl", "-D", data, "-w", "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start")
        try:
            yield PostgresServer(folder)
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

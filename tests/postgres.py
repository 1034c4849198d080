"""A PostgreSQL of the tests' own: made, started on a socket in a temporary folder, stopped, deleted."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg


class PostgresServer:
    """A running server; every database it makes is new and empty."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def new_database(self) -> str:
        name = f"mien_{uuid4().hex}"
        with psycopg.connect(host=str(self._socket), user="mien", dbname="postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://mien@/{name}?host={self._socket}"


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

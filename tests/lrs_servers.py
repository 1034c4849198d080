"""Learning record stores for tests: one of our own that is strict about xAPI 1.0.3, and Ralph where it is installed."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

USER, PASSWORD = "mien", "geheim"
UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
IRI_FORM = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S+")
DURATION_FORM = re.compile(r"PT\d+(\.\d{1,2})?S")
TIME_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def faults(statement: Any) -> list[str]:
    """Return what is wrong with a statement by the rules of xAPI 1.0.3, part two, as far as Mien's kind of statement goes."""
    found: list[str] = []

    def need(holds: bool, what: str) -> None:
        if not holds:
            found.append(what)

    def only(thing: Any, allowed: set[str], required: set[str], what: str) -> None:
        need(isinstance(thing, dict), f"{what} is an object")
        if isinstance(thing, dict):
            need(set(thing) <= allowed, f"{what} has unknown properties {sorted(set(thing) - allowed)}")
            need(required <= set(thing), f"{what} lacks {sorted(required - set(thing))}")

    def language_map(thing: Any, what: str) -> None:
        need(
            isinstance(thing, dict) and all(re.fullmatch(r"[a-z]{2}(-[A-Z]{2})?", key) for key in thing),
            f"{what} is a language map",
        )

    def activity(thing: Any, what: str) -> None:
        only(thing, {"objectType", "id", "definition"}, {"id"}, what)
        need(thing.get("objectType", "Activity") == "Activity", f"{what} is an activity")
        need(bool(IRI_FORM.fullmatch(str(thing.get("id")))), f"{what}'s id is an IRI")
        if "definition" in thing:
            only(thing["definition"], {"name", "description", "type", "moreInfo", "extensions"}, set(), f"{what}'s definition")
            language_map(thing["definition"].get("name", {}), f"{what}'s name")
            need(bool(IRI_FORM.fullmatch(thing["definition"].get("type", "x:y"))), f"{what}'s type is an IRI")

    def no_null(thing: Any, path: str) -> None:
        need(thing is not None, f"{path} is null")
        for key, value in thing.items() if isinstance(thing, dict) else ():
            if path.endswith(".extensions"):
                need(bool(IRI_FORM.fullmatch(key)), f"extension {key!r} is an IRI")
            no_null(value, f"{path}.{key}")
        for value in thing if isinstance(thing, list) else ():
            no_null(value, f"{path}[]")

    properties = {
        "id",
        "actor",
        "verb",
        "object",
        "result",
        "context",
        "timestamp",
        "stored",
        "authority",
        "version",
        "attachments",
    }
    only(statement, properties, {"id", "actor", "verb", "object"}, "the statement")
    if found:
        return found
    need(bool(UUID_FORM.fullmatch(statement["id"])), "id is a UUID")
    only(statement["actor"], {"objectType", "name", "account"}, {"account"}, "the actor")
    need(statement["actor"].get("objectType", "Agent") == "Agent", "the actor is an agent")
    only(statement["actor"].get("account"), {"homePage", "name"}, {"homePage", "name"}, "the account")
    only(statement["verb"], {"id", "display"}, {"id"}, "the verb")
    need(bool(IRI_FORM.fullmatch(statement["verb"].get("id", ""))), "the verb's id is an IRI")
    language_map(statement["verb"].get("display", {}), "the verb's display")
    activity(statement["object"], "the object")
    result = statement.get("result", {})
    if result is None:
        return ["the result is null"]
    only(result, {"score", "success", "completion", "response", "duration", "extensions"}, set(), "the result")
    need(bool(DURATION_FORM.fullmatch(result.get("duration", "PT0S"))), "the duration is one of ISO 8601 to the hundredth")
    context = statement.get("context", {})
    only(context, {"registration", "platform", "contextActivities", "extensions", "language"}, set(), "the context")
    need(bool(UUID_FORM.fullmatch(context.get("registration", ""))), "the registration is a UUID")
    only(context.get("contextActivities", {}), {"parent", "grouping", "category", "other"}, set(), "the context's activities")
    for kind, things in context.get("contextActivities", {}).items():
        for thing in things:
            activity(thing, kind)
    need(bool(TIME_FORM.fullmatch(statement.get("timestamp", ""))), "the timestamp is one of RFC 3339")
    need(statement.get("version", "1.0.0").startswith("1.0."), "the version is 1.0.x")
    no_null(statement, "statement")
    return found


class StrictStore:
    """A store's statements resource over real HTTP, that can be told to fail, and counts."""

    def __init__(self, port: int) -> None:
        self.statements: dict[str, dict[str, Any]] = {}
        self.arrivals: list[str] = []
        self.faults: list[str] = []
        self.failing = 0
        self.cut_after_storing = 0
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(*store.put(self, body))

            def do_GET(self) -> None:
                wanted = parse_qs(urlsplit(self.path).query).get("statementId", [""])[0]
                self._answer(200 if wanted in store.statements else 404, json.dumps(store.statements.get(wanted, {})))

            def _answer(self, status: int, text: str) -> None:
                if status == 0:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                data = b"" if status == 204 else text.encode()
                self.send_response(status)
                self.send_header("X-Experience-API-Version", "1.0.3")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def put(self, request: Any, body: bytes) -> tuple[int, str]:
        if self.failing:
            self.failing -= 1
            return 503, "try later"
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {token}":
            return 401, "who are you?"
        if not request.headers.get("X-Experience-API-Version", "").startswith("1.0."):
            return 400, "no version"
        statement = json.loads(body)
        wrong = faults(statement)
        if parse_qs(urlsplit(request.path).query)["statementId"] != [statement["id"]]:
            wrong.append("statementId is another")
        if wrong:
            self.faults += wrong
            return 400, "; ".join(wrong)
        known = self.statements.get(statement["id"])
        if known is not None and known != statement:
            return 409, "another statement of that id is here"
        self.arrivals.append(statement["id"])
        self.statements[statement["id"]] = statement
        if self.cut_after_storing:
            self.cut_after_storing -= 1
            return 0, ""
        return 204, ""

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def stored(self) -> list[dict[str, Any]]:
        return list(self.statements.values())


@contextmanager
def strict_store(port: int) -> Iterator[StrictStore]:
    store = StrictStore(port)
    try:
        yield store
    finally:
        store.close()


RALPH_PROGRAM = """
import sys
import uvicorn
from ralph.backends.data.base import BaseOperationType
from ralph.backends.lrs.fs import FSLRSBackend
FSLRSBackend.default_operation_type = BaseOperationType.APPEND  # its file storage writes once only without it
from ralph.api import app
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""


class Ralph:
    """OpenFUN's learning record store, as a process of its own on a folder of its own.

    It needs older versions of many packages than ours, so it lives in an environment of its own,
    whose Python is named in ``MIEN_RALPH_PYTHON``.
    """

    def __init__(self, folder: Path, port: int, python: str) -> None:
        self.folder, self.port, self.python = folder, port, python
        self._process: subprocess.Popen[bytes] | None = None
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._environment = kept | {
            "RALPH_APP_DIR": str(folder / "app"),
            "RALPH_AUTH_FILE": str(folder / "app" / "auth.json"),
            "RALPH_RUNSERVER_BACKEND": "fs",
            "RALPH_BACKENDS__LRS__FS__DEFAULT_DIRECTORY_PATH": str(folder / "statements"),
            "RALPH_BACKENDS__LRS__FS__DEFAULT_LRS_FILE": "statements.jsonl",
        }
        for name in ("app", "statements"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "statements" / "statements.jsonl").touch()
        if (folder / "app" / "auth.json").exists():
            return
        scopes = ["-s", "statements/write", "-s", "statements/read/mine", "-s", "statements/read"]
        command = [python, "-m", "ralph", "auth", "-u", USER, "-p", PASSWORD, *scopes, "-A", "mien", "https://lrs.example", "-w"]
        done = subprocess.run(
            command, env=self._environment, cwd=folder, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        command = [self.python, "-c", RALPH_PROGRAM, str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, cwd=self.folder, stdout=log, stderr=log)
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/__heartbeat__", timeout=5):
                    return
            except OSError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.2)
        raise AssertionError((self.folder / "log").read_text())

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=900)
            self._process = None

    def stored(self) -> list[dict[str, Any]]:
        """Return every line of its storage: a statement stored twice would be there twice."""
        lines = (self.folder / "statements" / "statements.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


def assert_valid(statement: dict[str, Any]) -> None:
    assert faults(statement) == []
    assert UUID(statement["id"]).version in (4, 5)

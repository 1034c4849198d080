"""What the program asks of the network: nothing, unless a server was named; and what is installed beside it."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from test_cli import mien

# the network
FORBID = """
import sys

def forbid(event, args):
    if event.startswith("socket.") and event != "socket.__new__":
        raise RuntimeError(f"network: {event}")

sys.addaudithook(forbid)
"""
LIVE = ("live", "--source", "demo", "--headless", "--duration-s", "2")


def with_sockets_forbidden(tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "forbid").mkdir(exist_ok=True)
    (tmp_path / "forbid" / "sitecustomize.py").write_text(FORBID)
    paths = os.pathsep.join([str(tmp_path / "forbid"), str(REPOSITORY)])
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False)


def test_live_runs_where_every_socket_is_forbidden(tmp_path: Path) -> None:
    answer = with_sockets_forbidden(tmp_path, sys.executable, "-m", "mien", *LIVE)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1])["frames"] == 50
    assert "network:" not in answer.stderr
    for call in ("socket.create_connection(('127.0.0.1', 9))", "socket.getaddrinfo('localhost', 9)"):
        trial = with_sockets_forbidden(tmp_path, sys.executable, "-c", f"import socket; {call}")
        assert "network: socket." in trial.stderr  # it is forbidden indeed


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: native code is not watched here")
def test_no_system_call_of_live_goes_to_the_network(tmp_path: Path) -> None:
    log = tmp_path / "calls.txt"
    command = ["strace", "-f", "-qq", "-e", "trace=%network", "-o", str(log), sys.executable, "-m", "mien", *LIVE]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False)
    if "ptrace" in answer.stderr.lower():
        pytest.skip(f"strace may not trace here: {answer.stderr.splitlines()[0]}")
    assert answer.returncode == 0, answer.stderr
    calls = [line for line in log.read_text().splitlines() if "(" in line]
    assert [line for line in calls if "AF_INET" in line or "sendto(" in line or "connect(" in line] == []


# what is installed
PRETENDED = """
import json, sys
print(json.dumps({"dependencies": [
    {"name": "numpy", "version": "2.4.0", "vulns": []},
    {"name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-0000-1"}]},
    {"name": "mien", "skip_reason": "not on PyPI"},
]}))
sys.exit(1)
"""


def supply_chain(cwd: Path, *arguments: str, path: str = "") -> tuple[int, dict[str, object]]:
    command = [sys.executable, str(REPOSITORY / "tools" / "supply_chain.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": path, "PIP_NO_INDEX": "1"}
    answer = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900, check=False)
    return answer.returncode, json.loads(answer.stdout.splitlines()[-1])


def test_a_known_vulnerability_ends_with_1_and_what_was_not_checked_is_said(tmp_path: Path) -> None:
    for name in ("pip_audit", "cyclonedx_py"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()  # so that it comes before an installed one
    (tmp_path / "cyclonedx_py" / "__main__.py").write_text("import sys; sys.exit('no bill')")
    (tmp_path / "pip_audit" / "__main__.py").write_text(PRETENDED)
    code, summary = supply_chain(tmp_path, path=str(tmp_path))
    assert (code, summary["vulnerable"], summary["checked"], summary["unchecked"]) == (1, 1, 2, 1)
    (tmp_path / "pip_audit" / "__main__.py").write_text("import sys; sys.exit('no network')")
    code, summary = supply_chain(tmp_path, path=str(tmp_path))
    assert (code, summary["checked"]) == (0, 0)
    assert any("no network" in reason for reason in summary["not_done"])
    assert supply_chain(tmp_path, "--strict", path=str(tmp_path))[0] == 1


def test_the_network_is_used_by_doctor_fetch_and_for_servers_that_are_named(tmp_path: Path) -> None:
    users = [
        path.name
        for path in (REPOSITORY / "mien").rglob("*.py")
        if path.relative_to(REPOSITORY / "mien").parts[0] != "web"  # servers: they listen, and ask through mien.messaging.http
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if name.split(".")[0] in ("socket", "requests", "ftplib", "smtplib", "ssl", "asyncio")
        or name in ("http.client", "http.server", "urllib.request", "urllib.error")
    ]
    assert set(users) == {"weights.py", "http.py", "loopback.py"}  # the last two: servers that the user named
    asking = ("http.client", "urllib.request", "urllib.error", "requests", "httpx", "create_connection", "open_connection")
    for path in (REPOSITORY / "mien" / "web").rglob("*.py"):
        assert not [word for word in asking if f"import {word}" in path.read_text() or f"{word}(" in path.read_text()], path
    assert "--fetch" in mien("doctor", "--help", cwd=tmp_path).stdout

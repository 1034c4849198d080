"""Load on a class server: simulated learners on the loopback, one message each ten seconds and a burst of all in one second.

    python benchmarks/class_load.py 100 1000 5000
    python benchmarks/class_load.py 20000 --processes 2 --postgres
    python benchmarks/class_load.py 60 --processes 2 --postgres --kills 20

Starts ``mien class serve`` with a new database, lets learners join a class, and sends their messages: first spread over
the interval, then all of one round within a second. A message is lost if it is not confirmed within thirty seconds, after
attempts as a page makes them. Prints latencies, lost messages, memory and processor time of the server, and one line of
JSON. ``--kills`` kills server processes that many times under load instead, half of them while bins close and half of them
in one long bin. It prints what was confirmed, stored and published, and ends with 1 if something was lost or invented.

The driver takes processor time on the same machine; its share is printed as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

from mien.privacy.lesson_bins import LessonPlan
from mien.web.classroom import schema
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.links import new_token, token_hash
from mien.web.classroom.store import ClassStore

REPOSITORY = Path(__file__).resolve().parent.parent
INTERVAL_S = 10.0
PATIENCE_S = 30.0
START_S = 300.0
"""How long a killed server may take to start again on a busy machine."""
LONG_BIN_S = 1800
"""A bin that is not over when the last process has been killed."""
TICKS = os.sysconf("SC_CLK_TCK")
RANDOM = random.Random(0)  # noqa: S311  load, no secrets


@dataclass
class Server:
    """A server process that can be killed and started again."""

    url: str
    port: int
    database: str
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-m", "mien", "class", "serve", "--port", str(self.port), "--db", self.database]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise SystemExit("the server does not start")

    def usage(self) -> tuple[float, int]:
        """Return the processor seconds that the process used, and its resident memory in bytes."""
        values = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(values[11]) + int(values[12])) / TICKS, int(values[21]) * os.sysconf("SC_PAGE_SIZE")


class Connection:
    """A kept HTTP/1.1 connection; requests on it wait for one another."""

    def __init__(self, port: int) -> None:
        self._port, self._lock = port, asyncio.Lock()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, token: str, body: bytes) -> int:
        """Send a message; return the status, 0 where the server cannot be reached."""
        head = (
            f"POST /api/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1:{self._port}\r\n"
            f"Authorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        async with self._lock:
            try:
                if self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                assert self._reader is not None
                self._writer.write(head.encode() + body)
                answer = await self._reader.readuntil(b"\r\n\r\n")
                status = int(answer[9:12])
                for line in answer.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        await self._reader.readexactly(int(line[15:]))
            except (OSError, asyncio.IncompleteReadError, ValueError):
                await self.close()
                return 0
            return status

    async def close(self) -> None:
        """Close the connection; it is opened again by the next request."""
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
        self._reader = self._writer = None


@dataclass
class Result:
    """The results of the messages of a phase."""

    latencies: list[float] = field(default_factory=list)
    lost: int = 0
    retries: int = 0

    def row(self, name: str) -> dict[str, Any]:
        ms = 1000 * np.array(self.latencies or [float("nan")])
        p50, p95, p99 = (round(float(np.percentile(ms, q)), 1) for q in (50, 95, 99))
        return {"phase": name, "messages": len(self.latencies), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "lost": self.lost}


async def send(
    connections: list[Connection], token: str, number: int, at_s: float, result: Result, patience_s: float = PATIENCE_S
) -> None:
    """Send one message at a time, and again until it is confirmed."""
    await asyncio.sleep(max(0.0, at_s - time.monotonic()))
    body = json.dumps(
        {"number": number, "measured_s": 10, "facing_s": 9, "expression_s": {"happy": 2.5, "neutral": 7.5}}, separators=(",", ":")
    ).encode()
    began = time.monotonic()
    while True:
        status = await RANDOM.choice(connections).post(token, body)
        if status in (204, 409):
            result.latencies.append(time.monotonic() - began)
            return
        if status not in (0, 503) or time.monotonic() - began > patience_s:
            result.lost += 1
            return
        result.retries += 1
        await asyncio.sleep(0.2 + 0.3 * RANDOM.random())


async def drive(
    tokens: list[str], ports: list[int], rounds: int, number: int, spread_s: float, patience_s: float = PATIENCE_S
) -> Result:
    """Send ``rounds`` messages of each learner, those of a round spread over some seconds."""
    connections = [Connection(port) for port in ports for _ in range(min(400, max(8, len(tokens) // 20)))]
    result, begin = Result(), time.monotonic() + 0.5
    tasks = []
    for step in range(rounds):
        for token in tokens:
            at_s = begin + step * INTERVAL_S + RANDOM.random() * spread_s
            tasks.append(send(connections, token, number + step, at_s, result, patience_s))
    try:
        await asyncio.gather(*tasks)
    finally:
        for connection in connections:
            await connection.close()
    return result


def joined(store: ClassStore, learners: int, bins: int, bin_s: int = 30) -> tuple[str, list[str]]:
    """Open and start a class; return it and the tokens of its participants."""
    opened = store.open_class("load", plan=LessonPlan(bin_s=bin_s, bins=bins))
    tokens = [new_token() for _ in range(learners)]
    nothing = {"notice": "load", "last_number": 0, "bin": -1, "messages": 0, "signal_bin": -1, "signals": 0}
    rows = [{"secret": token_hash(token), "class_id": opened.class_id} | nothing for token in tokens]
    with store.database.writing() as connection:
        connection.execute(insert(schema.participants), rows)
    store.start(opened.class_id)
    return opened.class_id, tokens


@contextmanager
def database(postgres: bool) -> Iterator[str]:
    if not postgres:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/classes.db"
        return
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from postgres import running_postgres

    with running_postgres() as server, server.new_database() as url:
        yield url


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def measure(learners: int, processes: int, postgres: bool, rounds: int) -> list[dict[str, Any]]:
    with database(postgres) as url, ExitStack() as stack:
        store = ClassStore(ClassDatabase(url))
        stack.callback(store.database.close)
        servers = [Server(f"http://127.0.0.1:{port}", port, url) for port in free_ports(processes)]
        for server in servers:
            stack.callback(server.process.wait)
            stack.callback(server.process.terminate)
            server.wait()
        empty = sum(server.usage()[1] for server in servers)
        _, tokens = joined(store, learners, 240)
        rows, number = [], 1
        for name, count, spread_s in (("steady", rounds, INTERVAL_S), ("burst", 1, 1.0)):
            before, mine, wall = [server.usage()[0] for server in servers], time.process_time(), time.monotonic()
            result = asyncio.run(drive(tokens, [server.port for server in servers], count, number, spread_s))
            wall = time.monotonic() - wall
            used = [server.usage() for server in servers]
            row = {"learners": learners, "processes": processes, "database": "PostgreSQL" if postgres else "SQLite"}
            row |= result.row(name)
            spent_s = sum(one for one, _ in used) - sum(before)
            row["server_cpu"] = round(spent_s / wall, 2)
            row["cpu_ms_a_message"] = round(1000 * spent_s / max(1, len(result.latencies)), 2)
            row["driver_cpu"] = round((time.process_time() - mine) / wall, 2)
            row["bytes_a_learner"] = round((sum(memory for _, memory in used) - empty) / learners)
            rows.append(row)
            number += count
        return rows


def kill(times: int, learners: int, processes: int, postgres: bool, bin_s: int = 30) -> dict[str, Any]:
    """Kill server processes under load, and compare what is stored and published with what was confirmed.

    All learners send in every bin, so each published number of measured people must be within the noise of ``learners``. With
    one long bin, which does not close, the stored milliseconds must be those of the confirmed messages exactly.
    """
    with database(postgres) as url, ExitStack() as stack:
        store = ClassStore(ClassDatabase(url))
        stack.callback(store.database.close)
        servers = [Server(f"http://127.0.0.1:{port}", port, url) for port in free_ports(processes)]
        for server in servers:
            server.wait()
            stack.callback(lambda server=server: (server.process.terminate(), server.process.wait()))
        class_id, tokens = joined(store, learners, 60, bin_s)
        kills, lost, confirmed, number = 0, 0, 0, 1

        async def killing() -> None:
            nonlocal kills
            while kills < times:
                await asyncio.sleep(1.0 + 2.0 * RANDOM.random())
                server = servers[kills % len(servers)]
                server.process.send_signal(signal.SIGKILL)
                server.process.wait()
                server.start()
                await asyncio.to_thread(server.wait)
                kills += 1

        async def run() -> None:
            nonlocal number, lost, confirmed
            killer = asyncio.create_task(killing())
            while not killer.done():
                result = await drive(tokens, [server.port for server in servers], 1, number, INTERVAL_S - 1, START_S)
                number, lost, confirmed = number + 1, lost + result.lost, confirmed + len(result.latencies)

        asyncio.run(run())
        record = store.get(class_id)
        assert record is not None
        with store.database.reading() as connection:
            stored_ms = connection.exec_driver_sql("SELECT coalesce(sum(measured_ms), 0) FROM class_contributions").scalar()
        bins = store.closed_bins(class_id)
        counts = [each.published.measured for each in bins if each.published.measured is not None]
        return {
            "kills": kills,
            "confirmed": confirmed,
            "lost": lost,
            "stored_messages": float(stored_ms or 0) / 10_000,
            "bins": [each.published.number for each in bins],
            "gaps": sum(each.state == "gap" for each in bins),
            "measured": [round(value) for value in counts],
            "noise": round(record.plan.noise, 1),
            "below_k": sum(value < record.plan.k for value in counts),
        }


def faults(found: dict[str, Any], learners: int, bin_s: int) -> list[str]:
    """Return what is wrong with the result of ``kill``."""
    bins, far = found["bins"], 6 * found["noise"]
    wrong = {
        "messages were lost": found["lost"] > 0,
        "a bin is missing or was published twice": bins != list(range(len(bins))),
        "a band was published below k": found["below_k"] > 0,
        "a bin has other numbers than were sent": any(abs(value - learners) >= far for value in found["measured"]),
        # in a bin that does not close, messages are counted exactly
        "messages were invented": bin_s >= LONG_BIN_S and found["stored_messages"] != found["confirmed"],
    }
    return [fault for fault, is_so in wrong.items() if is_so]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("learners", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=0)
    options = parser.parse_args()
    if options.kills:
        wrong = []
        for times, bin_s in ((options.kills - options.kills // 2, 30), (options.kills // 2, LONG_BIN_S)):
            found = kill(times, options.learners[0], options.processes, options.postgres, bin_s)
            found["faults"] = faults(found, options.learners[0], bin_s)
            wrong += found["faults"]
            print(json.dumps({"bin_s": bin_s, **found}), flush=True)
        raise SystemExit(1 if wrong else 0)
    rows = []
    names = ("learners", "database", "processes", "phase", "messages", "p50_ms", "p95_ms", "p99_ms", "lost")
    names += ("server_cpu", "cpu_ms_a_message", "driver_cpu", "bytes_a_learner")
    print("| " + " | ".join(name.replace("_", " ") for name in names) + " |\n" + "|---" * len(names) + "|")
    for learners in options.learners:
        for row in measure(learners, options.processes, options.postgres, options.rounds):
            print("| " + " | ".join(str(row[name]) for name in names) + " |")
            rows.append(row)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()

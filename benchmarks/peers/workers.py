"""A peer in its own process, controlled by lines of JSON.

A request is one line on the process's standard input, its answer one line on its standard output. A
process that crashes, hangs or gives an invalid answer raises ``WorkerFailure``, whose message becomes
the reason in the table. This module does not depend on the content of requests.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

_END: Final = None
_GRACE_S: Final = 5.0


class WorkerFailure(Exception):  # noqa: N818  it says why a row is empty
    """The worker failed; the message gives the reason."""


class Worker:
    """The process of a worker.

    Args:
        command: command that starts it.
        log: file for its standard error.
        variables: its environment variables; None for those of this process.

    Attributes:
        started_s: start time on the clock of ``time.perf_counter``.

    Raises:
        WorkerFailure: it cannot be started.
    """

    def __init__(self, command: Sequence[str], log: Path, variables: Mapping[str, str] | None = None) -> None:
        self._log = log
        self._answers: queue.Queue[bytes | None] = queue.Queue()
        self.started_s = time.perf_counter()
        with log.open("wb") as errors:
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=variables, cwd=log.parent
                )
            except OSError as error:
                raise WorkerFailure(f"{command[0]} cannot be started ({error.strerror})") from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Return the answer to ``request``.

        Raises:
            WorkerFailure: the process crashed, was silent for ``timeout_s`` seconds, answered with an error, or
                with something other than a JSON object. It is terminated.
        """
        line = json.dumps(request).encode() + b"\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            answer = self._answers.get(timeout=timeout_s)
        except OSError:
            answer = _END
        except queue.Empty:
            self._end(0)
            raise WorkerFailure(f"no answer to '{request.get('do')}' in {timeout_s:g} s") from None
        if answer is _END:
            self._end(_GRACE_S)
            raise WorkerFailure(f"ended at '{request.get('do')}' with exit code {self._process.returncode}{self._end_message()}")
        return self._understood(answer, str(request.get("do")))

    @property
    def peak_memory_mb(self) -> float | None:
        """Peak resident memory of the process (10^6 bytes), or None if the system does not report it."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return None
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        return None

    def close(self) -> None:
        """End the process, which exits when its input ends. Safe to call twice."""
        self._end(_GRACE_S)

    def _end(self, grace_s: float) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it may have exited with a request unread
            self._process.stdin.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(_GRACE_S)  # child processes may keep its output open for longer

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._answers.put(line)
        self._answers.put(_END)

    def _understood(self, answer: bytes, asked: str) -> dict[str, Any]:
        try:
            document = json.loads(answer)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            self._end(0)
            raise WorkerFailure(f"answered '{asked}' with something other than a JSON object: {answer[:80]!r}")
        if "error" in document:
            self._end(0)
            raise WorkerFailure(f"'{asked}' failed: {str(document['error'])[:300]}")
        return document

    def _end_message(self) -> str:
        """Return the last error on standard error, else the last line, after a colon, or ""."""
        lines = [line.strip() for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()]
        return f": {(errors or lines)[-1][:200]}" if lines else ""

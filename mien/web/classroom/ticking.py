"""Recurring tasks of a class server. A failed task does not stop the others, and is tried again."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mien.errors import DeviceError, MienError
from mien.web.classroom.operation import Log, Metrics

_Result = TypeVar("_Result")


class Tasks:
    """Runs tasks, and logs for each when it starts to fail and when it succeeds again.

    Args:
        log: gets an event ``NAME-failed`` or ``NAME-works-again`` for each change.
        metrics: counts failures.
    """

    def __init__(self, log: Log, metrics: Metrics) -> None:
        self._log, self._metrics = log, metrics
        self._errors: dict[str, Exception] = {}

    def error(self, name: str) -> Exception | None:
        """Return the error of a task's last attempt; None if it succeeded."""
        return self._errors.get(name)

    async def attempt(self, name: str, task: Callable[[], Awaitable[_Result]]) -> _Result | None:
        """Run a task; return its result, or None if it failed."""
        try:
            result = await task()
        except MienError as error:
            self._fail(name, error, str(error))
        except Exception as error:  # noqa: BLE001  whatever the error is, the server goes on
            at = traceback.extract_tb(error.__traceback__)[-1]
            self._fail(name, error, f"unexpected {type(error).__name__} ({at.name}, line {at.lineno})")
        else:
            if self._errors.pop(name, None) is not None:
                self._log.write(f"{name}-works-again")
            return result
        return None

    def _fail(self, name: str, error: Exception, reason: str) -> None:
        self._metrics.count("database_errors" if isinstance(error, DeviceError) else "unexpected_errors")
        if name not in self._errors:
            self._log.write(f"{name}-failed", reason=reason)
        self._errors[name] = error

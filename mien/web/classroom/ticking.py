"""Recurring tasks of a class server: a failure of one ends neither the others nor its own repetition."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mien.errors import MienError
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
        self._failing: set[str] = set()

    def is_failing(self, *names: str) -> bool:
        """Return whether the last attempt of any of these tasks failed."""
        return not self._failing.isdisjoint(names)

    async def attempt(self, name: str, task: Callable[[], Awaitable[_Result]]) -> _Result | None:
        """Run a task; return its result, or None if it failed."""
        try:
            result = await task()
        except MienError as error:
            self._fail(name, "database_errors", str(error))
        except Exception as error:  # noqa: BLE001  whatever the error is, the server goes on
            at = traceback.extract_tb(error.__traceback__)[-1]
            self._fail(name, "unexpected_errors", f"unexpected {type(error).__name__} ({at.name}, line {at.lineno})")
        else:
            if name in self._failing:
                self._failing.discard(name)
                self._log.write(f"{name}-works-again")
            return result
        return None

    def _fail(self, name: str, counter: str, reason: str) -> None:
        self._metrics.count(counter)
        if name not in self._failing:
            self._failing.add(name)
            self._log.write(f"{name}-failed", reason=reason)

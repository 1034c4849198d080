"""In-memory rate limits of one server process: token buckets by key."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.requests import Request

_MAX_KEYS: Final = 20_000


class RateLimit:
    """Allows each key a burst of requests and a steady rate afterwards.

    Args:
        burst: maximum number of requests at once.
        per_s: long-term number of requests per second.
        clock: returns seconds.

    >>> now = 0.0
    >>> limit = RateLimit(2, 0.5, lambda: now)
    >>> [limit.wait_s("a") for _ in range(3)], limit.wait_s("b")
    ([0, 0, 2], 0)
    """

    def __init__(self, burst: int, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_s, self._clock = burst, per_s, clock
        self._full_s: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, key: str) -> int:
        """Count a request; return 0 if it is allowed, else the number of seconds until the next one is."""
        now_s = self._clock()
        full_s = max(self._full_s.pop(key, now_s), now_s)  # when the bucket would be full again
        wait_s = full_s + 1 / self._per_s - now_s - self._burst / self._per_s
        if wait_s <= 1e-9:
            full_s += 1 / self._per_s
        self._full_s[key] = full_s
        while len(self._full_s) > _MAX_KEYS:
            self._full_s.popitem(last=False)
        return max(0, math.ceil(wait_s - 1e-9))


def client_of(request: Request) -> str:
    """Return the client address of a request."""
    return request.client.host if request.client else ""

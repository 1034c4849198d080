"""Server-sent events for teachers' pages; one query a second serves all pages of a process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Final

from starlette.concurrency import run_in_threadpool

from mien.web.classroom.links import token_hash
from mien.web.classroom.operation import Metrics
from mien.web.classroom.store import ClassStore

BEAT_S: Final = 15.0
"""Seconds between two comments, which prevent proxies from closing the connection."""
_GONE: Final = -1
MAX_STREAMS: Final = 2000


class Streams:
    """Notifies each page when its class has changed or its link was revoked.

    Args:
        store: provides the revisions.
        metrics: reports the number of connected pages.
    """

    def __init__(self, store: ClassStore, metrics: Metrics) -> None:
        self._store, self._metrics = store, metrics
        self._waiting: dict[str, set[asyncio.Queue[int]]] = defaultdict(set)
        self._classes: dict[str, str] = {}

    @property
    def is_full(self) -> bool:
        """Whether the maximum number of pages is connected to this process."""
        return sum(map(len, self._waiting.values())) >= MAX_STREAMS

    async def look(self) -> None:
        """Read the revisions of all watched classes and pass them to their streams."""
        watched = dict(self._classes)
        if not watched:
            return
        found = await run_in_threadpool(self._store.revisions, watched)
        for secret in watched:  # a stream that was opened during the query waits for the next one
            for queue in self._waiting.get(secret, ()):
                queue.put_nowait(found.get(secret, _GONE))

    async def events(self, token: str, class_id: str) -> AsyncIterator[bytes]:
        """Yield an event for each revision, starting with the current one, until the link is no longer valid."""
        secret, queue = token_hash(token), asyncio.Queue[int]()
        self._waiting[secret].add(queue)
        self._classes[secret] = class_id
        self._metrics.gauge("streams", sum(map(len, self._waiting.values())))
        last, quiet_s = None, 0.0
        try:
            yield b": hello\n\n"
            while True:
                try:
                    revision = await asyncio.wait_for(queue.get(), BEAT_S)
                except TimeoutError:
                    yield b": beat\n\n"
                    continue
                if revision == _GONE:
                    yield b"event: gone\ndata: {}\n\n"
                    return
                if revision != last:
                    last, quiet_s = revision, 0.0
                    yield f"event: changed\ndata: {revision}\n\n".encode()
                elif (quiet_s := quiet_s + 1.0) >= BEAT_S:
                    quiet_s = 0.0
                    yield b": beat\n\n"
        finally:
            self._waiting[secret].discard(queue)
            if not self._waiting[secret]:
                del self._waiting[secret]
                self._classes.pop(secret, None)
            self._metrics.gauge("streams", sum(map(len, self._waiting.values())))

    def stop(self) -> None:
        """End all streams when the server stops; pages then reconnect to it or to another process."""
        for queues in self._waiting.values():
            for queue in queues:
                queue.put_nowait(_GONE)

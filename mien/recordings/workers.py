"""Who does the work: this process, processes beside it, or a Dask cluster.

All take the same tasks, which depend on nothing but what they are given, so a task whose
worker died is simply given to another. A task whose workers keep dying is given up and named.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, Final

from mien.errors import DeviceError, MienError, require
from mien.stops import block_signals, leave_signals_to_parent

_CHANCES: Final = 4
"""A task is given to so many workers before it is taken to be what kills them."""
_ENDING_S: Final = 5.0


@dataclass(slots=True)
class Job:
    """A task, and what happens with its answer.

    Attributes:
        function: a function of a module, of the arguments alone.
        arguments: what it is called with.
        done: takes the answer.
        failed: takes what went wrong.
        wanted: whether anybody still asks for the answer.
        chances: workers it may still be given to.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    done: Callable[[Any], None]
    failed: Callable[[MienError], None]
    wanted: Callable[[], bool] = lambda: True
    chances: int = _CHANCES


class Workers:
    """Runs jobs; the first in the queue goes first.

    Args:
        open_executor: opens what runs tasks; called again when it broke.
        lanes: how many tasks run at once.
        dead: what is raised when a worker died.
    """

    def __init__(
        self, open_executor: Callable[[], Executor], lanes: int, dead: tuple[type[BaseException], ...] = (BrokenExecutor,)
    ) -> None:
        self._open, self._lanes, self._dead = open_executor, lanes, dead
        self._executor = open_executor()
        self._before = set(multiprocessing.active_children())

    def run(self, jobs: deque[Job], more: Callable[[], bool]) -> None:
        """Run all jobs.

        Args:
            jobs: the queue; answers may add to it.
            more: adds what comes next when the queue is empty; returns False where nothing comes.
        """
        running: dict[Future[Any], Job] = {}
        while jobs or running or more():
            broken = False
            while not broken and len(running) < self._lanes and (jobs or more()):
                if not jobs:
                    continue
                job = jobs.popleft()
                if not job.wanted():
                    continue
                try:
                    running[self._executor.submit(job.function, *job.arguments)] = job
                except self._dead:  # between two tasks
                    jobs.appendleft(job)
                    broken = True
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            lost = []
            for future in finished:
                job = running.pop(future)
                if not self._hand_over(future, job):
                    lost.append(job)
            if lost or broken:
                self._renew([*lost, *running.values()], jobs)
                running.clear()

    def close(self) -> None:
        """Let the workers go."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def stop(self) -> None:
        """End what runs at once."""
        children = set(multiprocessing.active_children()) - self._before
        for child in children:
            child.terminate()
        for child in children:  # what they were writing is removed behind this
            child.join(_ENDING_S)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _hand_over(self, future: Future[Any], job: Job) -> bool:
        """Give a task's answer to its job; return False where its worker died before there was one."""
        try:
            job.done(future.result())
        except MienError as error:
            job.failed(error)
        except CancelledError as error:
            raise DeviceError("the connection to the cluster was lost. Repeat the same command to resume") from error
        except self._dead:
            return False
        return True

    def _renew(self, lost: list[Job], jobs: deque[Job]) -> None:
        """Put what was lost back into the queue, and open new workers."""
        for job in reversed(lost):
            job.chances -= 1
            if job.chances > 0:
                jobs.appendleft(job)
            else:
                job.failed(DeviceError("its workers were killed repeatedly, probably for lack of memory. Use fewer --workers"))
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._open()


class _Pool(ProcessPoolExecutor):
    """Processes that hear no signal while they start: a Ctrl-C in the terminal reaches them as well."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with block_signals():  # a worker is started when there is something for it to do
            return super().submit(fn, *args, **kwargs)


class _Here(Executor):
    """Does every task at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except MienError as error:
            future.set_exception(error)
        return future


class _Cluster(Executor):
    """Hands every task to a Dask cluster, which gives it to another worker when one dies.

    Args:
        client: connected.
    """

    def __init__(self, client: Any) -> None:
        self._executor = client.get_executor(pure=False)  # an answer is taken once: nothing is to be remembered

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = self._executor.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait)


@contextmanager
def open_workers(count: int, dask: str = "") -> Iterator[Workers]:
    """Yield the workers.

    Args:
        count: processes on this computer; 1 for this one alone.
        dask: address of a cluster's scheduler instead, "" for none.

    Raises:
        DeviceError: the cluster cannot be reached, or the package for it is not installed.
    """
    if dask:
        with _cluster(dask) as workers:
            yield workers
        return
    workers = Workers(_Here if count == 1 else lambda: _pool(count), count)
    try:
        yield workers
    except BaseException:  # Ctrl-C too: nobody waits for what runs
        workers.stop()
        raise
    workers.close()


def _pool(count: int) -> ProcessPoolExecutor:
    if hasattr(signal, "SIGHUP"):
        with block_signals():  # multiprocessing's own helper ignores the other signals, but not the end of the terminal
            resource_tracker.ensure_running()
    # spawn: a forked child would inherit the threads' locks of OpenCV and ONNX Runtime, and none of their threads
    return _Pool(count, multiprocessing.get_context("spawn"), initializer=_begin_worker)


def _begin_worker() -> None:
    """Leave signals to the parent, and end with it, however it ends."""
    leave_signals_to_parent()
    threading.Thread(target=_end_with_parent, name="mien-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _cluster(address: str) -> Iterator[Workers]:
    require(("distributed",), "dask", "Work on a cluster")
    from distributed import Client, KilledWorker

    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise DeviceError(f"no Dask scheduler answers at {address} ({error}). Start one with: dask scheduler") from error
    try:
        lanes = max(1, sum(client.nthreads().values()))
        workers = Workers(lambda: _Cluster(client), 2 * lanes, (BrokenExecutor, KilledWorker))
        yield workers
    finally:
        with suppress(OSError, TimeoutError):
            client.close()

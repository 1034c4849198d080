"""Executors of the analysis: this process, a pool of processes, or a Dask cluster.

Tasks depend only on their arguments, so the task of a worker that died is given to another one. A
task whose workers die repeatedly fails.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, Final

from mien.errors import DeviceError, MienError, require
from mien.stops import block_signals, end_with_parent, leave_signals_to_parent

_CHANCES: Final = 4
"""Number of workers that a task is given to before it is assumed to kill them."""
_TERMINATE_S: Final = 5.0


@dataclass(slots=True)
class Job:
    """A task and its callbacks.

    Attributes:
        function: a module-level function whose result depends only on its arguments.
        arguments: its arguments.
        done: called with the result.
        failed: called with the error.
        wanted: returns whether the result is still needed; called before the task starts.
        chances: number of workers that the task may still be given to.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    done: Callable[[Any], None]
    failed: Callable[[MienError], None]
    wanted: Callable[[], bool] = lambda: True
    chances: int = _CHANCES


class Workers:
    """Runs the jobs of a queue in order.

    Args:
        open_executor: returns a new executor; called again after one is broken.
        lanes: number of tasks that run at the same time.
        dead: exceptions that mean that a worker died.
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
            jobs: the queue; callbacks may add to it.
            more: called when the queue is empty to add jobs; returns False if there are no more.
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
                except self._dead:  # a worker died between two tasks
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
        """Shut the executor down."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def stop(self) -> None:
        """Terminate running tasks immediately."""
        children = set(multiprocessing.active_children()) - self._before
        for child in children:
            child.terminate()
        for child in children:  # the caller then deletes their temporary files
            child.join(_TERMINATE_S)
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _hand_over(self, future: Future[Any], job: Job) -> bool:
        """Pass a task's result or error to its job; return False if its worker died first."""
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
        """Put the jobs of dead workers back into the queue and open a new executor."""
        for job in reversed(lost):
            job.chances -= 1
            if job.chances > 0:
                jobs.appendleft(job)
            else:
                job.failed(DeviceError("its workers were killed repeatedly, probably for lack of memory. Use fewer --workers"))
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._open()


class _ProcessPool(ProcessPoolExecutor):
    """A process pool that blocks signals while workers start, since Ctrl-C in a terminal reaches them too."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with block_signals():  # workers are started on demand
            return super().submit(fn, *args, **kwargs)


class _InProcessExecutor(Executor):
    """Runs every task immediately in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except MienError as error:
            future.set_exception(error)
        return future


class _DaskExecutor(Executor):
    """Submits tasks to a Dask cluster, which reassigns the tasks of dead workers.

    Args:
        client: a connected ``distributed.Client``.
    """

    def __init__(self, client: Any) -> None:
        self._executor = client.get_executor(pure=False)  # results are used once, so caching is of no use

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = self._executor.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait)


@contextmanager
def open_workers(count: int, dask: str = "") -> Iterator[Workers]:
    """Yield the workers.

    Args:
        count: number of processes on this computer; 1 runs everything in this process.
        dask: address of a Dask scheduler to use instead; "" for none.

    Raises:
        DeviceError: the cluster cannot be reached, or the package for it is not installed.
    """
    if dask:
        with _cluster(dask) as workers:
            yield workers
        return
    workers = Workers(_InProcessExecutor if count == 1 else lambda: _pool(count), count)
    try:
        yield workers
    except BaseException:  # including Ctrl-C
        workers.stop()
        raise
    workers.close()


def _pool(count: int) -> ProcessPoolExecutor:
    if hasattr(signal, "SIGHUP"):
        with block_signals():  # the resource tracker does not ignore SIGHUP itself
            resource_tracker.ensure_running()
    # spawn: a forked child would inherit locks of OpenCV and ONNX Runtime, but not the threads that release them
    return _ProcessPool(count, multiprocessing.get_context("spawn"), initializer=_begin_worker)


def _begin_worker() -> None:
    """Leave signals to the parent, and exit when it ends in any way."""
    leave_signals_to_parent()
    end_with_parent()


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
        workers = Workers(lambda: _DaskExecutor(client), 2 * lanes, (BrokenExecutor, KilledWorker))
        yield workers
    finally:
        with suppress(OSError, TimeoutError):
            client.close()

"""Web application of the class server: pages, routes of teachers and learners, and background tasks."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mien.errors import DeviceError, MienError
from mien.privacy.lesson_bins import LessonPlan, publish
from mien.privacy.policy import permit_expressions
from mien.web.assets import Assets, PackedFiles, static_folder
from mien.web.classroom.answers import Access, bearer
from mien.web.classroom.closing import Closer, Publish
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.headers import ANSWER_HEADERS, ClassHeaders
from mien.web.classroom.learner_routes import LearnerRoutes
from mien.web.classroom.message_door import MessageDoor
from mien.web.classroom.openapi import openapi_document
from mien.web.classroom.operation import Log, Metrics
from mien.web.classroom.participants import Participants
from mien.web.classroom.settings import ClassSettings
from mien.web.classroom.store import DAY_S, ClassStore
from mien.web.classroom.streams import Streams
from mien.web.classroom.teacher_routes import TeacherRoutes
from mien.web.classroom.ticking import Tasks
from mien.web.classroom.writer import MessageWriter
from mien.web.headers import content_security_policy
from mien.web.networks import open_networks

TICK_S: Final = 1.0
_CLOSING: Final = "closing"
_ERASING: Final = "erasing"
_WRITING: Final = "writing"
_ERASE_EVERY: Final = 600
"""Ticks between two checks for classes whose retention time has expired."""
_PROBE_EVERY: Final = 30
"""Ticks between two checks whether the database can be written."""
_LOCAL_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class ClassApp:
    """The application and the notices to print when it starts.

    Attributes:
        app: the ASGI application.
        store: its classes.
        notices: one sentence each.
    """

    app: Starlette
    store: ClassStore
    notices: tuple[str, ...]


def create_class_app(
    settings: ClassSettings,
    database: ClassDatabase,
    *,
    more_routes: Sequence[BaseRoute] = (),
    more_embedders: Callable[[], Sequence[str]] = tuple,
    log: Log | None = None,
    metrics: Metrics | None = None,
    on_end: Callable[[str], None] | None = None,
    publish: Publish = publish,
    clock: Callable[[], float] = time.time,
    tick_s: float = TICK_S,
) -> ClassApp:
    """Create the application after checking the policy.

    Args:
        settings: settings of the server.
        database: the database; other processes may share it.
        more_routes: routes of other modules; those below ``/lti/`` accept POST requests from other origins.
        more_embedders: returns origins of pages that may embed the server's pages, besides those in the settings.
        log: log of events; None to log to standard error.
        metrics: metrics shown by ``/metrics``; other modules may add to them.
        on_end: called in a thread with the id of each class whose lesson ended; repeated until it
            succeeds.
        publish: computes the published numbers of a bin.
        clock: returns seconds since 1970; no other clock is used.
        tick_s: seconds between two checks for bins that are over.

    Raises:
        NotPermittedError: the declared deployment does not permit a class server.
        MienError: the pages are not built, or a network's file is missing or broken.
    """
    policy, notices = settings.policy()
    networks = open_networks(settings.model, permit_expressions(policy))
    static = static_folder()
    assets = Assets(static / "assets")
    pages = {name: (static / f"{name}.html").read_bytes() for name in ("learner", "teacher")}
    log, metrics = log or Log(), metrics or Metrics()
    store = ClassStore(database, retention_s=policy.deployment.retention_days * DAY_S, clock=clock)
    participants = Participants(database, clock)

    def count_closed(bins: int) -> None:
        metrics.count("bins_closed", times=bins)
        log.write("bins-closed", bins=bins)

    closer = Closer(database, clock, publish, on_end, count_closed)
    close_due = partial(run_in_threadpool, closer.close_due)
    gate = Access(store, metrics)
    writer = MessageWriter(participants, metrics)
    streams = Streams(store, metrics)
    usual = LessonPlan(budget=settings.budget, expressions=networks.model is not None)
    teachers = TeacherRoutes(settings, gate, closer, streams, usual)
    learners = LearnerRoutes(policy, networks, gate, participants, writer)
    tasks = Tasks(log, metrics)

    def page(name: str) -> Callable[[Request], Response]:
        def show(_: Request) -> Response:
            policy = content_security_policy(" ".join((*settings.embedders, *more_embedders())) or "'none'")
            headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy}
            return Response(pages[name], media_type="text/html", headers=headers)

        return show

    def show_health(_: Request) -> Response:
        try:
            with database.reading() as connection:
                connection.exec_driver_sql("SELECT 1")
        except MienError:
            return JSONResponse({"status": "the database cannot be reached"}, 503)
        if tasks.error(_WRITING):
            return JSONResponse({"status": "the database cannot be written"}, 503)
        if isinstance(tasks.error(_CLOSING), DeviceError):  # not if one class is broken
            return JSONResponse({"status": "bins cannot be closed"}, 503)
        return JSONResponse({"status": "ok"})

    def show_metrics(request: Request) -> Response:
        token = settings.metrics_token
        if not token or not hmac.compare_digest(bearer(request).encode(), token.encode()):
            return PlainTextResponse("no such page", status_code=404)
        metrics.gauge("waiting_messages", writer.waiting)
        return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4")

    async def tick() -> None:
        """Close bins that are over, report lessons that ended, notify teachers' pages and erase expired classes."""
        count = 0
        while True:
            await tasks.attempt(_CLOSING, close_due)
            await tasks.attempt("reporting", partial(run_in_threadpool, closer.report_ended))
            await tasks.attempt("notifying", streams.look)
            if count % _ERASE_EVERY == 0 or tasks.error(_ERASING):
                await tasks.attempt(_ERASING, partial(run_in_threadpool, store.erase_old))
            if count % _PROBE_EVERY == 0 or tasks.error(_WRITING):
                await tasks.attempt(_WRITING, partial(run_in_threadpool, database.check_writable))
            count += 1
            await asyncio.sleep(tick_s)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        writer.start()
        ticking = asyncio.create_task(tick())
        log.write("started")
        yield
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        await run_in_threadpool(writer.close)
        # what fails here is done by another process or after a restart
        await tasks.attempt(_CLOSING, close_due)
        await tasks.attempt("reporting", partial(run_in_threadpool, closer.report_ended))
        log.write("stopped")

    routes = [
        Route("/", page("teacher")),
        Route("/new", page("teacher")),
        Route("/teach", page("teacher")),
        Route("/join", page("learner")),
        Route("/settings.json", learners.settings),
        Route("/assets/{name}", assets.deliver),
        Route("/networks/{name}", PackedFiles(networks.files).deliver),
        Route("/api/openapi.json", lambda _: JSONResponse(openapi_document())),
        Route("/health", show_health),
        Route("/metrics", show_metrics),
        *learners.routes(),
        *teachers.routes(),
        *more_routes,
    ]
    middleware = [
        Middleware(MessageDoor, writer=writer, metrics=metrics, headers=ANSWER_HEADERS, origin=settings.url),
        Middleware(ClassHeaders, origin=settings.url, open_paths=("/lti/",)),
        Middleware(TrustedHostMiddleware, allowed_hosts=[settings.host, *_LOCAL_HOSTS]),
    ]
    app = Starlette(routes=routes, middleware=middleware, lifespan=lifespan, exception_handlers=_HANDLERS)
    app.state.stop = streams.stop
    return ClassApp(app, store, tuple(notices))


def _not_found(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "There is no such page."}, 404)


def _wrong_method(_: Request, error: Any) -> Response:
    return JSONResponse({"error": "This address does not take such requests."}, 405, error.headers)


_HANDLERS: Final[Any] = {404: _not_found, 405: _wrong_method}

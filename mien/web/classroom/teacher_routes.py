"""Routes of teachers: opening, running, viewing and erasing classes. They return published numbers only."""

from __future__ import annotations

import io
import re
from dataclasses import asdict, replace
from typing import Any, Final

import segno
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mien.errors import DataError
from mien.privacy.lesson_bins import LessonPlan
from mien.web.classroom.answers import Access, RefusedError, bearer, chosen, json_of
from mien.web.classroom.closing import Closer
from mien.web.classroom.links import LinkKind, link_url, token_hash
from mien.web.classroom.settings import ClassSettings
from mien.web.classroom.store import ClassRecord, OpenedClass
from mien.web.classroom.streams import Streams
from mien.web.classroom.timeline import MAX_MEAN, class_document, class_table, lesson_mean
from mien.web.rate_limit import RateLimit

_MARK_ID: Final = re.compile(r"[0-9a-f]{32}")


def qr_code(text: str) -> str:
    """Return a QR code as black-on-white SVG."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="svg", scale=6, border=3, light="#fff", xmldecl=False)
    return out.getvalue().decode()


class TeacherRoutes:
    """The routes.

    Args:
        settings: settings of the server.
        gate: authorizes requests.
        closer: ends lessons.
        streams: event streams of teachers' pages.
        usual: default lesson plan.
    """

    def __init__(self, settings: ClassSettings, gate: Access, closer: Closer, streams: Streams, usual: LessonPlan) -> None:
        self._url, self._gate, self._store, self._closer = settings.url, gate, gate.store, closer
        self._streams, self._usual = streams, usual
        self._opened = RateLimit(burst=30, per_s=30 / 3600)

    def routes(self) -> list[Route]:
        """Return all routes."""
        guarded = self._gate.guarded
        return [
            Route("/api/plan", guarded(self._plan)),
            Route("/api/classes", guarded(self._open), methods=["POST"]),
            Route("/api/class", guarded(self._show)),
            Route("/api/class", guarded(self._erase), methods=["DELETE"]),
            Route("/api/class/events", guarded(self._events)),
            Route("/api/class/start", guarded(self._start), methods=["POST"]),
            Route("/api/class/end", guarded(self._end), methods=["POST"]),
            Route("/api/class/next", guarded(self._next), methods=["POST"]),
            Route("/api/class/links", guarded(self._issue), methods=["POST"]),
            Route("/api/class/links/{kind}", guarded(self._revoke), methods=["DELETE"]),
            Route("/api/class/marks", guarded(self._mark), methods=["POST"]),
            Route("/api/class/marks/{mark_id}", guarded(self._unmark), methods=["DELETE"]),
            Route("/api/class/table.csv", guarded(self._table)),
            Route("/api/class/series", guarded(self._series)),
        ]

    async def _plan(self, request: Request) -> Response:
        """Return a lesson plan with its noise, so that a teacher can choose between plans before opening a class."""
        await self._gate.permit(request, LinkKind.OPEN)
        chosen_values = {
            name: _whole(value, name, 10_000) for name, value in request.query_params.items() if name in ("bin_s", "bins")
        }
        plan = self._planned(chosen_values)
        return JSONResponse(asdict(plan) | {"noise": round(plan.noise, 2), "signal_noise": round(plan.signal_noise, 2)})

    def _planned(self, values: dict[str, Any]) -> LessonPlan:
        """Return the requested lesson plan; a teacher can choose less data, but never a larger budget."""
        expressions = chosen(values, "expressions", bool, self._usual.expressions)
        return replace(
            self._usual,
            bin_s=chosen(values, "bin_s", int, self._usual.bin_s),
            bins=chosen(values, "bins", int, self._usual.bins),
            k=chosen(values, "k", int, self._usual.k),
            expressions=expressions and self._usual.expressions,
        )

    def _links(self, opened: OpenedClass) -> dict[str, Any]:
        teach, join = link_url(self._url, LinkKind.TEACH, opened.teach), link_url(self._url, LinkKind.JOIN, opened.join)
        return {"teach": teach, "join": join, "qr": qr_code(join)}

    async def _open(self, request: Request) -> Response:
        await self._gate.permit(request, LinkKind.OPEN)
        self._slow_down(token_hash(bearer(request)))
        values = await json_of(request)
        plan, title = self._planned(values), chosen(values, "title", str, "")
        opened = await run_in_threadpool(lambda: self._store.open_class(title, plan=plan))
        return JSONResponse(self._links(opened), 201)

    async def _next(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)
        if record.state != "ended":
            raise RefusedError(409, "The lesson is not over. End it first.")
        self._slow_down(record.series)  # each lesson has new links
        values = await json_of(request)
        plan = self._planned({"bin_s": record.plan.bin_s, "bins": record.plan.bins, "k": record.plan.k} | values)
        plan = replace(plan, expressions=plan.expressions and record.plan.expressions)
        title = chosen(values, "title", str, record.title)
        opened = await run_in_threadpool(
            lambda: self._store.open_class(title, plan=plan, series=record.series, declaration=record.declaration)
        )
        return JSONResponse(self._links(opened), 201)

    def _slow_down(self, key: str) -> None:
        """Refuse to open many classes at once with one invitation or in one series."""
        wait_s = self._opened.wait_s(key)
        if wait_s:
            raise RefusedError(429, "Too many classes were opened. Wait a little.", wait_s)

    async def _show(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)
        mean = _whole(request.query_params.get("mean", "1"), "mean", MAX_MEAN)
        return JSONResponse(await run_in_threadpool(self._document, record, mean))

    def _document(self, record: ClassRecord, mean: int) -> dict[str, Any]:
        store, class_id = self._store, record.class_id
        return class_document(record, store.closed_bins(class_id), store.marks(class_id), store.clock(), mean)

    async def _table(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)

        def made() -> str:
            return class_table(record, self._store.closed_bins(record.class_id), self._store.marks(record.class_id))

        return Response(await run_in_threadpool(made), media_type="text/csv")

    async def _series(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)

        def made() -> list[dict[str, Any]]:
            return [
                {
                    "title": each.title,
                    "created_s": each.created_s,
                    "started_s": each.started_s,
                    "state": each.state,
                    "is_this": each.class_id == record.class_id,
                    "categories": list(each.plan.categories),
                    "lesson": lesson_mean(each, self._store.closed_bins(each.class_id)),
                }
                for each in self._store.series(record.series)
            ]

        return JSONResponse(await run_in_threadpool(made))

    async def _events(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)
        if self._streams.is_full:
            raise RefusedError(503, "Too many pages are connected. Try again soon.", 5)
        events = self._streams.events(bearer(request), record.class_id)
        return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _start(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)
        if not await run_in_threadpool(self._store.start, record.class_id):
            raise RefusedError(409, "The lesson has already started.")
        return Response(status_code=204)

    async def _end(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)
        if not await run_in_threadpool(self._closer.end, record.class_id):
            raise RefusedError(409, "The lesson is already over.")
        return Response(status_code=204)

    async def _erase(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)
        await run_in_threadpool(self._store.erase, record.class_id)
        return Response(status_code=204)

    async def _issue(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)
        kind = _link_kind(chosen(await json_of(request), "kind", str, "join"))
        token = await run_in_threadpool(self._store.issue, kind, record.class_id)
        url = link_url(self._url, kind, token)
        return JSONResponse({"url": url, "qr": qr_code(url)}, 201)

    async def _revoke(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)
        kind = _link_kind(request.path_params["kind"])
        revoked = await run_in_threadpool(lambda: self._store.revoke(kind, record.class_id, but=bearer(request)))
        return JSONResponse({"revoked": revoked})

    async def _mark(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)
        values = await json_of(request)
        kind, text, at_s = (
            chosen(values, "kind", str, "mark"),
            chosen(values, "text", str, ""),
            chosen(values, "at_s", float, None),
        )
        if kind not in ("mark", "note"):
            raise DataError("kind must be mark or note")
        mark = await run_in_threadpool(self._store.add_mark, record, kind, text, at_s)
        return JSONResponse(asdict(mark), 201)

    async def _unmark(self, request: Request) -> Response:
        record = await self._gate.class_of(request, LinkKind.TEACH)
        mark_id = request.path_params["mark_id"]
        if not _MARK_ID.fullmatch(mark_id) or not await run_in_threadpool(self._store.remove_mark, record.class_id, mark_id):
            raise RefusedError(404, "There is no such mark.")
        return Response(status_code=204)


def _link_kind(name: str) -> LinkKind:
    if name not in (LinkKind.TEACH.value, LinkKind.JOIN.value):
        raise DataError("kind must be teach or join")
    return LinkKind(name)


def _whole(text: str, name: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= most:
        raise DataError(f"{name} must be a whole number from 1 to {most}")
    return int(text)

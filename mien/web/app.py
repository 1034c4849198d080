"""Web application that serves the learner's page and, if enabled, stores its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mien.documents import parse_json
from mien.errors import DataError, MienError, UsageError
from mien.files import file_hash
from mien.privacy.oversight import Oversight
from mien.privacy.policy import permit_expressions
from mien.vision.bundles import bundle_path
from mien.vision.detector_choice import detector_notice
from mien.web.assets import PAGE_NAME, Assets, PackedFiles, static_folder
from mien.web.headers import SameOriginOnly
from mien.web.keeping import ConsentWithdrawnError, KeptSessions, read_batch
from mien.web.networks import described_network, open_networks

_MAX_BODY: Final = 32 << 20
_CONSENT_EVERY_S: Final = 1.0
_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Settings of the web application.

    Attributes:
        model: name of a packaged bundle, or path of a bundle.
        sessions: folder in which sessions are stored.
        keep: store sessions.
        smoothing_s: time constant of the smoothing in seconds.
        deployment: declaration of the deployment; None for the one that applies on this computer.
        person: name of the learner in the consent ledger; "" if none is given.
    """

    model: str
    sessions: Path
    keep: bool = False
    smoothing_s: float = 0.4
    deployment: Path | None = None
    person: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing_s <= 60:
            raise UsageError(f"smoothing is {self.smoothing_s:g} s; it must be 0 to 60 s")


@dataclass(frozen=True, slots=True)
class WebApp:
    """The application and the notices to print when it starts.

    Attributes:
        app: the ASGI application.
        notices: one sentence each.
    """

    app: Starlette
    notices: tuple[str, ...]


def create_app(settings: WebSettings) -> WebApp:
    """Create the application after checking the policy.

    Raises:
        NotPermittedError: the declared deployment permits nothing.
        MienError: the page is not built, or a network's file is missing or broken.
    """
    oversight = Oversight(settings.deployment, settings.sessions, settings.person)
    permit = permit_expressions(oversight.policy)
    static = static_folder()
    networks = open_networks(settings.model, permit)
    assets = Assets(static / "assets")
    page = (static / PAGE_NAME).read_bytes()
    kept: KeptSessions | None = None
    if settings.keep and oversight.keeps:
        model = networks.model or {}
        kept = KeptSessions(
            oversight,
            settings.sessions,
            networks.model_name,
            networks.detector_name,
            file_hash(bundle_path(settings.model)),
            dict(model.get("uncertain_below", {})),
        )
    described = {
        "detector": described_network(networks.detector, "/networks"),
        "model": described_network(networks.model, "/networks") if networks.model else None,
        "smoothing_s": settings.smoothing_s,
        "rule": oversight.policy.rule.name,
        "notices": oversight.sentences,
        "keeps": str(settings.sessions) if kept is not None else "",
    }

    def show_page(_: Request) -> Response:
        return Response(page, media_type="text/html", headers={"Cache-Control": "no-cache"})

    def show_settings(_: Request) -> Response:
        return JSONResponse(described, headers={"Cache-Control": "no-store"})

    routes = [
        Route("/", show_page),
        Route("/settings.json", show_settings),
        Route("/assets/{name}", assets.deliver),
        Route("/networks/{name}", PackedFiles(networks.files).deliver),
        *(_keeping_routes(kept) if kept is not None else ()),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if kept is None:
            yield
            return
        checking = asyncio.create_task(_check_consent(kept))
        yield
        checking.cancel()
        with suppress(asyncio.CancelledError):
            await checking
        await run_in_threadpool(kept.close)

    notices = (*oversight.sentences, *filter(None, [detector_notice(networks.detector_name)]))
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=list(_HOSTS)), Middleware(SameOriginOnly)]
    return WebApp(Starlette(routes=routes, middleware=middleware, lifespan=lifespan), notices)


async def _check_consent(kept: KeptSessions) -> None:
    """Erase the session when consent is withdrawn, even if its page sends nothing more."""
    while True:
        await asyncio.sleep(_CONSENT_EVERY_S)
        with suppress(Exception):  # such as a broken ledger, which is reported with the next batch and at the session's end
            await run_in_threadpool(kept.check_consent)


def _keeping_routes(kept: KeptSessions) -> list[Route]:
    """Return the routes through which a page stores its session."""

    async def begin(request: Request) -> Response:
        async def answer() -> dict[str, Any]:
            source = parse_json(await _body(request)).get("source", "")
            session_id, folder = await run_in_threadpool(kept.begin, str(source))
            return {"address": f"sessions/{session_id}", "folder": str(folder)}

        return await _answered(answer)

    async def add(request: Request) -> Response:
        async def answer() -> dict[str, Any]:
            batch = read_batch(await _body(request))
            return await run_in_threadpool(kept.add, request.path_params["session_id"], batch)

        return await _answered(answer)

    async def end(request: Request) -> Response:
        async def answer() -> dict[str, Any]:
            batch = read_batch(await _body(request))
            return await run_in_threadpool(kept.end, request.path_params["session_id"], batch)

        return await _answered(answer)

    async def erase(request: Request) -> Response:
        async def answer() -> dict[str, Any]:
            return {"notices": await run_in_threadpool(kept.erase, request.path_params["session_id"])}

        return await _answered(answer)

    return [
        Route("/sessions", begin, methods=["POST"]),
        Route("/sessions/{session_id}/frames", add, methods=["POST"]),
        Route("/sessions/{session_id}/end", end, methods=["POST"]),
        Route("/sessions/{session_id}", erase, methods=["DELETE"]),
    ]


async def _answered(answer: Callable[[], Any]) -> Response:
    """Return the result of ``answer`` as a JSON response; errors become a JSON response with a message."""
    try:
        return JSONResponse(await answer())
    except ConsentWithdrawnError as error:
        return JSONResponse({"error": str(error), "withdrawn": error.purpose}, status_code=409)
    except MienError as error:
        return JSONResponse({"error": str(error)}, status_code=409 if isinstance(error, UsageError) else 400)
    except (ValueError, AttributeError) as error:
        return JSONResponse({"error": f"the page sent an invalid request ({error})"}, status_code=400)


async def _body(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        DataError: the body is too large.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY:
            raise DataError(f"the page sent more than {_MAX_BODY >> 20} MiB at once")
    return bytes(body)

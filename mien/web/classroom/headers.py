"""What every answer of the class server carries, and which requests are answered.

Tokens are sent in a header by our own pages only, so other pages can use nothing. Requests that change something are
refused all the same if another origin sends them, except below paths that are made for that (LTI).
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.web.headers import SECURITY_HEADERS, content_security_policy


def class_headers(embedders: Sequence[str]) -> dict[str, str]:
    """Return the headers of every answer.

    Args:
        embedders: origins of pages that may embed ours.
    """
    return SECURITY_HEADERS | {"Content-Security-Policy": content_security_policy(" ".join(embedders) or "'none'")}


class ClassHeaders:
    """Adds the security headers and refuses requests of other origins.

    Args:
        app: the application.
        origin: origin of the server's own pages, as in ``https://class.example.org``.
        embedders: origins of pages that may embed ours.
        open_paths: path prefixes that other origins may post to.
    """

    def __init__(self, app: ASGIApp, origin: str, embedders: Sequence[str] = (), open_paths: Sequence[str] = ()) -> None:
        self._app, self._origin, self._open = app, origin, tuple(open_paths)
        self._headers = class_headers(embedders)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["method"] not in ("GET", "HEAD") and not (self._open and scope["path"].startswith(self._open)):
            origin = Headers(scope=scope).get("origin")
            if origin is not None and origin != self._origin:
                refusal = JSONResponse({"error": "requests from pages of other origins are refused"}, 403)
                await refusal(scope, receive, with_headers)
                return
        await self._app(scope, receive, with_headers)

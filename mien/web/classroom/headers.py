"""Security headers of the class server's responses, and rejection of cross-origin requests.

Tokens are sent in a header, which only the server's own pages do, so pages of other origins have no access. State-changing
requests from other origins are refused as well, except below paths that accept them (LTI).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.web.headers import SECURITY_HEADERS

ANSWER_HEADERS: Final = {**SECURITY_HEADERS, "Cache-Control": "no-store"}
"""Default headers of responses; pages that may be embedded set their own content security policy."""


class ClassHeaders:
    """Middleware that adds the security headers and refuses state-changing requests from other origins.

    Args:
        app: the application.
        origin: origin of the server's own pages, such as ``https://class.example.org``.
        open_paths: path prefixes that accept POST requests from other origins; their routes set their own headers.
    """

    def __init__(self, app: ASGIApp, origin: str, open_paths: Sequence[str] = ()) -> None:
        self._app, self._origin, self._open = app, origin, tuple(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (self._open and scope["path"].startswith(self._open)):
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ANSWER_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["method"] not in ("GET", "HEAD"):
            origin = Headers(scope=scope).get("origin")
            if origin is not None and origin != self._origin:
                refusal = JSONResponse({"error": "requests from pages of other origins are refused"}, 403)
                await refusal(scope, receive, with_headers)
                return
        await self._app(scope, receive, with_headers)

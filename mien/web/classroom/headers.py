"""What every answer of the class server carries, and which requests are answered.

Tokens are sent in a header by our own pages only, so other pages can use nothing. Requests that change something are
refused all the same if another origin sends them, except below paths that are made for that (LTI).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.web.headers import SECURITY_HEADERS

ANSWER_HEADERS: Final = {**SECURITY_HEADERS, "Cache-Control": "no-store"}
"""What answers carry that say nothing else; pages that may be embedded have a policy of their own."""


class ClassHeaders:
    """Adds the security headers and refuses requests of other origins.

    Args:
        app: the application.
        origin: origin of the server's own pages, as in ``https://class.example.org``.
        open_paths: path prefixes that other origins may post to; they set their own headers.
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

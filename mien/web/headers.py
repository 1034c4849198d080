"""Security headers of all responses, and rejection of cross-origin requests. The page can reach only its own server."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SOURCES: Final = (
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "connect-src 'self'",
    "img-src 'self' blob: data:",
    "media-src 'self' blob:",
    "style-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
)


def content_security_policy(ancestors: str = "'none'") -> str:
    """Return the content security policy; it prevents the page from sending pictures to other servers.

    Args:
        ancestors: origins of pages that may embed the page, separated by spaces.
    """
    return "; ".join((*_SOURCES, f"frame-ancestors {ancestors}"))


CONTENT_SECURITY_POLICY: Final = content_security_policy()

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SameOriginOnly:
    """Middleware that adds the security headers and refuses state-changing requests from other origins."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD") and headers.get("origin") != f"{scope['scheme']}://{headers.get('host')}":
            await PlainTextResponse("requests from other origins are refused", 403)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

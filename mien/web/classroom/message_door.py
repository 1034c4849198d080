"""Fast path for learners' messages, thousands a second, which bypasses routing and middleware.

Requests other than valid messages are passed on to the application, which gives the same responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.errors import DataError, DeviceError
from mien.web.classroom.links import token_hash
from mien.web.classroom.messages import MAX_BYTES, parse_message
from mien.web.classroom.operation import Metrics
from mien.web.classroom.participants import MessageOutcome
from mien.web.classroom.writer import MessageWriter

PATH: Final = "/api/messages"
_COUNTED: Final = f'outcome="{MessageOutcome.COUNTED.value}"'


class MessageDoor:
    """Middleware that handles messages that are counted, and passes on all other requests.

    Args:
        app: the application that handles all other requests.
        writer: stores messages.
        metrics: counts messages.
        headers: headers of each response.
        origin: origin of the server's own pages.
    """

    def __init__(self, app: ASGIApp, writer: MessageWriter, metrics: Metrics, headers: Mapping[str, str], origin: str) -> None:
        self._app, self._writer, self._metrics, self._origin = app, writer, metrics, origin.encode()
        self._start: Message = {
            "type": "http.response.start",
            "status": 204,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        token = b""
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:7] == b"Bearer ":
                token = value[7:]
            elif name == b"origin" and value != self._origin:  # the application refuses it
                token = b""
                break
        first = await receive()
        body = first.get("body", b"")
        counted = False
        secret = token_hash(token.decode("latin-1")) if token else ""
        if secret and not first.get("more_body", False) and len(body) <= MAX_BYTES:
            try:
                outcome = await self._writer.add(secret, parse_message(body))
            except (DataError, DeviceError):
                pass
            else:
                counted = outcome is MessageOutcome.COUNTED
        if counted:
            self._metrics.count("messages", _COUNTED)
            await send(self._start)
            await send({"type": "http.response.body"})
            return
        is_read = False

        async def again() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read = True
            return first

        await self._app(scope, again, send)

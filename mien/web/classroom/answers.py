"""Helpers shared by the routes: tokens, request bodies and error responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from mien.documents import parse_json
from mien.errors import DataError, DeviceError, MienError, NotPermittedError
from mien.web.classroom.links import LinkKind
from mien.web.classroom.operation import Metrics
from mien.web.classroom.store import ClassRecord, ClassStore
from mien.web.rate_limit import RateLimit, client_of

MAX_BODY: Final = 8192
Handler = Callable[[Request], Awaitable[Response]]


class RefusedError(Exception):
    """A request that is refused.

    Attributes:
        status: HTTP status.
        sentence: what is wrong and what to do.
        wait_s: seconds after which to retry; 0 if retrying does not help.
    """

    def __init__(self, status: int, sentence: str, wait_s: int = 0) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.wait_s = status, sentence, wait_s


class Access:
    """Authorizes requests by their token.

    Args:
        store: the classes and their links.
        metrics: counts refused requests.
    """

    def __init__(self, store: ClassStore, metrics: Metrics) -> None:
        self.store, self.metrics = store, metrics
        self._failures = RateLimit(burst=60, per_s=1)

    def guarded(self, handler: Handler) -> Handler:
        """Wrap a handler so that errors become JSON responses with a message."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except RefusedError as error:
                return self._refuse(error.status, error.sentence, error.wait_s)
            except NotPermittedError as error:
                return self._refuse(410, f"{error}.")
            except DeviceError:
                self.metrics.count("database_errors")
                return self._refuse(503, "The server cannot reach its database. Try again soon.", 2)
            except MienError as error:
                return self._refuse(400, f"{error}.")
            except ClientDisconnect:
                return Response(status_code=400)

        return answer

    def _refuse(self, status: int, sentence: str, wait_s: int = 0) -> Response:
        self.metrics.count("requests_refused", f'status="{status}"')
        headers = {"Retry-After": str(wait_s)} if wait_s else {}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse({"error": sentence}, status, headers)

    async def class_of(self, request: Request, kind: LinkKind) -> ClassRecord:
        """Return the class of the request's token.

        Raises:
            RefusedError: the token is not valid for this kind of link.
        """
        record = await run_in_threadpool(self.store.class_of, bearer(request), kind)
        if record is None:
            raise self.unknown(request)
        return record

    async def permit(self, request: Request, kind: LinkKind) -> None:
        """Check that the request's token is of a valid link that belongs to no class.

        Raises:
            RefusedError: it is not.
        """
        if not await run_in_threadpool(self.store.permits, bearer(request), kind):
            raise self.unknown(request)

    def unknown(self, request: Request) -> RefusedError:
        """Return the error for an unknown token; too many of them from one address are rate-limited."""
        wait_s = self._failures.wait_s(client_of(request))
        if wait_s:
            return RefusedError(429, "Too many invalid links from this address. Wait a little.", wait_s)
        return RefusedError(401, "This link is not valid: it is incomplete, was revoked or has expired. Ask for a new one.")


def bearer(request: Request) -> str:
    """Return the bearer token of a request; "" if there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token if kind.lower() == "bearer" else ""


async def body_of(request: Request, most: int = MAX_BODY) -> bytes:
    """Return the body of a request.

    Raises:
        RefusedError: the body is too large.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise RefusedError(413, f"The request has more than {most} bytes.")
    return body


async def json_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request's body.

    Raises:
        RefusedError: the body is too large.
        DataError: it is not a JSON object.
    """
    body = await body_of(request)
    try:
        values = parse_json(body or b"{}")
    except ValueError as error:
        raise DataError("the request is not valid JSON") from error
    if not isinstance(values, dict):
        raise DataError("the request is not a JSON object")
    return values


def chosen(values: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    """Return a value of a request after checking its type; ``default`` if it is missing.

    Raises:
        DataError: the value has the wrong type.
    """
    value = values.get(name, default)
    if type(value) is not kind and not (kind is float and type(value) is int) and value is not default:
        raise DataError(f"{name} has the wrong type")
    return value
